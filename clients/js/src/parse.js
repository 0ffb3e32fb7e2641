// Incremental parsers: they are fed text in any pieces.

import { EventCastError } from "./wire.js";

/** Yields whole lines; an unfinished one is kept. Lines end with LF, CR or CRLF. */
export function lineReader(limit) {
  let rest = "";
  let afterCr = false;
  return function* (text) {
    if (!text) return;
    const lines = (afterCr && text[0] === "\n" ? text.slice(1) : text).split(/\r\n|\n|\r/);
    afterCr = text.endsWith("\r");
    lines[0] = rest + lines[0];
    rest = lines.pop();
    if (rest.length > limit) throw tooLarge();
    yield* lines;
  };
}

/** Yields the objects of newline-delimited JSON, each with its size. */
export function lineParser(limit) {
  const read = lineReader(limit);
  return function* (text) {
    for (const line of read(text)) if (line.trim()) yield [JSON.parse(line), line.length];
  };
}

/** Yields the messages of an event stream in the JSON format, each with its size. What a block
 * says counts once its empty line is there, its id included. */
export function blockParser(limit) {
  const read = lineReader(limit);
  let block = {};
  let size = 0;
  return function* (text) {
    for (const line of read(text)) {
      if (line === "") {
        const message = toMessage(block);
        const done = size;
        block = {};
        size = 0;
        if (message) yield [message, done];
        continue;
      }
      if ((size += line.length) > limit) throw tooLarge();
      const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
      if (field === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
      else if (field === "event" || field === "id" || field === "retry") block[field] = value;
    }
  };
}

function toMessage({ event = "", data, id, retry }) {
  if (data === undefined) return id && { type: "position", id };
  const message = JSON.parse(data);
  if (!event.startsWith("eventcast.")) return message;
  return { ...message, type: event.slice(10), id, retry: /^\d+$/.test(retry) ? Number(retry) : undefined };
}

function tooLarge() {
  return new EventCastError("a message is larger than maxMessage", { code: "too_large" });
}

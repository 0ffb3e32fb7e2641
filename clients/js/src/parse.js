// Incremental parsers: they are fed text in any pieces.

import { tooLarge } from "./errors.js";

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
    for (const line of lines) {
      if (line.length > limit) throw tooLarge();
      yield line;
    }
    if (rest.length > limit) throw tooLarge();
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
      } else if (line[0] !== ":") {
        if ((size += line.length) > limit) throw tooLarge();
        const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
        block[field] = field === "data" && block.data !== undefined ? `${block.data}\n${value}` : value;
      }
    }
  };
}

function toMessage({ event = "", data, id, retry }) {
  if (data === undefined) return id && { type: "position", id };
  const message = JSON.parse(data);
  return event.startsWith("eventcast.") && message.type !== "ephemeral" ? { ...message, type: event.slice(10), id, retry: retry && +retry } : message;
}

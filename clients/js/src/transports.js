// One connection over each transport. Each function lives as long as its connection, hands what
// comes to `link.message`, and throws if it was cut. A message that ends the connection sets
// `link.end`; a promise from `link.message` says when there is room for the next one.

import { blockParser, lineParser } from "./parse.js";
import { EventCastError } from "./wire.js";

const cut = (why) => new EventCastError(why, { code: "disconnected", retryable: true });

async function* pieces(response, link) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      link.heard();
      const { done, value } = await reader.read();
      link.hush(); // nothing is read while the consumer is slow
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function stream(link, response, parse) {
  if (response.status === 204) {
    link.end = { reason: "completed" };
    return;
  }
  for await (const text of pieces(response, link)) {
    for (const [message, size] of parse(text)) {
      await link.message(message, size);
      if (link.end) return;
    }
  }
  throw cut("the stream was cut");
}

async function poll(link) {
  for (let first = true; ; first = false) {
    const wait = first ? 0 : link.wait;
    if (!first) link.heard(wait * 1000 + link.openTimeout);
    const response = await link.fetch("application/json", { transport: "poll", wait });
    let text = "";
    for await (const piece of pieces(response, link)) {
      if ((text += piece).length > link.maxMessage) {
        throw new EventCastError("an answer is larger than maxMessage", { code: "too_large" });
      }
    }
    const { events, position, end, retry } = JSON.parse(text);
    if (first) link.message({ type: "open" });
    for (const message of events) await link.message(message, text.length / events.length);
    if (position) link.message({ type: "position", id: position });
    if (end) link.message({ type: "end", reason: end, retry });
    if (link.end) return;
  }
}

function websocket(link, url) {
  return new Promise((resolve, reject) => {
    const socket = new link.WebSocket(url, ["eventcast.v1+json"]);
    let pinging;
    const done = (settle, value) => {
      clearInterval(pinging);
      link.signal.removeEventListener("abort", aborted);
      socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
      socket.close();
      settle(value);
    };
    const aborted = () => done(reject, link.signal.reason);
    link.signal.addEventListener("abort", aborted);
    if (link.signal.aborted) return aborted();
    link.send = (message) => socket.send(JSON.stringify(message));
    // `close` follows and says more, but not from every WebSocket that never opened.
    socket.onerror = () => link.opened || done(reject, cut("the WebSocket did not open"));
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return;
      let room;
      try {
        const message = JSON.parse(data);
        room = link.message(message, data.length);
        link.heard();
        // Pages do not see a WebSocket's own pings.
        if (message.type === "open") pinging = setInterval(() => link.send({ type: "ping" }), link.heartbeat);
      } catch (error) {
        return done(reject, error);
      }
      if (link.end) return done(resolve);
      // A WebSocket cannot be paused: it is left, and resumed once there is room.
      if (room) {
        link.quiet = true;
        done(resolve);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (code === 1000) link.end = { reason: "completed" };
      else if (code === 1001) link.end = { reason: "closed" };
      else if (!link.end) return done(reject, cut(`the WebSocket was closed: ${code} ${reason}`));
      done(resolve);
    };
  });
}

export const transports = {
  websocket: async (link) => websocket(link, await link.url()),
  sse: async (link) =>
    stream(link, await link.fetch("text/event-stream", { transport: "sse", format: "json" }), blockParser(link.maxMessage)),
  stream: async (link) =>
    stream(link, await link.fetch("application/x-ndjson", { transport: "stream" }), lineParser(link.maxMessage)),
  poll,
};

// One connection over each transport. Each function lives as long as its connection, hands what
// comes to `link.message`, and throws if it was cut. A message that ends the connection sets
// `link.end`; a promise from `link.message` says when there is room for the next one.

import { bell } from "./bell.js";
import { body, pieces } from "./body.js";
import { garbled, lost, tooLarge } from "./errors.js";
import { blockParser, lineParser } from "./parse.js";

/** Between polls that bring nothing at once. */
const BETWEEN_POLLS = 100;

const streaming = (accept, params, parser) => async (link) => {
  const response = await link.fetch(accept, params);
  if (response.status === 204) return link.finish("completed");
  const parse = parser(link.options.maxMessage);
  const decoder = new TextDecoder();
  // Nothing is read while the consumer is slow: that is no silence.
  for await (const piece of pieces(response, link.heard, link.hush)) {
    for (const [message, size] of parse(decoder.decode(piece, { stream: true }))) {
      await link.message(message, size);
      if (link.end) return;
    }
  }
  throw lost("the stream was cut");
};

/** One poll. Returns whether it told anything. */
export async function pollOnce(link, wait) {
  const { connectTimeout, maxMessage } = link.options;
  if (link.opened) link.heard(wait * 1000 + connectTimeout);
  const response = await link.fetch("application/json", { transport: "poll", wait });
  const answer = await body(response, maxMessage);
  const { events, position, end, retry } = JSON.parse(await answer.text());
  const { told } = link;
  if (!Array.isArray(events)) throw garbled();
  if (!link.opened) link.message({ type: "open" });
  // Each poll says so as long as it lasts, and none that it is over.
  if (!events.some((one) => one?.type === "stalled")) link.message({ type: "recovered" });
  for (const message of events) await link.message(message, answer.size / events.length);
  if (position) link.message({ type: "position", id: position });
  if (end) link.finish(end, retry);
  link.hush();
  return told < link.told;
}

async function poll(link) {
  while (!link.end) {
    const wait = link.opened && link.query().last_event_id ? link.options.pollWait : 0;
    // A server that brings nothing and does not wait is not asked without a pause.
    if (!(await pollOnce(link, wait)) && wait) await bell().wait(BETWEEN_POLLS);
  }
}

async function websocket(link) {
  const url = await link.url();
  return new Promise((resolve, reject) => {
    const { WebSocket, maxMessage } = link.options;
    const socket = new WebSocket(url, ["eventcast.v1+json"]);
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
    socket.onerror = () => link.opened || done(reject, lost("the WebSocket did not open"));
    socket.onmessage = ({ data }) => {
      let room;
      try {
        const message = JSON.parse(data);
        if (data.length > maxMessage) throw tooLarge();
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
      if (code === 1000) link.finish("completed");
      else if (code === 1001) link.finish("closed");
      else if (code === 1008) link.finish(reason || "expired");
      if (link.end) done(resolve);
      else done(reject, lost(`the WebSocket was closed: ${code} ${reason}`));
    };
  });
}

export const transports = {
  websocket,
  sse: streaming("text/event-stream", { transport: "sse", format: "json" }, blockParser),
  stream: streaming("application/x-ndjson", { transport: "stream" }, lineParser),
  poll,
};

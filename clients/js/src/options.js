// What a client may be told, and what it does untold.

import { transports } from "./transports.js";
import { list } from "./requests.js";

const DEFAULTS = {
  transports: ["websocket", "sse", "stream", "poll"],
  retry: 2000,
  minRetry: 100,
  maxRetry: 60_000,
  attemptsPerMinute: 60,
  connectTimeout: 10_000,
  requestTimeout: 35_000,
  requestAttempts: 5,
  pollWait: 25,
  maxQueue: 1024,
  maxQueueBytes: 8 << 20,
  maxMessage: 8 << 20,
  pauseHidden: 0,
};

export function complete(given) {
  const options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, fetch: (...args) => fetch(...args) };
  for (const [name, value] of Object.entries(given)) if (value !== undefined) options[name] = value;
  const { token, headers, tokenParameter, tickets, WebSocket } = options;
  // A WebSocket takes no headers.
  const sockets = WebSocket && (!(token || headers) || tokenParameter || tickets);
  options.transports = list(options.transports)
    .map((one) => {
      if (typeof one === "function") return { kind: one.kind, run: one };
      if (Object.hasOwn(transports, one)) return { kind: one, run: transports[one] };
      throw new TypeError(`there is no transport ${one}`);
    })
    .filter(({ kind }) => kind !== "websocket" || sockets);
  if (!options.transports.length) throw new TypeError("no transport is left: this WebSocket takes no headers, or there is none");
  return options;
}

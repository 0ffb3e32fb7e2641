// One connection, or the attempt at one: what its transport needs.

import { garbled, lost, tooLarge } from "./errors.js";
import { refusal } from "./refusal.js";
import { random } from "./wire.js";

/** However short a silence the server promises, and however long. */
const LEAST_SILENCE = 1000;
const MOST_SILENCE = 3_600_000;

/** `query()` is the subscription, `take(link, message, size)` is told what comes. */
export function connect(kind, options, requests, query, take) {
  const controller = new AbortController();
  const { signal } = controller;
  const { connectTimeout, maxMessage, pollWait, WebSocket } = options;
  let timer;
  const link = {
    kind, signal, connectTimeout, maxMessage, pollWait, WebSocket, options, requests, query,
    key: random(),
    pending: new Map(), // what was asked over it
    told: 0,
    opened: false,
    progressed: false,
    /** Something came: the silence begins anew. Before the opening it has one bound for all. */
    heard(limit = link.opened && link.silence) {
      if (!limit || signal.aborted) return;
      clearTimeout(timer);
      timer = setTimeout(() => link.abort(lost("nothing was heard for too long")), limit);
    },
    hush() { if (link.opened || signal.aborted) clearTimeout(timer); },
    open(heartbeat) {
      link.opened = true;
      link.heartbeat = Math.min(Math.max(heartbeat, LEAST_SILENCE / 2), MOST_SILENCE / 2) || connectTimeout;
      link.silence = heartbeat > 0 ? 2 * link.heartbeat : connectTimeout;
      link.hush();
    },
    message: (message, size = 0) => (signal.aborted ? undefined : take(link, message, size)),
    finish(reason, retry) { link.end ??= { reason, retry }; },
    tooLarge() { throw tooLarge(); },
    abort(error) {
      controller.abort(error);
      clearTimeout(timer);
      for (const { reject } of link.pending.values()) reject(lost("the connection was cut before the answer"));
      link.pending.clear();
    },
    /** Leaves it for a new one, at once. */
    leave() {
      link.quiet = true;
      link.abort(lost("the connection is left"));
    },
    id: () => query().last_event_id,
    async fetch(accept, params) {
      const url = requests.url("events", { ...query(), ...params, session: link.key });
      const response = await requests.fetch(url, { headers: { accept }, signal });
      if (!response.ok) throw await refusal(response);
      const type = response.headers.get("content-type") ?? "";
      if (response.status !== 204 && type.split(";")[0].trim().toLowerCase() !== accept) throw garbled();
      return response;
    },
    async url() {
      const { tokenParameter } = options;
      const params = query();
      if (tokenParameter) params[tokenParameter] = await requests.credential("token");
      const url = requests.url("events", params);
      url.protocol = url.protocol.replace("http", "ws");
      return url.href;
    },
  };
  link.heard(connectTimeout);
  return link;
}

let refs = 0;

/** A question over a connection that takes messages, and its answer. */
export function ask(link, message, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const ref = (refs += 1);
    const settle = (then) => (value) => {
      clearTimeout(timer);
      link.pending.delete(ref);
      signal?.removeEventListener("abort", abort);
      then(value);
    };
    const pending = { resolve: settle(resolve), reject: settle(reject) };
    const abort = () => pending.reject(signal.reason);
    const timer = setTimeout(() => pending.reject(lost("no answer in time")), link.options.requestTimeout);
    signal?.addEventListener("abort", abort);
    link.pending.set(ref, pending);
    try {
      link.send({ ...message, ref });
    } catch (error) {
      pending.reject(error);
    }
  });
}

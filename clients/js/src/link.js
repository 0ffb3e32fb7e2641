// One connection, or the attempt at one: what its transport needs.

import { body } from "./body.js";
import { garbled, lost } from "./errors.js";
import { refusal } from "./refusal.js";
import { random } from "./wire.js";

/** Half of a silence, however short or long the server promises it. */
const LEAST = 500;
const MOST = 1_800_000;

/** `query()` is the subscription, `take(link, message, size)` is told what comes. */
export function connect(kind, options, requests, query, take) {
  const controller = new AbortController();
  const { signal } = controller;
  let timer;
  const link = {
    kind, signal, options, requests, query,
    key: random(),
    told: 0,
    /** Something came: the silence begins anew. Before the opening it has one bound for all. */
    heard(limit = link.silence) {
      if (!limit || signal.aborted) return;
      clearTimeout(timer);
      timer = setTimeout(link.abort, limit, lost("nothing was heard for too long"));
    },
    hush() { if (link.opened) clearTimeout(timer); },
    open(heartbeat) {
      link.opened = true;
      link.heartbeat = heartbeat > 0 ? Math.min(Math.max(heartbeat, LEAST), MOST) : options.connectTimeout / 2;
      link.silence = 2 * link.heartbeat;
      link.hush();
    },
    message: (message, size = 0) => (signal.aborted ? undefined : take(link, message, size)),
    finish(reason, retry) { link.end ??= { reason, retry }; },
    abort(error) {
      controller.abort(error);
      clearTimeout(timer);
    },
    /** Leaves it for a new one, at once. */
    leave() {
      link.quiet = true;
      link.abort();
    },
    async fetch(accept, params) {
      const url = requests.url("events", { ...query(), ...params, session: link.key });
      const response = await requests.fetch(url, { headers: { accept }, signal });
      if (!response.ok) throw await refusal(response);
      const type = response.headers.get("content-type") ?? "";
      if (response.status !== 204 && type.split(";")[0].trim().toLowerCase() !== accept) throw garbled();
      return response;
    },
    async url() {
      const { tokenParameter, tickets } = options;
      const params = query();
      if (tickets) {
        const url = requests.url("tickets", { channel: params.channel });
        const response = await requests.fetch(url, { method: "POST", signal });
        if (!response.ok) throw await refusal(response);
        params.ticket = JSON.parse(await (await body(response, options.maxMessage)).text()).ticket;
      }
      if (tokenParameter) params[tokenParameter] = await requests.credential("token");
      return requests.url("events", params).href.replace("http", "ws");
    },
  };
  link.heard(options.connectTimeout);
  return link;
}

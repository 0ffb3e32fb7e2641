// The client: which transport, when, from where on, and who is told.

import { transports } from "./transports.js";
import { EventCastError, decode, decodeBody, encode, encodeBody, isAfter, random, refusal } from "./wire.js";

const DEFAULTS = {
  transports: ["websocket", "sse", "stream", "poll"],
  channels: [],
  retry: 2000,
  maxRetry: 30_000,
  maxAttempts: Infinity,
  heartbeat: 15_000,
  heartbeats: 2,
  openTimeout: 10_000,
  requestTimeout: 35_000,
  requestAttempts: 5,
  wait: 25,
  maxQueue: 1024,
  maxQueueBytes: 8 << 20,
  maxMessage: 16 << 20,
  pauseHidden: 0,
};
/** Failures in a row before another transport is tried in place of one that worked. */
const MISSES = 3;
/** Names of the client's own events; published ones of the same name come as `event` only. */
const OWN = new Set(["event", "open", "gap", "completed", "conflated", "state", "error", "close"]);
const BETWEEN_POLLS = 50;
const FINAL = new Set([400, 401, 403, 404]);

const list = (value) => (value === undefined ? [] : [value].flat());
const call = (value, arg) => (typeof value === "function" ? value(arg) : value);
const gone = (why) => new EventCastError(why, { code: "disconnected", retryable: true });

export class EventCast extends EventTarget {
  #options;
  #base;
  #order;
  #wanted;
  #done = new Set(); // completed channels, which are not asked for again
  #state = "idle";
  #reason;
  #error;
  #link; // the connection, or the attempt at one
  #opened = false;
  #preferred;
  #wire; // resume here: all up to it is delivered or in the queue
  #retry;
  #ref = 0;

  #queue; // while somebody iterates
  #queued = 0; // its size
  #handed; // what the iterator's user is working on
  #processed;
  #delivered = false;
  #more = [];
  #room = [];
  #opening = [];

  #wake = () => {};
  #hurry = false;
  #online = globalThis.navigator?.onLine !== false;
  #hidden = false;
  #cleanup = [];

  constructor(url, options = {}) {
    super();
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.#options = { ...DEFAULTS, ...Object.fromEntries(given) };
    const { lastEventId, channels, token, tokenParameter } = this.#options;
    this.#base = new URL(url ?? "/", globalThis.location?.href);
    this.#base.pathname = this.#base.pathname.replace(/(\/events)?\/?$/, "/");
    this.#wanted = new Set(list(channels));
    this.#wire = this.#processed = lastEventId || undefined;
    this.#retry = this.#options.retry;
    this.#options.fetch ??= (...args) => fetch(...args);
    this.#options.WebSocket ??= globalThis.WebSocket;
    const unknown = list(this.#options.transports).find((name) => !Object.hasOwn(transports, name));
    if (unknown) throw new TypeError(`there is no transport ${unknown}`);
    const sockets = this.#options.WebSocket && (!(token || this.#options.headers) || tokenParameter);
    this.#order = list(this.#options.transports).filter((name) => name !== "websocket" || sockets);
    if (!this.#order.length) throw new TypeError("no transport is left: this WebSocket takes no headers, or there is none");
  }

  /** `idle`, `connecting`, `open`, `waiting`, `paused` or `closed`. */
  get state() { return this.#state; }
  /** The id up to which everything has been processed: what to resume with. */
  get lastEventId() { return this.#queue ? this.#processed : this.#wire; }
  /** The transport in use, or the one that worked last. */
  get transport() { return this.#link?.kind ?? this.#preferred; }
  get channels() { return [...this.#wanted]; }
  /** Why it is closed: `completed`, `closed` (by the server), `client` or `error`. */
  get reason() { return this.#reason; }
  get error() { return this.#error; }

  /** The first listener connects. */
  addEventListener(...args) {
    super.addEventListener(...args);
    this.connect();
  }

  connect() {
    if (this.#state !== "idle") return;
    this.#become("connecting");
    this.#listen();
    // What the same turn of the page still adds comes first.
    queueMicrotask(() => this.#run().catch((error) => this.#finish("error", error)));
  }

  close() {
    this.#queue?.splice(0);
    this.#finish("client");
  }

  /** Deliveries in order. Leaving the loop closes the client. */
  [Symbol.asyncIterator]() {
    if (this.#queue) throw new TypeError("it is iterated already");
    if (this.#delivered) throw new TypeError("events were delivered before: iterate at once");
    this.#processed = this.#wire;
    this.#queue = [];
    this.connect();
    let thrown = false;
    return {
      [Symbol.asyncIterator]() { return this; },
      next: async () => {
        this.#take();
        while (!this.#queue.length && this.#state !== "closed") await new Promise((done) => this.#more.push(done));
        const entry = this.#queue.shift();
        if (entry) {
          this.#handed = entry;
          this.#queued -= entry.size;
          if (!this.#full(0.5)) {
            this.#flush(this.#room);
            this.#wake();
          }
          return { value: entry.delivery, done: false };
        }
        if (this.#error && !thrown) {
          thrown = true;
          throw this.#error;
        }
        return { value: undefined, done: true };
      },
      return: async () => {
        this.close();
        return { value: undefined, done: true };
      },
    };
  }

  /** Adds channels to the live session. */
  async subscribe(channels, { start, slow } = {}) {
    channels = list(channels);
    for (const channel of channels) this.#done.delete(channel);
    if (!this.#wanted.size && this.#state !== "closed") {
      if (this.#opened) this.#wire = undefined; // nothing was followed meanwhile
      if (start !== undefined) this.#options.start = start;
      if (slow !== undefined) this.#options.slow = slow;
      for (const channel of channels) this.#wanted.add(channel);
      this.connect();
      this.#poke();
      await this.#whenOpen();
      return { channels: this.channels };
    }
    this.connect();
    for (let attempt = 0; ; attempt += 1) {
      const link = await this.#whenOpen();
      try {
        const answer = link.send
          ? await this.#ask(link, { type: "subscribe", channels, start, slow })
          : await this.#json("POST", `sessions/${link.key}`, { channel: channels, start, slow });
        if (link !== this.#link) throw gone("the session was cut");
        this.#want(channels);
        return { channels: answer.channels, history: answer.history?.map(page) };
      } catch (error) {
        // The server forgot the session, or it lies between two polls, where no start is taken.
        const between = !link.send && error.status === 409 && start !== undefined;
        const unknown = !link.send && error.status === 404;
        if (!(between || unknown || error.retryable) || attempt >= this.#options.requestAttempts) throw error;
        if (unknown) this.#again(link);
        await sleep(between ? BETWEEN_POLLS : this.#backoff(attempt, error.retryAfter));
      }
    }
  }

  /** Removes channels from the live session. */
  async unsubscribe(channels) {
    channels = list(channels);
    for (const channel of channels) this.#wanted.delete(channel);
    const link = this.#link;
    if (!link) return;
    if (!this.#wanted.size || !link.opened) return this.#again(link);
    try {
      await (link.send
        ? this.#ask(link, { type: "unsubscribe", channels })
        : this.#json("DELETE", `sessions/${link.key}`, { channel: channels }));
    } catch {
      this.#again(link); // without naming them
    }
  }

  /** Publishes by POST; a retry stores nothing twice. */
  async publish(channel, data, { name, encoding, idempotencyKey = random(), signal } = {}) {
    if (/^\.\.?$/.test(channel)) throw new TypeError("this channel has no URL");
    const { type, body } = encodeBody(data, encoding);
    const headers = { "content-type": type, "idempotency-key": idempotencyKey };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#json("POST", `channels/${encodeURIComponent(channel)}`, { event: name }, { headers, body, signal });
      } catch (error) {
        if (!error.retryable || attempt >= this.#options.requestAttempts || signal?.aborted) throw error;
        await sleep(this.#backoff(attempt, error.retryAfter), signal);
      }
    }
  }

  /** Asks the server something, and is answered with a payload. Never asked twice. */
  async request(name, data, { encoding, signal } = {}) {
    const link = this.#link;
    if (link?.opened && link.send) {
      return decode(await this.#ask(link, { type: "request", name, ...encode(data, encoding) }, signal)).data;
    }
    const { type, body } = encodeBody(data === undefined ? null : data, encoding);
    const init = { headers: { "content-type": type }, body, signal };
    return this.#json("POST", `requests/${encodeURIComponent(name)}`, {}, init, decodeBody);
  }

  // The connection

  async #run() {
    let cursor = 0;
    let misses = 0;
    let failures = 0;
    for (;;) {
      while (this.#state !== "closed" && (this.#held() || this.#full(0.5))) {
        this.#become("paused");
        await this.#pause();
      }
      if (this.#state === "closed") return;
      this.#become("connecting");
      const order = this.#preferred
        ? [this.#preferred, ...this.#order.filter((name) => name !== this.#preferred)]
        : this.#order;
      const link = this.#connection(order[cursor]);
      let failure;
      try {
        await transports[link.kind](link);
      } catch (error) {
        failure = link.signal.aborted ? link.signal.reason : error;
      }
      this.#drop(link);
      if (this.#state === "closed") return;

      const { end } = link;
      if (end?.reason === "completed" || end?.reason === "closed") return this.#finish(end.reason);
      if (failure?.code === "too_large" || FINAL.has(failure?.status)) return this.#finish("error", failure);
      if (link.opened) {
        cursor = misses = failures = 0;
        if (!link.quiet) await this.#waiting(this.#backoff(0, undefined, end?.retry));
        continue;
      }
      if (link.quiet) continue;
      if (failure?.retryAfter === undefined && failure?.status !== 429 && failure?.status !== 503) {
        misses += 1;
        const others = !this.#preferred || misses >= MISSES;
        cursor += 1;
        if (others && cursor < order.length) continue;
        cursor = 0;
        if (link.kind === "websocket") {
          // A page is not told why a WebSocket is refused.
          const refused = await this.#probe();
          if (this.#state === "closed") return;
          if (refused) return this.#finish("error", refused);
        }
      }
      failures += 1;
      if (failures >= this.#options.maxAttempts) return this.#finish("error", failure);
      await this.#waiting(this.#backoff(failures, failure?.retryAfter));
    }
  }

  #connection(kind) {
    const { heartbeats, heartbeat, openTimeout, maxMessage, wait, WebSocket } = this.#options;
    const controller = new AbortController();
    const { signal } = controller;
    const abort = (error) => controller.abort(error);
    let timer;
    const link = {
      kind, signal, abort, heartbeat, openTimeout, maxMessage, wait, WebSocket,
      key: random(),
      pending: new Map(),
      opened: false,
      /** Something came: the silence begins anew. Before the opening it has one bound for all. */
      heard: (limit = link.opened && heartbeats * link.heartbeat) => {
        if (!limit || signal.aborted) return;
        clearTimeout(timer);
        timer = setTimeout(() => abort(gone("nothing was heard for too long")), limit);
      },
      hush: () => { if (link.opened || signal.aborted) clearTimeout(timer); },
      message: (message, size = 0) => (signal.aborted ? undefined : this.#message(link, message, size)),
      fetch: async (accept, params) => {
        const url = this.#url("events", { ...this.#query(), ...params, session: link.key });
        const response = await this.#fetch(url, { headers: { accept }, signal });
        if (!response.ok) throw await refusal(response);
        return response;
      },
    };
    if (kind === "websocket") link.url = this.#socketUrl.bind(this);
    link.heard(openTimeout);
    return (this.#link = link);
  }

  #drop(link) {
    link.abort(gone("the connection is left"));
    link.hush();
    if (this.#link === link) this.#link = undefined;
    // A draining server still opens event streams, and no WebSockets: that is no reason to change.
    if (link.opened && link.end?.reason !== "draining") this.#preferred = link.kind;
    for (const { reject } of link.pending.values()) reject(gone("the connection was cut before the answer"));
    link.pending.clear();
  }

  /** Leaves the connection for a new one, at once. */
  #again(link = this.#link) {
    if (!link || link !== this.#link) return;
    link.quiet = true;
    link.abort(gone("the connection is left"));
  }

  #query() {
    const { start, slow, event } = this.#options;
    return { channel: [...this.#wanted], last_event_id: this.#wire, start, slow, event };
  }

  #url(path, params = {}) {
    const url = new URL(path, this.#base);
    url.search = this.#base.search;
    for (const [name, value] of Object.entries(params)) {
      for (const one of list(value)) url.searchParams.append(name, one);
    }
    return url;
  }

  async #socketUrl() {
    const { token, tokenParameter } = this.#options;
    const params = this.#query();
    if (tokenParameter) params[tokenParameter] = await call(token, { refresh: false });
    const url = this.#url("events", params);
    url.protocol = url.protocol.replace("http", "ws");
    return url.href;
  }

  async #fetch(url, init, refresh = false) {
    const { token, headers, credentials, fetch } = this.#options;
    const all = { ...(await call(headers, { refresh })), ...init.headers };
    const bearer = await call(token, { refresh });
    if (bearer) all.authorization = `Bearer ${bearer}`;
    const response = await fetch(url, { cache: "no-store", ...(credentials && { credentials }), ...init, headers: all });
    if (response.status !== 401 || refresh || !(typeof token === "function" || typeof headers === "function")) return response;
    response.body?.cancel().catch(() => {});
    return this.#fetch(url, init, true);
  }

  /** One request and its whole answer. */
  async #json(method, path, params, { headers, body, signal } = {}, read = (response) => response.json()) {
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort);
    const timer = setTimeout(() => controller.abort(), this.#options.requestTimeout);
    try {
      const response = await this.#fetch(this.#url(path, params), { method, headers, body, signal: controller.signal });
      if (!response.ok) throw await refusal(response);
      return await read(response);
    } catch (error) {
      if (error instanceof EventCastError || signal?.aborted) throw error;
      throw new EventCastError(`no answer: ${error.message}`, { code: "unreachable", retryable: true, cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  async #probe() {
    try {
      await this.#json("HEAD", "events", { ...this.#query(), format: "json" }, {}, () => {});
    } catch (error) {
      return FINAL.has(error.status) ? error : undefined;
    }
  }

  /** A request over the WebSocket, and its answer. */
  #ask(link, message, signal) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const ref = (this.#ref += 1);
      const settle = (then) => (value) => {
        clearTimeout(timer);
        link.pending.delete(ref);
        signal?.removeEventListener("abort", abort);
        then(value);
      };
      const pending = { resolve: settle(resolve), reject: settle(reject) };
      const abort = () => pending.reject(signal.reason);
      const late = () => pending.reject(new EventCastError("no answer in time", { code: "timeout" }));
      const timer = setTimeout(late, this.#options.requestTimeout);
      signal?.addEventListener("abort", abort);
      link.pending.set(ref, pending);
      try {
        link.send({ ...message, ref });
      } catch (error) {
        pending.reject(error);
      }
    });
  }

  // What comes

  #message(link, message, size) {
    const { type, id, ref } = message;
    if (type === "published") return;
    if (type === undefined && id && !isAfter(id, this.#wire)) return;
    if (id) this.#wire = id;
    if (ref !== undefined) {
      const asked = link.pending.get(ref);
      if (type === "error") asked?.reject(new EventCastError(message.message, { code: message.code, retryable: /^(rate_limited|unavailable)$/.test(message.code) }));
      else asked?.resolve(message);
    }
    let delivery;
    switch (type) {
      case undefined:
      case "ephemeral":
        delivery = { kind: type ?? "event", id, channel: message.channel, name: message.event, ...decode(message) };
        break;
      case "open":
        this.#open(link, message);
        break;
      case "gap":
      case "conflated":
      case "completed": {
        const { type: kind, retry, ...rest } = message;
        delivery = { kind, id, ...rest };
        break;
      }
      case "draining":
      case "closed":
      case "end":
        link.end = { reason: message.reason ?? type, retry: message.retry };
    }
    const room = this.#deliver(delivery, id, size);
    if (type === "completed") {
      this.#done.add(message.channel);
      if (this.#wanted.delete(message.channel) && !this.#wanted.size) link.end = { reason: "completed" };
    }
    return room;
  }

  #open(link, { heartbeat, retry, channels }) {
    link.opened = this.#opened = true;
    link.heartbeat = heartbeat ?? this.#options.heartbeat;
    link.hush();
    this.#retry = retry ?? this.#retry;
    this.#become("open");
    this.#tell("open", { transport: link.kind, channels: channels ?? this.channels });
    this.#flush(this.#opening);
  }

  /** Tells the listeners, and puts it into the iterator's queue; returns a promise if that is full. */
  #deliver(delivery, id, size) {
    const queue = this.#queue;
    if (delivery) {
      this.#delivered = true;
      queue?.push({ delivery, id, size });
      this.#queued += queue ? size : 0;
      const { kind, name = "message" } = delivery;
      if (kind === "event" || kind === "ephemeral") {
        this.#tell("event", delivery);
        if (!OWN.has(name)) this.#tell(name, delivery);
      } else {
        this.#tell(kind, delivery);
      }
    } else if (queue && id) {
      // It counts once all before it is processed.
      const last = queue.at(-1) ?? this.#handed;
      if (last) last.id = id;
      else this.#processed = id;
    }
    if (!queue || this.#state === "closed") return undefined;
    this.#flush(this.#more);
    if (!delivery || !this.#full(1)) return undefined;
    return new Promise((done) => this.#room.push(done));
  }

  #take() {
    if (this.#handed?.id) this.#processed = this.#handed.id;
    this.#handed = undefined;
  }

  #full(share) {
    const { maxQueue, maxQueueBytes } = this.#options;
    return !!this.#queue && this.#state !== "closed" && this.#queue.length > 0
      && (this.#queue.length >= maxQueue * share || this.#queued >= maxQueueBytes * share);
  }

  // State

  #tell(type, members) {
    this.dispatchEvent(Object.assign(new Event(type), members));
  }

  #become(state) {
    const previous = this.#state;
    if (previous === state || previous === "closed") return;
    this.#state = state;
    this.#tell("state", { state, previous });
  }

  #finish(reason, error) {
    if (this.#state === "closed") return;
    this.#reason = reason;
    this.#error = error;
    for (const undo of this.#cleanup) undo();
    this.#become("closed");
    if (this.#link) this.#drop(this.#link);
    for (const waiting of [this.#more, this.#room, this.#opening]) this.#flush(waiting);
    this.#wake();
    if (error) this.#tell("error", { error });
    this.#tell("close", { reason, error });
  }

  #want(channels) {
    for (const channel of channels) if (!this.#done.has(channel)) this.#wanted.add(channel);
  }

  /** The open connection, once there is one. */
  async #whenOpen() {
    while (!this.#link?.opened || this.#link.signal.aborted) {
      if (this.#state === "closed") throw this.#error ?? new EventCastError("the client is closed", { code: "closed" });
      await new Promise((done) => this.#opening.push(done));
    }
    return this.#link;
  }

  #held() { return !this.#wanted.size || !this.#online || this.#hidden; }

  #pause(limit) {
    return new Promise((done) => {
      const timer = limit === undefined ? undefined : setTimeout(done, limit);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  async #waiting(limit) {
    this.#become("waiting");
    const until = Date.now() + limit;
    this.#hurry = false;
    while (this.#state !== "closed" && !this.#hurry && !this.#held() && Date.now() < until) {
      await this.#pause(until - Date.now());
    }
  }

  #poke(hurry) {
    this.#hurry ||= hurry;
    this.#wake();
  }

  /** Half of `retry` for sure, then any time up to a bound that doubles with each failure. */
  #backoff(failures, retryAfter, retry = this.#retry) {
    const { maxRetry } = this.#options;
    const base = Math.min(retry, maxRetry);
    return Math.max(retryAfter ?? 0, base / 2 + Math.random() * Math.min(maxRetry, base * 2 ** failures));
  }

  #flush(waiting) {
    for (const done of waiting.splice(0)) done();
  }

  #listen() {
    const on = (target, name, handle) => {
      target?.addEventListener?.(name, handle);
      this.#cleanup.push(() => target?.removeEventListener?.(name, handle));
    };
    on(globalThis, "offline", () => {
      this.#online = false;
      this.#again();
      this.#poke();
    });
    on(globalThis, "online", () => {
      this.#online = true;
      this.#poke(true);
    });
    const { pauseHidden } = this.#options;
    if (!pauseHidden) return;
    let timer;
    on(globalThis.document, "visibilitychange", () => {
      clearTimeout(timer);
      if (document.visibilityState === "hidden") {
        timer = setTimeout(() => {
          this.#hidden = true;
          this.#again();
          this.#poke();
        }, pauseHidden * 1000);
      } else {
        this.#hidden = false;
        this.#poke(true);
      }
    });
    this.#cleanup.push(() => clearTimeout(timer));
  }
}

const page = ({ events, ...rest }) => ({
  ...rest,
  events: events.map((event) => ({ kind: "event", id: event.id, channel: event.channel, name: event.event, ...decode(event) })),
});

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort);
  });
}

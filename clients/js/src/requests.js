// Single requests to the service, with their credentials.

import { body } from "./body.js";
import { EventCastError, lost } from "./errors.js";
import { backoff } from "./pace.js";
import { refusal } from "./refusal.js";
import { encodeBody, random } from "./wire.js";

export const list = (value) => (value === undefined ? [] : [value].flat());

export class Requests {
  /** How often the token was refused and renewed. */
  renewed = 0;
  #options;
  #base;

  constructor(url, options) {
    this.#options = options;
    this.#base = new URL(url ?? "/", globalThis.location?.href);
    this.#base.pathname = this.#base.pathname.replace(/(\/events)?\/?$/, "/");
  }

  url(path, params = {}) {
    const url = new URL(path, this.#base);
    url.search = this.#base.search;
    for (const [name, value] of Object.entries(params)) {
      for (const one of list(value)) url.searchParams.append(name, one);
    }
    return url;
  }

  /** What `token` or `headers` gives. */
  async credential(name, refresh = false) {
    const given = this.#options[name];
    try {
      return typeof given === "function" ? await given({ refresh }) : given;
    } catch (cause) {
      throw new EventCastError(`no ${name}: ${cause?.message}`, "token", { retryable: true, cause });
    }
  }

  async fetch(url, init, refresh) {
    const { token, headers, credentials, fetch } = this.#options;
    const all = { ...(await this.credential("headers", refresh)), ...init.headers };
    const bearer = await this.credential("token", refresh);
    if (bearer) all.authorization = `Bearer ${bearer}`;
    // A redirect that is followed may lose the credentials, or go round for ever.
    const response = await fetch(url, { cache: "no-store", redirect: "manual", ...(credentials && { credentials }), ...init, headers: all });
    const renews = [token, headers].some((given) => typeof given === "function");
    if (response.status !== 401 || refresh || !renews) return response;
    response.body?.cancel().catch(() => {});
    this.renewed += 1;
    return this.fetch(url, init, true);
  }

  /** One request, and what `read` makes of its answer. */
  async ask(method, path, params, { signal, ...init } = {}, read = this.json) {
    const { requestTimeout } = this.#options;
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort);
    const timer = setTimeout(() => controller.abort(lost("no answer in time")), requestTimeout);
    try {
      const response = await this.fetch(this.url(path, params), { method, ...init, signal: controller.signal });
      if (!response.ok) throw await refusal(response);
      return await read(response);
    } catch (error) {
      if (error instanceof EventCastError || signal?.aborted) throw error;
      throw new EventCastError(`no answer: ${error.message}`, "unreachable", { retryable: true, cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  json = async (response) => JSON.parse(await (await body(response, this.#options.maxMessage)).text());

  /** The payload of an answer. */
  payload = async (response) => {
    const type = response.headers.get("content-type");
    const bytes = await body(response, this.#options.maxMessage);
    if (/^text\//.test(type)) return bytes.text();
    return /json/.test(type) ? JSON.parse(await bytes.text()) : new Uint8Array(await bytes.arrayBuffer());
  };

  /** Publishes by POST; a retry stores nothing twice. */
  async publish(channel, data, { name, encoding, idempotencyKey = random(), signal } = {}) {
    if (/^\.\.?$/.test(channel)) throw new TypeError("this channel has no URL");
    const { type, body } = encodeBody(data, encoding);
    const headers = { "content-type": type, "idempotency-key": idempotencyKey };
    const path = `channels/${encodeURIComponent(channel)}`;
    return this.again(() => this.ask("POST", path, { event: name }, { headers, body, signal }), signal);
  }

  async request(name, data = null, { encoding, signal } = {}) {
    const { type, body } = encodeBody(data, encoding);
    return this.ask("POST", `requests/${encodeURIComponent(name)}`, {}, { headers: { "content-type": type }, body, signal }, this.payload);
  }

  /** Tries until it succeeds, or there is no more use in it. */
  async again(attempt, signal, helps = (error) => error.retryable) {
    for (let failures = 0; ; failures += 1) {
      try {
        return await attempt();
      } catch (error) {
        const wait = helps(error);
        if (!wait || failures >= this.#options.requestAttempts || signal?.aborted) throw error;
        await sleep(wait > 1 ? wait : backoff(this.#options, failures, error.retryAfter), signal);
      }
    }
  }
}

export function sleep(ms, signal) {
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

// Addresses and credentials of what is asked.

import { EventCastError } from "./errors.js";

export const list = (value) => (value === undefined ? [] : [value].flat());

export class Requests {
  /** How often the token was refused and renewed. */
  renewed = 0;
  /** The service said that what it was given last is good no more. */
  stale = false;
  #options;
  #base;

  constructor(url, options) {
    this.#options = options;
    this.#base = new URL(url ?? "/", globalThis.location?.href);
    this.#base.pathname = this.#base.pathname.replace(/(\/events)?\/?$/, "/");
  }

  url(path, params) {
    const url = new URL(path, this.#base);
    url.search = this.#base.search;
    for (const name in params) for (const one of list(params[name])) url.searchParams.append(name, one);
    return url;
  }

  /** What `token` or `headers` gives. */
  async credential(name, refresh = this.stale) {
    const given = this.#options[name];
    try {
      return typeof given === "function" ? await given({ refresh }) : given;
    } catch (cause) {
      throw new EventCastError(`no ${name}: ${cause}`, "token", { retryable: true, cause });
    }
  }

  async fetch(url, init, refresh) {
    const { token, headers, credentials = "same-origin", fetch } = this.#options;
    const all = { ...(await this.credential("headers", refresh)), ...init.headers };
    const bearer = await this.credential("token", refresh);
    if (bearer) all.authorization = `Bearer ${bearer}`;
    // A redirect that is followed may lose the credentials, or go round for ever.
    const response = await fetch(url, { cache: "no-store", redirect: "manual", credentials, ...init, headers: all });
    if (response.status !== 401 || refresh || ![token, headers].some((given) => typeof given === "function")) return response;
    response.body?.cancel().catch(() => {});
    this.renewed += 1;
    return this.fetch(url, init, true);
  }
}

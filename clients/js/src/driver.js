// Connects, and comes back until there is no more use in it.

import { bell } from "./bell.js";
import { Feed } from "./feed.js";
import { connect } from "./link.js";
import { complete } from "./options.js";
import { holdWhileAway } from "./page.js";
import { Choice, backoff, pace } from "./pace.js";
import { refusal } from "./refusal.js";
import { Requests, list } from "./requests.js";

export class Driver {
  state = "idle";
  /** The connection, or the attempt at one. */
  link;
  /** There was a connection. */
  opened;
  /** Why it is closed. */
  reason;
  /** What waits for who iterates. */
  queue;
  /** Rings whenever something did. */
  changed = bell();
  #tell;
  #choice;
  #pace;
  #failures = 0;
  #holds = new Set();
  #release;
  #hurry;

  constructor(url, options, tell, deliver) {
    this.#tell = tell;
    this.options = complete(options);
    const { resume, channels, transports, attemptsPerMinute } = this.options;
    this.requests = new Requests(url, this.options);
    this.feed = new Feed(resume, list(channels), deliver, this.#open);
    this.#choice = new Choice(transports);
    this.#pace = pace(attemptsPerMinute);
  }

  get transport() { return (this.link ?? this.#choice.current).kind; }

  connect() {
    if (this.state !== "idle") return;
    this.#become("connecting");
    this.#release = holdWhileAway(this.options.pauseHidden, (why) => {
      this.#holds.add(why);
      this.link?.leave();
      this.poke();
    }, (why) => {
      this.#holds.delete(why);
      this.poke(true);
    });
    // What the same turn of the page still adds comes first.
    queueMicrotask(() => this.#run().catch((error) => this.finish("error", error)));
  }

  async #run() {
    while (!this.reason) {
      if (this.#held() || this.queue?.full(0.5)) {
        this.#become("paused");
        await this.changed.wait();
        continue;
      }
      this.#become("connecting");
      const { kind, run } = this.#choice.current;
      const link = (this.link = connect(kind, this.options, this.requests, this.#query, this.feed.take));
      const { renewed } = this.requests;
      const began = Date.now();
      let failure;
      try {
        await run(link);
      } catch (error) {
        failure = link.signal.reason ?? error;
      }
      link.abort();
      this.link = undefined;
      if (this.reason) return;
      if (!link.quiet) this.#pace(began);
      if (link.opened) this.#choice[link.end?.reason === "draining" ? "drained" : "worked"]();
      if (link.progressed) this.#failures = 0;
      const wait = link.quiet ? 0 : await this.#next(link, failure, renewed);
      await this.#waiting(Math.max(wait, this.#pace()));
    }
  }

  /** How long to wait after a connection; the end if it was the last. */
  async #next(link, failure = {}, renewed) {
    const { reason, retry } = link.end ?? {};
    const { status, retryAfter } = failure;
    const later = () => backoff(this.options, this.#failures++, retryAfter, retry);
    const over = (error) => this.finish("error", error);
    if (reason === "expired" || reason === "revoked") this.requests.stale = true;
    if (reason === "completed" || reason === "closed") return this.finish(reason);
    if (failure.code === "too_large") return over(failure);
    const refused = status !== undefined; // 0 for a page's redirects
    if (reason || (link.opened && !refused) || failure.code === "token") return later();
    const { isLast } = this.#choice;
    if (link.kind === "websocket" && (isLast || this.options.token)) {
      // A page is not told why a WebSocket is refused.
      const why = await this.#probe();
      if (why?.byService && !why.retryable) return over(why);
      if (this.requests.renewed > renewed) return 0;
    }
    // Something on the way may let another transport through.
    if (!failure.byService) {
      if (this.#choice.blocked()) return 0;
      if (!refused || !isLast) return later();
    }
    return failure.retryable ? later() : over(failure);
  }

  /** Why the service would refuse, if it does. */
  async #probe() {
    const url = this.requests.url("events", { ...this.#query(), format: "json" });
    try {
      const signal = AbortSignal.timeout(this.options.connectTimeout);
      const response = await this.requests.fetch(url, { method: "HEAD", signal });
      return response.ok ? undefined : await refusal(response);
    } catch {}
  }

  /** The subscription. */
  #query = () => {
    const { start, slow, event } = this.options;
    const { wanted, processed } = this.feed;
    return { channel: [...wanted], last_event_id: processed, start, slow, event };
  };

  #open = (link, { retry, channels = [...this.feed.wanted] }) => {
    this.opened = true;
    this.requests.stale = false;
    if (retry >= 0) this.options.retry = retry;
    this.#become("open");
    this.#tell("open", { transport: link.kind, channels });
    this.poke();
  };

  #become(state) {
    const previous = this.state;
    if (previous === state || previous === "closed") return;
    this.state = state;
    this.#tell("state", { state, previous });
  }

  finish(reason, error) {
    if (this.reason) return;
    this.reason = reason;
    this.error = error;
    this.#release?.();
    this.#become("closed");
    this.link?.abort();
    if (reason === "client") this.queue?.clear();
    this.queue?.wake();
    this.poke();
    if (error) this.#tell("error", { error });
    this.#tell("close", { reason, error });
  }

  #held() { return !this.feed.wanted.size || this.#holds.size; }

  async #waiting(limit) {
    const until = Date.now() + limit;
    this.#hurry = false;
    for (let left = limit; left > 0 && !this.reason && !this.#hurry && !this.#held(); left = until - Date.now()) {
      this.#become("waiting");
      await this.changed.wait(left);
    }
  }

  /** Something changed: look again, and with `hurry` wait no longer. */
  poke(hurry) {
    this.#hurry ||= hurry;
    this.changed.ring();
  }
}

// Connects, and comes back until there is no more use in it.

import { isTemporary } from "./errors.js";
import { Feed } from "./feed.js";
import { connect } from "./link.js";
import { complete } from "./options.js";
import { holdWhileAway } from "./page.js";
import { Choice, Pace, backoff } from "./pace.js";
import { Requests, list } from "./requests.js";

export class Driver {
  state = "idle";
  /** The connection, or the attempt at one. */
  link;
  /** There was a connection. */
  opened;
  queue;
  #tell;
  #choice;
  #pace;
  #failures = 0;
  #holds = new Set();
  #release;
  #opening = [];
  #wake = () => {};
  #hurry;

  constructor(url, options, tell, deliver) {
    this.#tell = tell;
    this.options = complete(options);
    this.requests = new Requests(url, this.options);
    this.feed = new Feed(this.options.resume || undefined, list(this.options.channels), deliver, this.#open);
    this.#choice = new Choice(this.options.transports);
    this.#pace = new Pace(this.options.attemptsPerMinute);
  }

  get transport() { return this.link?.kind ?? this.#choice.current.kind; }

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
    for (;;) {
      while (this.state !== "closed" && (this.#held() || this.queue?.full(0.5))) {
        this.#become("paused");
        await this.#pause();
      }
      if (this.state === "closed") return;
      this.#become("connecting");
      const { kind, run } = this.#choice.current;
      const link = connect(kind, this.options, this.requests, this.#query, this.feed.take);
      const { renewed } = this.requests;
      const began = Date.now();
      this.link = link;
      let failure;
      try {
        await run(link);
      } catch (error) {
        failure = link.signal.aborted ? link.signal.reason : error;
      }
      link.abort();
      if (this.state === "closed") return;
      this.link = undefined;
      if (!link.quiet) this.#pace.note(began);
      if (link.opened) this.#choice[link.end?.reason === "draining" ? "drained" : "worked"]();
      if (link.progressed) this.#failures = 0;
      const wait = link.quiet ? 0 : await this.#next(link, failure, renewed);
      if (this.state === "closed") return;
      await this.#waiting(Math.max(wait, this.#pace.wait()));
    }
  }

  /** How long to wait after a connection; nothing if it was the last. */
  async #next(link, failure = {}, renewed) {
    const { reason, retry } = link.end ?? {};
    const later = (retryAfter) => backoff(this.options, (this.#failures += 1) - 1, retryAfter, retry);
    if (reason === "completed" || reason === "closed") return this.finish(reason);
    if (failure.code === "too_large") return this.finish("error", failure);
    if (reason || link.opened && !failure.status || failure.code === "token") return later();
    if (!failure.status && link.kind === "websocket") {
      // A page is not told why a WebSocket is refused.
      const { isLast } = this.#choice;
      const { token } = this.options;
      if (isLast || typeof token === "function") {
        try {
          await this.requests.ask("HEAD", "events", { ...this.#query(), format: "json" }, {}, () => {});
          if (this.requests.renewed > renewed) return 0;
        } catch (error) {
          if (error.byService ?? (error.status >= 400 && !isTemporary(error.status))) return this.finish("error", error);
        }
      }
    }
    const { isLast } = this.#choice;
    // Something on the way may let another transport through.
    if (!failure.byService) {
      if (this.#choice.blocked()) return 0;
      if (!failure.status || !isLast) return later(failure.retryAfter);
    }
    return isTemporary(failure.status) ? later(failure.retryAfter) : this.finish("error", failure);
  }

  /** The subscription. */
  #query = () => {
    const { start, slow, event } = this.options;
    const { wanted, wire } = this.feed;
    return { channel: [...wanted], last_event_id: wire, start, slow, event };
  };

  #open = (link, { retry, channels }) => {
    this.opened = true;
    if (retry >= 0) this.options.retry = retry;
    this.#become("open");
    this.#tell("open", { transport: link.kind, channels: channels ?? [...this.feed.wanted] });
    this.#flush();
  };

  /** The open connection, once there is one. */
  async whenOpen() {
    while (!this.link?.opened || this.link.signal.aborted) {
      if (this.state === "closed") throw this.error ?? new Error("the client is closed");
      await new Promise((done) => this.#opening.push(done));
    }
    return this.link;
  }

  #flush() {
    for (const done of this.#opening.splice(0)) done();
  }

  #become(state) {
    const previous = this.state;
    if (previous === state || previous === "closed") return;
    this.state = state;
    this.#tell("state", { state, previous });
  }

  finish(reason, error) {
    if (this.state === "closed") return;
    this.reason = reason;
    this.error = error;
    this.#release?.();
    this.#become("closed");
    this.link?.abort();
    this.link = undefined;
    this.queue?.release();
    this.#flush();
    this.#wake();
    if (error) this.#tell("error", { error });
    this.#tell("close", { reason, error });
  }

  #held() { return !this.feed.wanted.size || this.#holds.size > 0; }

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
    const until = Date.now() + limit;
    this.#hurry = false;
    while (this.state !== "closed" && !this.#hurry && !this.#held() && Date.now() < until) {
      this.#become("waiting");
      await this.#pause(until - Date.now());
    }
  }

  /** Something changed: look again, and with `hurry` wait no longer. */
  poke(hurry) {
    this.#hurry ||= hurry;
    this.#wake();
  }
}

// Which transport, and how long to wait.

/** Failures in a row before another transport takes the place of one that worked. */
const MISSES = 3;
const MINUTE = 60_000;

/** The transport to take; the first that works is kept. */
export class Choice {
  #order;
  #at = 0;
  #proven;
  #misses = 0;

  constructor(order) {
    this.#order = order;
  }

  get current() { return this.#order[this.#at]; }
  get isLast() { return this.#at + 1 === this.#order.length; }

  worked() {
    this.#proven = true;
    this.#misses = 0;
  }

  /** A draining server still opens event streams, and no WebSockets: that is no reason to change. */
  drained() {
    if (!this.#proven) this.#at = 0;
  }

  /** The server may be there, but the transport did not get through. Returns whether to try
   * another one at once, that is, without having begun the order anew. */
  blocked() {
    if ((this.#misses += 1) < MISSES && this.#proven) return false;
    const { isLast } = this;
    this.#at = isLast ? 0 : this.#at + 1;
    this.#proven = false;
    this.#misses = 0;
    return !isLast;
  }
}

/** The wait after so many failures, at random: clients of one server lose it at the same time.
 * `retryAfter` is the server's least, `about` what it says to this client. */
export function backoff({ retry, minRetry, maxRetry }, failures, retryAfter, about) {
  const chance = Math.random();
  const base = Math.min(Math.max(retry, minRetry), maxRetry);
  const wait = about !== undefined ? about * (0.5 + chance)
    : failures ? base / 2 + chance * (Math.min(maxRetry, base * 2 ** failures) - base / 2)
      : base * (0.5 + chance);
  return Math.max(wait, minRetry, (retryAfter ?? 0) * (1 + chance / 2));
}

/** The attempts of the last minute. */
export class Pace {
  #attempts = [];
  #most;

  constructor(most) {
    this.#most = Math.max(most, 1);
  }

  note(at) {
    this.#attempts.push(at);
    if (this.#attempts.length > this.#most) this.#attempts.shift();
  }

  /** How long to wait before another one. */
  wait() {
    return this.#attempts.length < this.#most ? 0 : Math.max(0, this.#attempts[0] + MINUTE - Date.now());
  }
}

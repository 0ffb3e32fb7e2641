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
  get isLast() { return !this.#order[this.#at + 1]; }

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
    if (++this.#misses < MISSES && this.#proven) return false;
    this.#at = this.isLast ? 0 : this.#at + 1;
    this.#proven = false;
    this.#misses = 0;
    return this.#at > 0;
  }
}

/** The wait after so many failures, at random: clients of one server lose it at the same time.
 * `retryAfter` is the server's least, `about` what it says to this client. */
export function backoff({ retry, minRetry, maxRetry }, failures, retryAfter = 0, about) {
  const chance = Math.random();
  const base = Math.min(about ?? Math.max(retry, minRetry), about ?? maxRetry);
  const most = failures && about === undefined ? Math.min(maxRetry, base * 2 ** failures) : base * 1.5;
  return Math.max(base / 2 + chance * (most - base / 2), minRetry, retryAfter * (1 + chance / 2));
}

/** Counts the attempts of the last minute. Returns how long to wait before another one. */
export function pace(most) {
  const attempts = [];
  return (at) => {
    if (at) attempts.push(at);
    if (attempts.length > most) attempts.shift();
    return attempts.length < most ? 0 : attempts[0] + MINUTE - Date.now();
  };
}

// What waits for who iterates, and how far they have come.

import { bell } from "./bell.js";

export class Queue {
  /** The id up to which the user is done. */
  processed;
  #entries = [];
  #size = 0;
  #handed; // what the user works on
  #changed = bell();
  #options;

  constructor(options, processed) {
    this.#options = options;
    this.processed = processed;
  }

  /** Whether this share of the room is taken. */
  full(share) {
    const { maxQueue, maxQueueBytes } = this.#options;
    const { length } = this.#entries;
    return length && (length >= maxQueue * share || this.#size >= maxQueueBytes * share);
  }

  /** Returns a promise if it is full now: it is kept once there is room. */
  push(delivery, id, size) {
    this.#entries.push({ delivery, id, size });
    this.#size += size;
    this.#changed.ring();
    return this.full(1) && this.#room();
  }

  async #room() {
    while (this.full(0.5)) await this.#changed.wait();
  }

  /** The id counts once all before it is processed. */
  move(id) {
    const last = this.#entries.at(-1) ?? this.#handed;
    if (last) last.id = id;
    else this.processed = id;
  }

  /** The next delivery, once there is one; whoever asks is done with the one before. */
  async next(isOver) {
    if (this.#handed?.id) this.processed = this.#handed.id;
    this.#handed = undefined;
    while (!this.#entries.length && !isOver()) await this.#changed.wait();
    const entry = (this.#handed = this.#entries.shift());
    this.#size -= entry?.size ?? 0;
    this.#changed.ring();
    return entry?.delivery;
  }

  clear() {
    this.#entries = [];
  }

  /** Whoever waits looks again. */
  wake() {
    this.#changed.ring();
  }
}

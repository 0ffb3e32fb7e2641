// What waits for who iterates, and how far they have come.

export class Queue {
  /** The id up to which the user is done. */
  processed;
  #entries = [];
  #size = 0;
  #handed; // what the user works on
  #room = [];
  #more;
  #options;

  constructor(options, processed) {
    this.#options = options;
    this.processed = processed;
  }

  /** Whether this share of the room is taken. */
  full(share) {
    const { maxQueue, maxQueueBytes } = this.#options;
    const { length } = this.#entries;
    return length > 0 && (length >= maxQueue * share || this.#size >= maxQueueBytes * share);
  }

  /** Returns a promise if it is full now: it is kept once there is room. */
  push(delivery, id, size) {
    this.#entries.push({ delivery, id, size });
    this.#size += size;
    this.#more?.();
    if (this.full(1)) return new Promise((done) => this.#room.push(done));
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
    while (!this.#entries.length && !isOver()) await new Promise((done) => { this.#more = done; });
    const entry = this.#entries.shift();
    this.#handed = entry;
    if (entry) this.#size -= entry.size;
    if (!this.full(0.5)) this.release();
    return entry?.delivery;
  }

  clear() {
    this.#entries = [];
  }

  /** Whoever waits looks again. */
  release() {
    for (const done of this.#room.splice(0)) done();
    this.#more?.();
  }
}

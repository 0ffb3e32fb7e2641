// From the server's messages to what the user is told, each once.

import { garbled, hint } from "./errors.js";
import { isAfter, isId, published } from "./wire.js";

/** Where a client stands: up to where it has been told everything, and which channels it wants. */
export class Feed {
  /** Resume here: all up to it is told, or in the queue. */
  processed;
  wanted;
  /** Is shown every message that counts. */
  tap;
  #completed = new Set();
  #log = "recovered"; // or `stalled`
  #floor; // events up to it came already; none while the gaps of a broken resume come
  #deliver;
  #opened;

  constructor(id, channels, deliver, opened) {
    this.processed = this.#floor = id;
    this.wanted = new Set(channels);
    this.#deliver = deliver;
    this.#opened = opened;
  }

  want(channel) {
    this.wanted.add(channel);
    this.#completed.delete(channel);
  }

  unwant(channel) {
    this.wanted.delete(channel);
    this.#completed.delete(channel);
  }

  /** Nothing was followed meanwhile. */
  forget() {
    this.processed = this.#floor = undefined;
  }

  take = (link, message, size) => {
    const { type, id, ref, channel, reason } = message;
    if (id !== undefined && !isId(id)) throw garbled();
    if (type === "open") {
      this.#log = "recovered";
      link.open(message.heartbeat);
    }
    else if (!link.opened) throw garbled();
    else link.progressed = true;
    link.answers?.get(ref)?.(message);
    if (type === "published") return;
    let delivery;
    if (type === undefined || type === "ephemeral") {
      delivery = published(message, type);
      if (!type && !isAfter(id, this.#floor)) return;
    } else if (type === "gap" || type === "completed" || type === "conflated") {
      if (typeof channel !== "string") throw garbled();
      const { type: kind, retry, ...rest } = message;
      delivery = { kind, id, ...rest };
      if (reason === "epoch" || reason === "unknown") {
        this.#floor = undefined;
        this.#completed.delete(channel);
      } else if (type === "completed" && this.wanted.has(channel)) {
        this.#completed.add(channel);
      }
    } else if (type === "stalled" || type === "recovered") {
      if (this.#log !== type) delivery = { kind: this.#log = type };
    } else if (type === "draining" || type === "closed" || type === "end") {
      link.finish(reason ?? type, hint(message.retry));
    }
    const moved = id && isAfter(id, this.#floor) ? id : undefined;
    if (moved) this.processed = this.#floor = id;
    if (type === "open") this.#opened(link, message);
    if (delivery) link.told += 1;
    this.tap?.(message, size);
    const room = this.#deliver(delivery, moved, size);
    if (type === "completed" && this.#completed.size === this.wanted.size) link.finish("completed");
    return room;
  };
}

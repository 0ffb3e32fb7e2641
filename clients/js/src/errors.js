// What went wrong, and whether a retry helps.

const MAX_HINT = 3_600_000;

/** Why it ended or was refused. `code` is a WebSocket's error code, what the status stands for, or
 * `unreachable`, `disconnected`, `garbled`, `too_large`, `token`, `closed`. */
export class EventCastError extends Error {
  constructor(message, code, more) {
    super(message);
    this.name = "EventCastError";
    this.code = code;
    Object.assign(this, more);
  }
}

export const lost = (why) => new EventCastError(why, "disconnected", { retryable: true });
export const garbled = () => new EventCastError("the answer is not understood", "garbled", { retryable: true });
export const tooLarge = () => new EventCastError("a message is larger than maxMessage", "too_large");

/** A server's word about a time, in ms. */
export const hint = (value) => (value >= 0 ? Math.min(value, MAX_HINT) : undefined);

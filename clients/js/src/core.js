// Events to who listens. The iterator, and what is asked of the server, are in `client.js`.

import { Driver } from "./driver.js";

/** Names of the client's own events; published ones of the same name come as `event` only. */
const OWN = /^(event|open|gap|completed|conflated|stalled|recovered|state|error|close)$/;

export { EventCastError } from "./errors.js";

/** What is behind a client. */
export let driverOf;

export class EventCast extends EventTarget {
  #driver;

  static {
    driverOf = (client) => client.#driver;
  }

  constructor(url, options = {}) {
    super();
    this.#driver = new Driver(url, options, this.#tell, this.#deliver);
  }

  /** `idle`, `connecting`, `open`, `waiting`, `paused` or `closed`. */
  get state() { return this.#driver.state; }
  /** The id up to which everything has been processed: what to resume with. */
  get lastEventId() { return (this.#driver.queue ?? this.#driver.feed).processed; }
  /** The transport in use, or the one to be tried next. */
  get transport() { return this.#driver.transport; }
  get channels() { return [...this.#driver.feed.wanted]; }
  /** Why it is closed: `completed`, `closed` (by the server), `client` or `error`. */
  get reason() { return this.#driver.reason; }
  get error() { return this.#driver.error; }

  /** The first listener connects. */
  addEventListener(...args) {
    super.addEventListener(...args);
    this.connect();
  }

  connect() { this.#driver.connect(); }

  close() { this.#driver.finish("client"); }

  #tell = (type, members) => {
    this.dispatchEvent(Object.assign(new Event(type), members));
  };

  /** Tells the listeners, and puts it into the iterator's queue; returns a promise if that is full. */
  #deliver = (delivery, id, size) => {
    const { queue } = this.#driver;
    if (!delivery) return void (id && queue?.move(id));
    this.#driver.delivered = true;
    const room = queue?.push(delivery, id, size);
    const { kind, encoding, name = "message" } = delivery;
    this.#tell(encoding ? "event" : kind, delivery);
    if (encoding && !OWN.test(name)) this.#tell(name, delivery);
    return room;
  };
}

// Events to who listens or iterates. What is asked of the server is in `client.js`.

import { Driver } from "./driver.js";
import { Queue } from "./queue.js";

/** Names of the client's own events; published ones of the same name come as `event` only. */
const OWN = /^(event|open|gap|completed|conflated|state|error|close)$/;

/** What is behind a client. */
export let driverOf;

export class EventCast extends EventTarget {
  #driver;
  #delivered;

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

  /** Deliveries in order. Leaving the loop closes the client. */
  [Symbol.asyncIterator]() {
    const driver = this.#driver;
    if (driver.queue || this.#delivered) throw new TypeError("iterate once, and before anything is delivered");
    driver.queue = new Queue(driver.options, this.lastEventId);
    this.connect();
    let thrown;
    return {
      [Symbol.asyncIterator]() { return this; },
      next: async () => {
        const value = await driver.queue.next(() => this.reason);
        driver.poke();
        if (!value && this.error && !thrown) {
          thrown = true;
          throw this.error;
        }
        return { value, done: !value };
      },
      return: async () => {
        this.close();
        return { value: undefined, done: true };
      },
    };
  }

  #tell = (type, members) => {
    this.dispatchEvent(Object.assign(new Event(type), members));
  };

  /** Tells the listeners, and puts it into the iterator's queue; returns a promise if that is full. */
  #deliver = (delivery, id, size) => {
    const { queue } = this.#driver;
    if (!delivery) return void (id && queue?.move(id));
    this.#delivered = true;
    const room = queue?.push(delivery, id, size);
    const { kind, encoding, name = "message" } = delivery;
    this.#tell(encoding ? "event" : kind, delivery);
    if (encoding && !OWN.test(name)) this.#tell(name, delivery);
    return room;
  };
}

// What a user has in hand.

import { subscribe, unsubscribe } from "./changes.js";
import { Driver } from "./driver.js";
import { ask } from "./link.js";
import { Queue } from "./queue.js";
import { decode, encode } from "./wire.js";

/** Names of the client's own events; published ones of the same name come as `event` only. */
const OWN = /^(event|open|gap|completed|conflated|state|error|close)$/;

export class EventCast extends EventTarget {
  #driver;
  #delivered;

  constructor(url, options = {}) {
    super();
    this.#driver = new Driver(url, options, this.#tell, this.#deliver);
  }

  /** `idle`, `connecting`, `open`, `waiting`, `paused` or `closed`. */
  get state() { return this.#driver.state; }
  /** The id up to which everything has been processed: what to resume with. */
  get lastEventId() { return (this.#driver.queue ?? { processed: this.#driver.feed.wire }).processed; }
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

  close() {
    this.#driver.queue?.clear();
    this.#driver.finish("client");
  }

  /** Deliveries in order. Leaving the loop closes the client. */
  [Symbol.asyncIterator]() {
    const driver = this.#driver;
    if (driver.queue || this.#delivered) throw new TypeError("iterate once, and before anything is delivered");
    driver.queue = new Queue(driver.options, driver.feed.wire);
    this.connect();
    let thrown;
    return {
      [Symbol.asyncIterator]() { return this; },
      next: async () => {
        const taking = driver.queue.next(() => this.state === "closed");
        const value = await taking;
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

  /** Adds channels to the live session. */
  subscribe(channels, options = {}) { return subscribe(this.#driver, [channels].flat(), options); }

  /** Removes channels from the live session. */
  unsubscribe(channels) { return unsubscribe(this.#driver, [channels].flat()); }

  /** Publishes by POST; a retry stores nothing twice. */
  publish(...args) { return this.#driver.requests.publish(...args); }

  /** Asks the server something, and is answered with a payload. Never asked twice. */
  async request(name, data, { encoding, signal } = {}) {
    const { link, requests } = this.#driver;
    if (!link?.opened || !link.send) return requests.request(name, data, { encoding, signal });
    return decode(await ask(link, { type: "request", name, ...encode(data, encoding) }, signal)).data;
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
    const { kind, name = "message" } = delivery;
    if (kind === "event" || kind === "ephemeral") {
      this.#tell("event", delivery);
      if (!OWN.test(name)) this.#tell(name, delivery);
    } else {
      this.#tell(kind, delivery);
    }
    return room;
  };
}

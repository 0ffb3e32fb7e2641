// A client that can be iterated, and asks the server for something.

import { ask, presence, publish, refresh, request, subscribe, unsubscribe, update } from "./calls.js";
import { EventCast as Core, driverOf } from "./core.js";
import { encode } from "./payloads.js";
import { Queue } from "./queue.js";
import { decode } from "./wire.js";

export class EventCast extends Core {
  /** Deliveries in order. Leaving the loop closes the client. */
  [Symbol.asyncIterator]() {
    const driver = driverOf(this);
    if (driver.queue || driver.delivered) throw new TypeError("iterate once, and before anything is delivered");
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

  /** Adds channels to the live session. */
  subscribe(channels, options = {}) { return subscribe(driverOf(this), [channels].flat(), options); }

  /** Removes channels from the live session. */
  unsubscribe(channels) { return unsubscribe(driverOf(this), [channels].flat()); }

  /** Publishes by POST; a retry stores nothing twice. */
  publish(channel, data, options = {}) { return publish(driverOf(this), channel, data, options); }

  /** Who is on a channel, or how many. */
  presence(channel, options = {}) { return presence(driverOf(this), channel, options); }

  /** Sets the state of this client's member on a channel that its URL has it enter. */
  async update(channel, state) { await update(driverOf(this), channel, state); }

  /** Brings new credentials, asked of `token`, before the old ones expire. */
  refresh() { return refresh(driverOf(this)); }

  /** Asks the server something, and is answered with a payload. Never asked twice. */
  async request(name, data, { encoding, signal } = {}) {
    const driver = driverOf(this);
    const { link } = driver;
    if (!link?.opened || !link.send) return request(driver, name, data, { encoding, signal });
    return decode(await ask(link, { type: "request", name, ...encode(data, encoding) }, signal)).data;
  }
}

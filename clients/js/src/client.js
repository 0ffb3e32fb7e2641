// A client that also asks the server for something.

import { ask, publish, request, subscribe, unsubscribe } from "./calls.js";
import { EventCast as Core, driverOf } from "./core.js";
import { encode } from "./payloads.js";
import { decode } from "./wire.js";

export class EventCast extends Core {
  /** Adds channels to the live session. */
  subscribe(channels, options = {}) { return subscribe(driverOf(this), [channels].flat(), options); }

  /** Removes channels from the live session. */
  unsubscribe(channels) { return unsubscribe(driverOf(this), [channels].flat()); }

  /** Publishes by POST; a retry stores nothing twice. */
  publish(channel, data, options = {}) { return publish(driverOf(this), channel, data, options); }

  /** Asks the server something, and is answered with a payload. Never asked twice. */
  async request(name, data, { encoding, signal } = {}) {
    const driver = driverOf(this);
    const { link } = driver;
    if (!link?.opened || !link.send) return request(driver, name, data, { encoding, signal });
    return decode(await ask(link, { type: "request", name, ...encode(data, encoding) }, signal)).data;
  }
}

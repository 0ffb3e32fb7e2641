// One connection for all tabs of an origin. The tab that holds a Web Lock has it, and tells the
// others over a BroadcastChannel what comes. Each tab has its own place: it catches up by polls that
// do not wait until it has reached the place of the connection, and goes on from what it is told.

import { whenOpen } from "./calls.js";
import { EventCast } from "./client.js";
import { driverOf } from "./core.js";
import { EventCastError, lost } from "./errors.js";
import { pollOnce } from "./transports.js";
import { isAfter } from "./wire.js";

const ORDER = ["websocket", "sse", "stream", "poll"];
/** How long a tab that left may take to come back, in ms. */
const GRACE = 1000;
/** Messages that may wait while a tab catches up. */
const MOST_WAITING = 10_000;

/** For the option `transports`. Where there are no Web Locks or BroadcastChannels it is
 * `transports`, and each tab has its own connection. */
export function tabs({ name, transports = ORDER } = {}) {
  if (!globalThis.BroadcastChannel || !globalThis.navigator?.locks) return transports;
  const run = (link) => follow(link, name, transports);
  return [Object.assign(run, { kind: "shared" })];
}

async function follow(link, name, transports) {
  const { key, signal, requests, options } = link;
  const { slow, event } = options;
  const url = requests.url("events", { slow, event }).href;
  const group = `eventcast ${name ?? url}`;
  const { channel: wanted } = link.query();
  const bus = new BroadcastChannel(group);
  const withdraw = candidate(group, requests.url("events").href, { ...options, transports, channels: [], resume: undefined, start: undefined });
  const waiting = []; // once the place is known
  let place;
  let live;
  link.rejoins = true;
  const take = ({ message, size }) => {
    const mine = message.channel === undefined || wanted.some((one) => covers(one, message.channel) || covers(message.channel, one));
    // The place moves on over what others wanted.
    const own = mine ? message : message.id && { type: "position", id: message.id };
    // What its own polls brought already.
    if (!own || (own.id && !isAfter(own.id, link.query().last_event_id))) return;
    if (link.message(own, size)) link.leave();
  };
  try {
    // Gone with the tab, however it goes. It is there before the leader asks for it.
    await new Promise((held, failed) => {
      navigator.locks.request(`${group} ${key}`, () => {
        held();
        return ended(signal);
      }).catch(failed);
    });
    const join = () => bus.postMessage({ type: "join", tab: key, channels: wanted });
    place = await new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      bus.onmessage = ({ data }) => {
        if (data.tab && data.tab !== key) return;
        if (data.type === "joined") resolve((place = data.id));
        else if (data.type === "refused") {
          const { message, code, ...more } = data.error;
          const error = new EventCastError(message, code, more);
          reject(error);
          link.abort(error);
        } else if (data.type === "leader" && place === undefined) join();
        else if (data.type === "leader" || data.type === "down") link.leave();
        else if (data.type === "message" && place !== undefined) {
          if (live) take(data);
          else if (waiting.push(data) > MOST_WAITING) link.leave();
        }
        if (link.end) link.abort();
      };
      join();
    });
    for (let before; !link.end; before = link.query().last_event_id) {
      const at = link.query().last_event_id;
      if (at && link.opened && !isAfter(place, at)) break;
      if (at && at === before) throw lost("the shared connection is elsewhere");
      await pollOnce(link, 0);
    }
    live = true;
    waiting.forEach(take);
    if (!link.end) await ended(signal);
    if (!link.end && signal.reason) throw signal.reason;
  } finally {
    bus.close();
    withdraw();
  }
}

const ended = (signal) => new Promise((done) => (signal.aborted ? done() : signal.addEventListener("abort", done)));

const covers = (wide, narrow) => wide === narrow || (wide.endsWith("*") && narrow.startsWith(wide.slice(0, -1)));

const candidates = new Map();

/** This tab would have the connection. Returns what takes that back. */
function candidate(group, ...how) {
  let one = candidates.get(group);
  if (!one) {
    const controller = new AbortController();
    candidates.set(group, (one = { count: 0, controller }));
    const { signal } = controller;
    navigator.locks.request(group, { signal }, () => lead(group, signal, ...how)).catch(() => {});
  }
  one.count += 1;
  return () => setTimeout(() => {
    if ((one.count -= 1)) return;
    candidates.delete(group);
    one.controller.abort();
  }, GRACE);
}

/** Has the connection until it is told to stop. */
async function lead(group, signal, url, options) {
  const bus = new BroadcastChannel(group);
  const joined = new Map(); // tab → its channels
  const post = (message) => bus.postMessage(message);
  let client;
  let turn = Promise.resolve();
  // One after the other: changes of the session must not overtake each other.
  const inTurn = (act) => { turn = turn.then(act); };

  const open = (channels) => {
    const opened = new EventCast(url, { ...options, channels });
    driverOf(opened).feed.tap = (message, size) => post({ type: "message", message, size });
    opened.addEventListener("state", ({ previous }) => { if (previous === "open") post({ type: "down" }); });
    opened.addEventListener("close", ({ reason, error }) => {
      if (client === opened) client = undefined;
      if (error) post(refused(error));
      else if (reason === "closed") post({ type: "message", message: { type: "end", reason } });
    });
    return opened;
  };
  const join = async (tab, channels) => {
    if (!joined.has(tab)) navigator.locks.request(`${group} ${tab}`, () => setTimeout(inTurn, GRACE, () => leave(tab))).catch(() => {});
    joined.set(tab, channels);
    try {
      const opened = (client ??= open(channels));
      const missing = channels.filter((one) => !opened.channels.includes(one));
      if (missing.length) await opened.subscribe(missing);
      const driver = driverOf(opened);
      await whenOpen(driver);
      const id = driver.feed.processed;
      if (!id) throw lost("the shared connection has no place yet");
      post({ type: "joined", tab, id });
    } catch (error) {
      post({ ...refused(error), tab });
    }
  };
  const leave = async (tab) => {
    joined.delete(tab);
    const wanted = new Set([...joined.values()].flat());
    const unwanted = client?.channels.filter((one) => !wanted.has(one)) ?? [];
    if (!wanted.size) client?.close();
    else if (unwanted.length) await client.unsubscribe(unwanted);
  };
  bus.onmessage = ({ data: { type, tab, channels } }) => {
    if (type === "join") inTurn(() => join(tab, channels));
  };
  post({ type: "leader" });
  await ended(signal);
  client?.close();
  bus.close();
}

/** What is refused for one channel is final for who wants it. */
const refused = ({ message, code, status, retryAfter, retryable, byService }) => ({
  type: "refused",
  error: { message, code, retryAfter, retryable, status: status ?? (retryable ? undefined : 403), byService: byService ?? !retryable },
});

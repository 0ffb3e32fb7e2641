import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventCast } from "../src/index.js";
import { TRANSPORTS, client, next, startHub, take } from "./support.js";

const LIMIT = { timeout: 30_000 };
let hub;
let names = 0;
const fresh = () => `channel ${(names += 1)}/ü`;

before(async () => { hub = await startHub(); });
after(() => hub.stop());

for (const transport of TRANSPORTS) {
  describe(`over ${transport}`, LIMIT, () => {
    const open = (t, channels, options) => client(t, hub.url, { channels, transports: transport, ...options });

    test("payloads arrive as they were published", async (t) => {
      const channel = fresh();
      const binary = Uint8Array.of(0, 255, 13, 10);
      const events = open(t, channel, { start: "earliest" });
      await events.publish(channel, "a text\nof two lines");
      await events.publish(channel, { n: 1 }, { name: "tick ü" });
      await events.publish(channel, "a JSON string", { encoding: "json" });
      await events.publish(channel, binary);
      const seen = await take(events, 4);
      assert.deepEqual(seen.map(({ data, encoding, name }) => [data, encoding, name]), [
        ["a text\nof two lines", "text", undefined],
        [{ n: 1 }, "json", "tick ü"],
        ["a JSON string", "json", undefined],
        [binary, "binary", undefined],
      ]);
      assert.ok(seen.every((event) => event.channel === channel && event.id));
      assert.equal(events.state, "closed");
      assert.equal(events.reason, "client");
    });

    test("listeners hear names, and every event", async (t) => {
      const channel = fresh();
      const events = open(t, channel);
      const opened = next(events, "open");
      const heard = [];
      for (const type of ["event", "message", "tick", "gap"]) {
        events.addEventListener(type, (event) => heard.push([type, event.name, event.data]));
      }
      assert.equal((await opened).transport, transport);
      assert.equal(events.state, "open");
      const last = next(events, "event", (event) => event.data === 3);
      await events.publish(channel, 1);
      await events.publish(channel, 2, { name: "tick" });
      await events.publish(channel, 3, { name: "gap" });
      const { id } = await last;
      assert.equal(events.lastEventId, id);
      assert.deepEqual(heard, [
        ["event", undefined, 1], ["message", undefined, 1],
        ["event", "tick", 2], ["tick", "tick", 2],
        ["event", "gap", 3],
      ]);
    });

    test("channels come and go while it is open", async (t) => {
      const [one, two] = [fresh(), fresh()];
      const events = open(t, one);
      const heard = [];
      events.addEventListener("message", ({ channel, data }) => heard.push([channel, data]));
      await next(events, "open");
      await events.publish(two, "before");
      const { channels, history } = await events.subscribe(two, { start: "earliest" });
      assert.deepEqual([...channels].sort(), [one, two].sort());
      assert.deepEqual(history.map((page) => page.events.map((event) => event.data)), [["before"]]);
      assert.deepEqual(events.channels, [one, two]);
      let came = next(events, "message", (event) => event.channel === two);
      await events.publish(two, "joined");
      await came;
      await events.unsubscribe(two);
      await events.publish(two, "not heard");
      came = next(events, "message");
      await events.publish(one, "last");
      await came;
      assert.deepEqual(heard, [[two, "joined"], [one, "last"]]);

      await events.unsubscribe(one);
      if (events.state !== "paused") await next(events, "state", ({ state }) => state === "paused");
      await events.subscribe(two);
      came = next(events, "message");
      await events.publish(two, "again");
      assert.equal((await came).data, "again");
    });

    test("another client goes on after the last id that was processed", async (t) => {
      const channel = fresh();
      const events = open(t, channel, { start: "earliest" });
      for (let n = 0; n < 20; n += 1) await events.publish(channel, n);
      const seen = [];
      for await (const { data } of events) {
        // What is worked on is not processed yet.
        if (data === 5) break;
        seen.push(data);
      }
      const others = TRANSPORTS.filter((name) => name !== transport);
      const rest = client(t, hub.url, { channels: channel, transports: others[0], resume: events.lastEventId });
      seen.push(...(await take(rest, 15)).map((event) => event.data));
      assert.deepEqual(seen, Array.from({ length: 20 }, (_, n) => n));
    });

    test("a slow iterator bounds the queue and loses nothing", async (t) => {
      const channel = fresh();
      const events = open(t, channel, { start: "earliest", maxQueue: 8 });
      let opened = 0;
      const count = 300;
      for (let n = 0; n < count; n += 1) await events.publish(channel, n);
      let arrived = 0;
      events.addEventListener("open", () => { opened += 1; });
      events.addEventListener("event", () => { arrived += 1; });
      const seen = [];
      for await (const { data } of events) {
        seen.push(data);
        if (data % 10 === 0) await sleep(2);
        assert.ok(arrived - seen.length <= 8, `${arrived - seen.length} are queued`);
        if (seen.length === count) break;
      }
      assert.deepEqual(seen, Array.from({ length: count }, (_, n) => n));
      assert.ok(transport === "websocket" ? opened > 1 : opened === 1, `opened ${opened} times`);
    });

    test("a lost epoch is a gap", async (t) => {
      const channel = fresh();
      const events = open(t, channel, { resume: "00000007-a5" });
      await events.publish(channel, "kept");
      const [gap, event] = await take(events, 1);
      assert.deepEqual([gap.kind, gap.channel, gap.reason], ["gap", channel, "epoch"]);
      assert.equal(event.data, "kept");
    });
  });
}

test("a retried publish stores nothing twice", LIMIT, async (t) => {
  const channel = fresh();
  const events = client(t, hub.url, { channels: channel });
  const first = await events.publish(channel, "x", { idempotencyKey: "k" });
  assert.deepEqual(await events.publish(channel, "x", { idempotencyKey: "k" }), first);
});

test("a request that the server does not know is told so", LIMIT, async (t) => {
  for (const transports of ["websocket", "poll"]) {
    const events = client(t, hub.url, { channels: fresh(), transports });
    await next(events, "open");
    await assert.rejects(events.request("dance", [1]), { name: "EventCastError", code: "not_found" });
  }
});

test("what cannot work is said at once", () => {
  assert.throws(() => new EventCast(hub.url, { transports: ["pigeon"] }), TypeError);
  assert.throws(() => new EventCast(hub.url, { transports: ["websocket"], token: "t" }), TypeError);
});

test("iteration that begins too late is refused, not short of events", LIMIT, async (t) => {
  const channel = fresh();
  const events = client(t, hub.url, { channels: channel });
  const came = next(events, "message");
  await next(events, "open");
  await events.publish(channel, 1);
  await came;
  assert.throws(() => events[Symbol.asyncIterator](), TypeError);
});

test("offline it pauses, online it goes on", LIMIT, async (t) => {
  const target = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener"]) {
    globalThis[name] = target[name].bind(target);
    t.after(() => { delete globalThis[name]; });
  }
  const channel = fresh();
  const events = client(t, hub.url, { channels: channel });
  await next(events, "open");
  const paused = next(events, "state", ({ state }) => state === "paused");
  target.dispatchEvent(new Event("offline"));
  await paused;
  const came = next(events, "message");
  await events.publish(channel, "meanwhile");
  target.dispatchEvent(new Event("online"));
  assert.equal((await came).data, "meanwhile");
});

test("a page that stays hidden pauses, if it is told to", LIMIT, async (t) => {
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  t.after(() => { delete globalThis.document; });
  const channel = fresh();
  const events = client(t, hub.url, { channels: channel, pauseHidden: 0.01 });
  await next(events, "open");
  const paused = next(events, "state", ({ state }) => state === "paused");
  document.dispatchEvent(new Event("visibilitychange"));
  await paused;
  document.visibilityState = "visible";
  const open = next(events, "open");
  document.dispatchEvent(new Event("visibilitychange"));
  await open;
});

// What a server can make a client hold. How often it can make it ask is in the table.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventCast } from "../src/index.js";
import { startScript } from "./scripted.js";

const SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: eventcast.open\ndata: {\"channels\":[\"a\"],\"heartbeat\":600000}\nid: 00000007-a0\n\n";
const STREAM = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{\"type\":\"open\",\"channels\":[\"a\"],\"heartbeat\":600000}\n";
const ephemeral = `{"type":"ephemeral","channel":"a","data":"${"x".repeat(10_000)}"}`;
/** In the sockets of both ends, in what is written at once, and in what fetch reads ahead. */
const BUFFERS = 16 << 20;

for (const [name, raw] of Object.entries({ sse: [SSE, `data: ${ephemeral}\n\n`], stream: [STREAM, `${ephemeral}\n`] })) {
  test(`behind a user who does not read nothing piles up (${name})`, { timeout: 30_000 }, async (t) => {
    const server = await startScript([{ raw, then: "repeat" }]);
    t.after(() => server.stop());
    const client = new EventCast(server.url, { channels: "a", transports: name, maxQueue: 50 });
    t.after(() => client.close());
    let told = 0;
    client.addEventListener("event", () => { told += 1; });
    const events = client[Symbol.asyncIterator]();
    await events.next();
    // The server can write no more, and nobody wakes it up.
    for (let same = 0, sent = 0; same < 50; sent = server.sent) {
      same = server.blocked && sent === server.sent ? same + 1 : 0;
      await sleep(2);
    }
    assert.equal(told, 51);
    assert.ok(server.sent < BUFFERS, `${server.sent} bytes`);
    for (let n = 0; n < 500; n += 1) await events.next();
    assert.ok(told <= 551, `${told} were told`);
  });
}

test("a WebSocket whose user does not read is left", { timeout: 30_000 }, async (t) => {
  const messages = [{ type: "open", id: "00000007-a0", channels: ["a"], heartbeat: 600_000, retry: 1 }];
  for (let n = 100; n < 900; n += 1) messages.push({ id: `00000007-c${n}`, channel: "a", data: "x" });
  const server = await startScript([{ messages, times: "always" }]);
  t.after(() => server.stop());
  const client = new EventCast(server.url, { channels: "a", transports: "websocket", maxQueue: 50 });
  t.after(() => client.close());
  let told = 0;
  client.addEventListener("event", () => { told += 1; });
  const events = client[Symbol.asyncIterator]();
  const paused = new Promise((done) => client.addEventListener("state", ({ state }) => { if (state === "paused") done(); }));
  await events.next();
  await paused;
  assert.ok(told <= 51, `${told} were told`);
  assert.equal(server.requests.length, 1);
  const ids = new Set();
  for (let n = 1; n < 800; n += 1) ids.add((await events.next()).value.id);
  assert.equal(ids.size, 799);
});

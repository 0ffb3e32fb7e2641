import assert from "node:assert/strict";
import { test } from "node:test";
import { blockParser, lineParser } from "../src/parse.js";
import { encode } from "../src/payloads.js";
import { decode, isAfter } from "../src/wire.js";

const STREAM = [
  "event: eventcast.open\nretry: 7\ndata: {\"channels\":[\"a\"],\"heartbeat\":9}\nid: 00000007-a0\n\n",
  ":\n: a comment\r\n",
  "event: tick\r\ndata:{\"id\":\"00000007-a1\",\"channel\":\"a\",\"event\":\"tick\",\r\ndata: \"data\":\"ü\"}\r\nid: 00000007-a1\r\n\r\n",
  "unknown\rid: 00000007-a2\r\r",
  "data: {\"id\":\"00000007-a3\"",
].join("");

const SEEN = [
  { type: "open", channels: ["a"], heartbeat: 9, retry: 7, id: "00000007-a0" },
  { id: "00000007-a1", channel: "a", event: "tick", data: "ü" },
  { type: "position", id: "00000007-a2" },
];

const read = (parse, pieces) => pieces.flatMap((piece) => [...parse(piece)].map(([message]) => message));
const plain = (value) => JSON.parse(JSON.stringify(value));

test("an event stream reads the same however it is cut, and a cut block does not count", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    const pieces = [STREAM.slice(0, at), STREAM.slice(at)];
    assert.deepEqual(plain(read(blockParser(1000), pieces)), SEEN);
  }
  assert.deepEqual(plain(read(blockParser(1000), [...STREAM])), SEEN);
});

test("lines read the same however they are cut, and a cut line does not count", () => {
  const text = "{\"a\":1}\n\n{\"b\":2}\n{\"c\":3}";
  for (let at = 0; at <= text.length; at += 1) {
    assert.deepEqual(read(lineParser(100), [text.slice(0, at), text.slice(at)]), [{ a: 1 }, { b: 2 }]);
  }
});

test("what does not end is refused at the bound", () => {
  assert.throws(() => read(lineParser(100), ["x".repeat(60), "x".repeat(60)]), { code: "too_large" });
  assert.throws(() => read(blockParser(100), Array(3).fill(`data: ${"x".repeat(60)}\n`)), { code: "too_large" });
});

test("payloads are what they were", () => {
  const binary = Uint8Array.from({ length: 70_000 }, (_, n) => n);
  for (const [data, encoding, as] of [["x", "text"], ["x", "json", "json"], [{ n: 1 }, "json"], [null, "json"], [binary, "binary"]]) {
    assert.deepEqual(decode(plain(encode(data, as))), { data, encoding });
  }
});

test("ids have an order within an epoch only", () => {
  assert.ok(isAfter("00000007-a1", undefined));
  assert.ok(isAfter("00000007-b10", "00000007-a9"));
  assert.ok(!isAfter("00000007-a9", "00000007-a9"));
  assert.ok(!isAfter("00000007-a9", "00000007-b10"));
  assert.ok(isAfter("00000008-a1", "00000007-b10"));
  assert.ok(isAfter("00000007-a1", "00000008-b10"));
});

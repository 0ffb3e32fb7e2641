import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TRANSPORTS, client, next, problem, startHub, startProxy, take } from "./support.js";

const LIMIT = { timeout: 60_000 };
let hub;

before(async () => { hub = await startHub({ args: ["--heartbeat", "1"] }); });
after(() => hub.stop());

const proxied = async (t, plan) => {
  const proxy = await startProxy(hub.port, plan);
  t.after(() => proxy.stop());
  return proxy;
};
const subscribes = (head) => head.startsWith("GET /events");

for (const transport of TRANSPORTS) {
  describe(`over ${transport}`, LIMIT, () => {
    test("cut at random bytes, every event comes once and in order", async (t) => {
      const channel = `cut/${transport}`;
      const count = 400;
      // A poll's answer counts as a whole, so some have to get through.
      const cut = () => (transport === "poll" && Math.random() < 0.5 ? {} : { cut: Math.floor(Math.random() * 4000) });
      const proxy = await proxied(t, (head) => (subscribes(head) ? cut() : {}));
      const events = client(t, proxy.url, { channels: channel, transports: transport, start: "earliest", retry: 2, maxRetry: 4 });
      const publisher = client(t, hub.url, {});
      const publishing = (async () => {
        for (let n = 0; n < count; n += 1) {
          const data = n % 3 === 0 ? { n, text: "x".repeat(n % 50) } : `${n} ü\n${"y".repeat(n % 200)}`;
          await publisher.publish(channel, data, n % 5 ? {} : { name: "fifth" });
        }
      })();
      const seen = await take(events, count);
      await publishing;
      assert.deepEqual(seen.filter(({ kind }) => kind !== "event"), []);
      assert.deepEqual(seen.map(({ data }) => data.n ?? Number.parseInt(data, 10)), Array.from({ length: count }, (_, n) => n));
      assert.equal(new Set(seen.map(({ id }) => id)).size, count);
      const cuts = proxy.connections;
      t.diagnostic(`${cuts} connections`);
      assert.ok(cuts > (transport === "poll" ? 3 : 10), `${cuts} connections`);
    });

    test("a hub that begins anew is told as a gap", async (t) => {
      let one = await startHub();
      const proxy = await startProxy(one.port);
      t.after(() => proxy.stop());
      t.after(() => one.stop());
      const events = client(t, proxy.url, { channels: "news", transports: transport, start: "earliest" });
      await events.publish("news", "before");
      const iterator = events[Symbol.asyncIterator]();
      assert.equal((await iterator.next()).value.data, "before");
      await one.stop();
      proxy.cutAll();
      one = await startHub();
      proxy.port = one.port;
      const { value: gap } = await iterator.next();
      assert.deepEqual([gap.kind, gap.channel, gap.reason], ["gap", "news", "epoch"]);
      await events.publish("news", "after");
      assert.equal((await iterator.next()).value.data, "after");
    });

    test("silence ends in a new connection", async (t) => {
      const proxy = await proxied(t);
      const events = client(t, proxy.url, { channels: "quiet", transports: transport, pollWait: 1, connectTimeout: 1000 });
      await next(events, "open");
      // The hub's signs of life are enough.
      const again = next(events, "open");
      assert.equal(await Promise.race([again, sleep(3000, "none")]), "none");
      proxy.muted = true;
      const waiting = next(events, "state", ({ state }) => state !== "open");
      await waiting;
      proxy.muted = false;
      await again;
    });

    test("a draining hub is left and found again", async (t) => {
      let one = await startHub();
      const proxy = await startProxy(one.port);
      t.after(() => proxy.stop());
      t.after(() => one.stop());
      const events = client(t, proxy.url, { channels: "news", transports: transport });
      await next(events, "open");
      const left = next(events, "state", ({ state }) => state !== "open");
      await Promise.all([one.stop("SIGTERM"), left]);
      one = await startHub();
      proxy.port = one.port;
      await next(events, "gap");
    });
  });
}

test("a WebSocket and streams that never open give way to polls", LIMIT, async (t) => {
  const proxy = await proxied(t, (head) => (/transport=poll|POST/.test(head) ? {} : { silent: true }));
  const events = client(t, proxy.url, { channels: "fallback", connectTimeout: 100 });
  assert.equal((await next(events, "open")).transport, "poll");
  const came = next(events, "message");
  await events.publish("fallback", 1);
  assert.equal((await came).data, 1);
});

test("a draining server is no reason to leave the WebSocket", LIMIT, async (t) => {
  const draining = '{"type":"open","id":"00000007-a0","channels":["a"],"heartbeat":15000,"retry":2}\n{"type":"draining","retry":2}\n';
  const stream = `HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n${draining}`;
  const proxy = await proxied(t, (head) => ({ answer: /^upgrade:/im.test(head) ? problem(503) : stream }));
  const events = client(t, proxy.url, { channels: "a", transports: ["websocket", "stream"] });
  assert.equal((await next(events, "open")).transport, "stream");
  proxy.plan = () => ({});
  assert.equal((await next(events, "open")).transport, "websocket");
});

test("why a WebSocket is refused is found out", LIMIT, async (t) => {
  const proxy = await proxied(t, () => ({ answer: problem(403) }));
  const events = client(t, proxy.url, { channels: "a", transports: "websocket" });
  const { error } = await next(events, "error");
  assert.equal(error.status, 403);
});

test("a request is answered with a payload of its kind", LIMIT, async (t) => {
  const answers = { json: ["application/json", "[6]", [6]], text: ["text/plain; charset=utf-8", "six", "six"], binary: ["application/octet-stream", "\x01", Uint8Array.of(1)] };
  const proxy = await proxied(t, (head) => {
    const [type, body] = answers[/requests\/(\w+)/.exec(head)[1]];
    return { answer: `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}` };
  });
  const asking = client(t, proxy.url, {});
  for (const [name, [, , wanted]] of Object.entries(answers)) assert.deepEqual(await asking.request(name, 1), wanted);

  class Answering {
    constructor() {
      const say = (message) => this.onmessage?.({ data: JSON.stringify(message) });
      setTimeout(say, 0, { type: "open", id: "00000007-a0", channels: ["a"], heartbeat: 15000, retry: 2 });
      this.send = (text) => {
        const { ref, name, data } = JSON.parse(text);
        if (name === "sum") setTimeout(say, 0, { type: "reply", ref, encoding: "base64", data: btoa(String.fromCharCode(...data)) });
        else setTimeout(() => this.onclose({ code: 1006, reason: "" }), 0);
      };
    }
    close() {}
  }
  const events = client(t, proxy.url, { channels: "a", transports: "websocket", WebSocket: Answering });
  await next(events, "open");
  assert.deepEqual(await events.request("sum", [1, 2]), Uint8Array.of(1, 2));
  // Whether a request took effect that was cut is not known: it is not sent again.
  await assert.rejects(events.request("other"), { code: "disconnected" });
});

test("a WebSocket brings its token in the query, where it is told to", LIMIT, async (t) => {
  const proxy = await proxied(t);
  const options = { channels: "a", token: () => "secret" };
  const events = client(t, proxy.url, { ...options, tokenParameter: "access_token" });
  assert.equal((await next(events, "open")).transport, "websocket");
  assert.match(proxy.heads[0], /access_token=secret/);
  assert.equal((await next(client(t, proxy.url, options), "open")).transport, "sse");
});

test("a session that expired is resumed with a renewed token", LIMIT, async (t) => {
  const first = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
    + '{"type":"open","id":"00000007-a0","channels":["a"],"heartbeat":15000,"retry":2}\n{"type":"end","reason":"expired"}\n';
  const proxy = await proxied(t, (head) => (head.includes("Bearer old") ? { answer: first } : {}));
  const asked = [];
  const token = ({ refresh }) => {
    asked.push(refresh);
    return refresh || asked.includes(true) ? "new" : "old";
  };
  const events = client(t, proxy.url, { channels: "a", transports: "stream", token });
  await next(events, "gap");
  assert.deepEqual(asked, [false, true]);
});

test("tickets let a WebSocket in, one for each connection", LIMIT, async (t) => {
  let tickets = 0;
  const proxy = await proxied(t, (head) => {
    if (!head.startsWith("POST /tickets?channel=a ")) return {};
    assert.match(head, /authorization: Bearer secret/i);
    const body = JSON.stringify({ ticket: `ticket${(tickets += 1)}`, expires: 30_000 });
    return { answer: `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}` };
  });
  const handshakes = [];
  class Watched extends WebSocket {
    constructor(url, ...more) {
      handshakes.push(new URL(url).searchParams.get("ticket"));
      super(url.replace(/&ticket=\w+/, ""), ...more); // the hub gave none
    }
  }
  const events = client(t, proxy.url, { channels: "a", tickets: true, token: "secret", WebSocket: Watched });
  assert.equal((await next(events, "open")).transport, "websocket");
  proxy.cutAll();
  await next(events, "open");
  assert.deepEqual(handshakes, ["ticket1", "ticket2"]);
});

test("new credentials are brought over the connection, or beside it", LIMIT, async (t) => {
  const tokens = ["old", "new", "new"];
  const posts = [];
  const proxy = await proxied(t, (head) => {
    if (!head.startsWith("POST")) return {};
    posts.push([/\/refresh /.test(head), /Bearer (\w+)/.exec(head)?.[1]]);
    return { answer: 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"expires":500}' };
  });
  const beside = client(t, proxy.url, { channels: "a", transports: "sse", token: () => tokens.shift() });
  await next(beside, "open");
  assert.deepEqual(await beside.refresh(), { expires: 500 });
  assert.deepEqual(posts, [[true, "new"]]);

  class Answering {
    constructor() {
      const say = (message) => this.onmessage?.({ data: JSON.stringify(message) });
      setTimeout(say, 0, { type: "open", id: "00000007-a0", channels: ["a"], heartbeat: 15000, retry: 2 });
      this.send = (text) => {
        const { type, token, ref } = JSON.parse(text);
        setTimeout(say, 0, token === "newer" ? { type: `${type}ed`, ref } : { type: "error", ref, code: "forbidden", message: "no" });
      };
    }
    close() {}
  }
  const renewed = ["newer", "another's"];
  const over = client(t, proxy.url, { channels: "a", transports: "websocket", tokenParameter: "t", token: ({ refresh }) => (refresh ? renewed.shift() : "old"), WebSocket: Answering });
  await next(over, "open");
  await over.refresh();
  await assert.rejects(over.refresh(), { code: "forbidden" });
});

test("a publish whose answer is lost is stored once", LIMIT, async (t) => {
  let posts = 0;
  const proxy = await proxied(t, (head) => (head.startsWith("POST") && (posts += 1) < 3 ? { cut: 5 } : {}));
  const events = client(t, proxy.url, { channels: "once", start: "earliest" });
  await events.publish("once", "x");
  await events.publish("once", "end");
  assert.equal(posts, 4);
  assert.deepEqual((await take(events, 2)).map(({ data }) => data), ["x", "end"]);
});

for (const transport of TRANSPORTS) {
  test(`over ${transport}, a channel that was added stays through cuts`, LIMIT, async (t) => {
    const proxy = await proxied(t);
    const [one, two] = [`stays/${transport}/1`, `stays/${transport}/2`];
    const events = client(t, proxy.url, { channels: one, transports: transport });
    await next(events, "open");
    proxy.plan = (head) => (head.startsWith("POST /sessions") ? { cut: 3 } : {});
    setTimeout(() => { proxy.plan = () => ({}); }, 15);
    await events.subscribe(two);
    const opened = next(events, "open");
    const cutting = setInterval(proxy.cutAll, 100); // a single cut can fall between two polls
    await opened;
    clearInterval(cutting);
    const came = next(events, "message");
    await client(t, hub.url, {}).publish(two, 1);
    assert.equal((await came).channel, two);
  });
}

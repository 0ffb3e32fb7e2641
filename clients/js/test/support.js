// The hub, and a TCP proxy before it that cuts, refuses and falls silent.
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";
import { EventCast } from "../src/index.js";

export const TRANSPORTS = ["websocket", "sse", "stream", "poll"];

const HUB = process.env.EVENTCAST_HUB;
if (!HUB) throw new Error("EVENTCAST_HUB names no hub: cargo build --example hub");

/** A hub; `port` 0 is a free one. */
export async function startHub({ port = 0, args = [] } = {}) {
  const child = spawn(HUB, ["--listen", `127.0.0.1:${port}`, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const found = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const [url, scheme, port] = /(https?):\/\/127\.0\.0\.1:(\d+)(?=\/)/.exec(line) ?? [];
    if (url) found[scheme] ??= { url: `${url}/`, port: Number(port) };
    if (!found.http || (args.includes("--tls-listen") && !found.https)) continue;
    child.stdout.resume();
    return {
      ...found.http,
      secure: found.https?.url,
      async stop(signal = "SIGKILL") {
        child.kill(signal);
        await ended;
      },
    };
  }
  throw new Error("the hub printed no address");
}

/**
 * A proxy to `port`. `plan(head)` is asked for each connection, with its first bytes, and says
 * what becomes of it: `cut` after so many bytes of the answer, `answer` in the hub's place, or
 * `silent` for ever. Idle connections are not kept: each request has its own plan.
 */
export async function startProxy(port, plan = () => ({})) {
  const sockets = new Set();
  const proxy = { plan, port, connections: 0, heads: [], muted: false };
  const server = net.createServer((client) => {
    sockets.add(client);
    client.on("close", () => sockets.delete(client)).on("error", () => {});
    client.once("data", (first) => {
      proxy.connections += 1;
      const head = first.toString("latin1");
      proxy.heads.push(head.slice(0, head.indexOf("\r\n")));
      const { cut = Infinity, answer, silent } = proxy.plan(head) ?? {};
      if (silent) return;
      if (answer !== undefined) return client.end(answer);
      const hub = net.connect(proxy.port, "127.0.0.1");
      sockets.add(hub);
      hub.on("error", () => client.destroy()).on("close", () => {
        sockets.delete(hub);
        client.end();
      });
      client.on("close", () => hub.destroy());
      // One request a connection, or a later one would escape its plan.
      hub.write(Buffer.from(/^upgrade:/im.test(head) ? head : head.replace(/^connection: .*\r\n/im, "").replace("\r\n", "\r\nConnection: close\r\n"), "latin1"));
      client.on("data", (more) => hub.write(more));
      let left = cut;
      hub.on("data", (bytes) => {
        if (proxy.muted) return;
        client.write(bytes.subarray(0, left));
        left -= bytes.length;
        if (left <= 0) client.destroySoon();
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.url = `http://127.0.0.1:${server.address().port}/`;
  proxy.cutAll = () => sockets.forEach((socket) => socket.destroy());
  proxy.resetAll = () => sockets.forEach((socket) => socket.resetAndDestroy());
  proxy.stop = () => {
    server.close();
    proxy.cutAll();
  };
  return proxy;
}

/** An answer with a problem, as the hub gives it. */
export function problem(status, headers = "") {
  const body = JSON.stringify({ status, title: "no", detail: `status ${status}` });
  return `HTTP/1.1 ${status} No\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n${headers}\r\n${body}`;
}

/** A client that comes back at once, closed at the test's end. */
export function client(t, url, options) {
  const made = new EventCast(url, { retry: 10, minRetry: 1, maxRetry: 20, attemptsPerMinute: 60_000, ...options });
  t.after(() => made.close());
  return made;
}

/** The next event of this type that fits. */
export function next(target, type, fits = () => true) {
  return new Promise((resolve) => {
    const listen = (event) => {
      if (!fits(event)) return;
      target.removeEventListener(type, listen);
      resolve(event);
    };
    target.addEventListener(type, listen);
  });
}

/** Deliveries until `count` of a kind came. */
export async function take(iterable, count, kind = "event") {
  const taken = [];
  for await (const delivery of iterable) {
    taken.push(delivery);
    if (taken.filter((one) => one.kind === kind).length >= count) break;
  }
  return taken;
}

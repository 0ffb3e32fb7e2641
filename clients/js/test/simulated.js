// A scenario without a network, in simulated time.
import { Script, describe, httpAnswer, render } from "./scripted.js";

const STEP = 50;

/** When the client asked, in ms, over the scenario's minutes. */
export async function simulate(t, { server, minutes }, makeClient) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  const script = new Script(server);
  const attempts = [];
  const asked = (kind) => {
    attempts.push(Date.now());
    return script.next(kind);
  };

  const fetch = async (url, { method = "GET", headers, signal }) => {
    const { kind } = describe(`${method} ${url.pathname}${url.search} HTTP/1.1\r\naccept: ${headers.accept}\r\n\r\n`);
    if (method === "HEAD") return response(httpAnswer({ status: 200 }));
    const answer = asked(kind);
    signal.throwIfAborted();
    if (answer.cut || answer.raw) throw new TypeError("fetch failed");
    return response(answer.status ? httpAnswer(answer) : render(kind, answer.messages).join(""));
  };

  class FakeWebSocket {
    constructor() {
      const answer = asked("websocket");
      queueMicrotask(() => {
        for (const message of answer.messages ?? []) this.onmessage?.({ data: JSON.stringify(message) });
        this.onerror?.({});
        this.onclose?.({ code: 1006, reason: "" });
      });
    }
    send() {}
    close() {}
  }

  const client = makeClient({ fetch, WebSocket: FakeWebSocket });
  client.connect();
  const turn = () => new Promise((done) => setImmediate(done));
  for (let at = 0; at < minutes * 60_000; at += STEP) {
    // As long as it makes attempts in the same moment, and a little beyond.
    for (let before = -1; before !== attempts.length;) {
      before = attempts.length;
      for (let n = 0; n < 3; n += 1) await turn();
    }
    t.mock.timers.tick(STEP);
  }
  client.close();
  return attempts;
}

function response(bytes) {
  const [head, ...rest] = bytes.split("\r\n\r\n");
  const [line, ...lines] = head.split("\r\n");
  const status = Number(line.split(" ")[1]);
  const headers = lines.map((one) => one.split(": "));
  return new Response(rest.join("\r\n\r\n"), { status, headers });
}

export function busiestMinute(attempts) {
  return Math.max(...attempts.map((first) => attempts.filter((at) => at >= first && at < first + 60_000).length));
}

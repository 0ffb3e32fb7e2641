// A server that does what a scenario says. `clients/README.md` has the words.
import { createHash } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TYPES = { sse: "text/event-stream", stream: "application/x-ndjson", poll: "application/json" };
const CORS = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\nAccess-Control-Allow-Methods: GET, HEAD, POST, DELETE\r\nAccess-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, X-Tenant\r\n";
const SUBSCRIPTIONS = ["websocket", "sse", "stream", "poll"];

/** What a request is, from its head. */
export function describe(head) {
  const [line, ...rest] = head.split("\r\n");
  const [method, target] = line.split(" ");
  const url = new URL(target, "http://test");
  const headers = Object.fromEntries(rest.filter(Boolean).map((one) => {
    const colon = one.indexOf(":");
    return [one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()];
  }));
  const query = {};
  for (const name of url.searchParams.keys()) query[name] = url.searchParams.getAll(name);
  const kind = url.pathname.startsWith("/channels/") ? "publish"
    : url.pathname.startsWith("/requests/") ? "request"
      : url.pathname.startsWith("/sessions/") ? "change"
        : headers.upgrade ? "websocket" : query.transport?.[0] ?? byType(headers.accept);
  const id = headers["last-event-id"] || query.last_event_id?.at(-1) || null;
  return { method, path: url.pathname, kind, headers, query, id, channels: query.channel ?? [], at: performance.now() };
}

const byType = (accept) => Object.keys(TYPES).find((name) => TYPES[name] === accept);

/** The bytes of an HTTP answer. */
export function httpAnswer({ status, headers = {}, body = "", problem }) {
  const all = { "content-length": 0, ...headers };
  if (problem !== undefined) {
    all["content-type"] = "application/problem+json";
    body = JSON.stringify({ detail: problem, status, title: "No" });
  }
  all["content-length"] = Buffer.byteLength(body);
  if (status === 204) delete all["content-length"];
  const lines = Object.entries({ ...all, connection: "close" }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n${body}`;
}

/** The bytes that stand for messages, and the head before them. */
export function render(kind, messages, key) {
  if (kind === "poll") {
    const body = JSON.stringify(pollAnswer(messages));
    return [`HTTP/1.1 200 OK\r\nContent-Type: ${TYPES.poll}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`, body];
  }
  if (kind === "websocket") {
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: eventcast.v1+json\r\n\r\n`;
    return [head, Buffer.concat(messages.map((message) => frame(1, Buffer.from(JSON.stringify(message)))))];
  }
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${TYPES[kind]}\r\nConnection: close\r\n\r\n`;
  return [head, messages.map(kind === "sse" ? block : (message) => `${JSON.stringify(message)}\n`).join("")];
}

function block(message) {
  const { type, id, retry, ...rest } = message ?? {};
  const lines = [];
  if (type === undefined || type === "ephemeral") {
    if (message.event) lines.push(`event: ${message.event}`);
    lines.push(`data: ${JSON.stringify(message)}`);
  } else {
    lines.push(`event: eventcast.${type === "end" ? "closed" : type}`);
    if (retry !== undefined) lines.push(`retry: ${retry}`);
    lines.push(`data: ${JSON.stringify(rest)}`);
  }
  if (id !== undefined) lines.push(`id: ${id}`);
  return `${lines.join("\n")}\n\n`;
}

function pollAnswer(messages) {
  const answer = { position: messages.findLast((message) => message?.id)?.id, events: [] };
  for (const message of messages) {
    const { type, reason, retry } = message ?? {};
    if (type === "end" || type === "draining") Object.assign(answer, { end: reason ?? type, retry });
    else if (type !== "open" && type !== "position") answer.events.push(message);
  }
  return answer;
}

function frame(opcode, payload) {
  const { length } = payload;
  const head = length < 126 ? [length] : length < 65536 ? [126, length >> 8, length & 255] : [127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), payload]);
}

/** The text messages in what a client sent; the rest of the bytes. */
function unframe(bytes) {
  const texts = [];
  for (;;) {
    if (bytes.length < 6) return [texts, bytes];
    let length = bytes[1] & 127;
    let at = 2;
    if (length === 126) { length = bytes.readUInt16BE(2); at = 4; }
    if (bytes.length < at + 4 + length) return [texts, bytes];
    const mask = bytes.subarray(at, at + 4);
    const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length)).map((byte, n) => byte ^ mask[n % 4]);
    if ((bytes[0] & 15) === 1) texts.push(payload.toString());
    bytes = bytes.subarray(at + 4 + length);
  }
}

/** Which answer is whose turn. */
export class Script {
  constructor(answers) {
    this.left = answers.map((answer) => ({ ...answer, left: answer.times === "always" ? Infinity : answer.times ?? 1 }));
  }

  next(kind) {
    const fits = ({ left, to }) => left > 0 && (to ? to === kind : SUBSCRIPTIONS.includes(kind));
    const found = this.left.find(fits);
    if (found) found.left -= 1;
    return found;
  }

  always() {
    return this.left.find(({ left, status }) => left === Infinity && status);
  }
}

/** With `cors` pages of other origins may read its answers. */
export async function startScript(answers, { cors } = {}) {
  const script = new Script(answers);
  const sockets = new Set();
  const served = { requests: [], posts: [], problems: [], sent: 0, blocked: 0, left: script.left };
  const changes = []; // of the live session, not asked yet
  let live; // writes to the live session
  let held = []; // polls that wait
  const acted = new Promise((done) => { served.acted = done; });

  /** The bytes of an answer, with what lets a page see it. */
  const open = (bytes) => (cors ? String(bytes).replace("\r\n", `\r\n${CORS}`) : bytes);

  const serve = async (socket, head, rest) => {
    const request = describe(head);
    const { kind, method } = request;
    if (cors && method === "OPTIONS") return void socket.end(open(httpAnswer({ status: 204 })));
    if (method === "HEAD") return void socket.end(open(httpAnswer(script.always() ?? { status: 200 }).split("\r\n\r\n")[0] + "\r\n\r\n"));
    if (kind === "change") return change(socket, request);
    const waits = kind === "poll" && live?.poll && (!live.cut || changes.length > 0);
    if (waits) return void held.push(socket);
    const length = Number(request.headers["content-length"] ?? 0);
    while (rest.length < length) rest = Buffer.concat([rest, (await once(socket, "data"))[0]]);
    request.body = rest.toString();
    (SUBSCRIPTIONS.includes(kind) ? served.requests : served.posts).push(request);
    const answer = script.next(kind);
    if (!answer) return void served.problems.push(`${method} ${request.path} over ${kind} finds no answer`);
    if (answer.silent) return;
    if (answer.cut) return socket.destroy();
    if (answer.status) return void socket.end(open(httpAnswer(answer)));
    if (answer.raw) return raw(socket, answer);
    await messages(socket, request, answer);
  };

  const write = (socket, bytes) => new Promise((done) => {
    served.sent += bytes.length;
    if (socket.write(bytes) || socket.destroyed) return done();
    served.blocked += 1;
    const ready = () => { served.blocked -= 1; socket.off("drain", ready).off("close", ready); done(); };
    socket.on("drain", ready).on("close", ready);
  });

  const raw = async (socket, { raw: pieces, then }) => {
    for (const piece of pieces) await write(socket, piece.startsWith("HTTP/1.1") ? open(piece) : piece);
    while (then === "repeat" && !socket.destroyed) {
      await write(socket, pieces.at(-1).repeat(20));
      await sleep(0);
    }
    if (then === "cut") socket.end();
  };

  const messages = async (socket, request, answer) => {
    const { kind } = request;
    const { pieces, short = 0, then, close } = answer;
    const [head, body] = render(kind, answer.messages, request.headers["sec-websocket-key"]);
    changes.splice(0, Infinity, ...(answer.changes ?? []));
    const cut = () => {
      if (close) socket.write(frame(8, Buffer.from([close >> 8, close & 255])));
      socket.end();
    };
    const session = live = {
      poll: kind === "poll",
      cut: then === "cut" || (kind === "poll" && answer.messages.some((message) => message?.type === "draining")),
      tell: (more) => {
        if (kind !== "poll") return socket.write(render(kind, more, "")[1]);
        const [head, body] = render(kind, more);
        held.splice(0).forEach((one) => one.end(open(head) + body));
      },
      // What was asked has its answer first: a cut before it would be another story.
      done: () => acted.then(() => { if (then === "cut" && kind !== "poll") cut(); }),
    };
    if (kind === "websocket") listen(socket, session);
    let bytes = Buffer.concat([Buffer.from(open(head)), Buffer.from(body)]);
    bytes = bytes.subarray(0, bytes.length - short);
    for (let at = 0; at < bytes.length; at += pieces ?? bytes.length) {
      await write(socket, bytes.subarray(at, at + (pieces ?? bytes.length)));
      if (pieces) await sleep(0);
    }
    if (kind === "poll") socket.end();
    else if (!changes.length && then === "cut") cut();
  };

  const take = (kind, channels, start) => {
    const at = changes.findIndex((one) => String(one[kind]) === String(channels) && one.start === start);
    if (at < 0) served.problems.push(`${kind} ${channels} from ${start} finds no answer`);
    return at < 0 ? { refuse: { status: 500, code: "internal" } } : changes.splice(at, 1)[0];
  };

  const listen = (socket, session) => {
    let rest = Buffer.alloc(0);
    socket.on("data", (bytes) => {
      let texts;
      [texts, rest] = unframe(Buffer.concat([rest, bytes]));
      for (const text of texts) {
        const { type, channels, token, start, ref } = JSON.parse(text);
        if (type === "ping") continue;
        const { answer, refuse, messages } = take(type, channels ?? token, start);
        session.tell([refuse ? { type: "error", ref, code: refuse.code, message: refuse.detail } : { type: `${type.replace(/e$/, "")}ed`, ref, ...answer }, ...messages]);
        if (!changes.length) session.done();
      }
    });
  };

  const change = (socket, { method, query, path, headers }) => {
    const refreshes = path.endsWith("/refresh");
    const kind = refreshes ? "refresh" : method === "POST" ? "subscribe" : "unsubscribe";
    const key = served.requests.at(-1).query.session?.[0];
    if (path !== `/sessions/${key}${refreshes ? "/refresh" : ""}`) served.problems.push(`${path} is not the session's`);
    const named = refreshes ? headers.authorization?.replace("Bearer ", "") : query.channel;
    const { answer, refuse, messages } = take(kind, named, query.start?.[0]);
    const body = refuse ? undefined : JSON.stringify(answer);
    socket.end(open(httpAnswer(refuse ? { status: refuse.status, problem: refuse.detail } : { status: 200, headers: { "content-type": "application/json" }, body })));
    const told = refuse || refreshes ? [] : [{ type: "subscribed", channels: answer.channels, id: answer.id }];
    const session = live;
    const tell = () => {
      if (session.poll && !held.length) return void setTimeout(tell, 5);
      session.tell([...told, ...messages]);
      if (!changes.length) session.done();
    };
    tell();
  };

  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => {
      sockets.delete(socket);
      held = held.filter((one) => one !== socket);
    });
    let head = Buffer.alloc(0);
    const read = (bytes) => {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", read);
      socket.on("data", () => {});
      serve(socket, head.subarray(0, end).toString("latin1"), head.subarray(end + 4)).catch((error) => served.problems.push(String(error.stack)));
    };
    socket.on("data", read);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  served.url = `http://127.0.0.1:${server.address().port}/events`;
  served.stop = () => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  };
  return served;
}

// What a user asks of the server: over the connection, or beside it.

import { body } from "./body.js";
import { EventCastError, lost } from "./errors.js";
import { backoff } from "./pace.js";
import { encodeBody } from "./payloads.js";
import { refusal } from "./refusal.js";
import { published, random } from "./wire.js";

/** A WebSocket's error codes, for HTTP. */
const CODES = {
  400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "completed",
  413: "too_large", 429: "rate_limited", 500: "internal", 503: "unavailable", 504: "timeout",
  507: "unavailable",
};
const BETWEEN_POLLS = 50;

/** Runs with a signal that ends in time, or when the user wants. */
async function within({ requestTimeout }, signal, run) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  signal?.throwIfAborted();
  signal?.addEventListener("abort", abort);
  const timer = setTimeout(() => controller.abort(lost("no answer in time")), requestTimeout);
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** One request, and what `read` makes of its answer. */
function http({ requests, options }, method, path, params = {}, { signal, ...init } = {}, read = json) {
  return within(options, signal, async (either) => {
    try {
      const response = await requests.fetch(requests.url(path, params), { method, ...init, signal: either });
      if (!response.ok) {
        const refused = await refusal(response);
        throw Object.assign(refused, { code: CODES[refused.status] ?? refused.code });
      }
      return await read(await body(response, options.maxMessage), response);
    } catch (error) {
      if (error instanceof EventCastError || signal?.aborted) throw error;
      throw new EventCastError(`no answer: ${error.message}`, "unreachable", { retryable: true, cause: error });
    }
  });
}

const json = async (bytes) => JSON.parse(await bytes.text());

async function payload(bytes, response) {
  const type = response.headers.get("content-type");
  if (/^text\//.test(type)) return bytes.text();
  return /json/.test(type) ? json(bytes) : new Uint8Array(await bytes.arrayBuffer());
}

/** Tries until it succeeds, or there is no more use in it. */
async function again(options, signal, attempt, helps = (error) => error.retryable) {
  for (let failures = 0; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      const wait = helps(error);
      if (!wait || failures >= options.requestAttempts || signal?.aborted) throw error;
      await sleep(wait > 1 ? wait : backoff(options, failures, error.retryAfter), signal);
    }
  }
}

let refs = 0;

/** A question over a connection that takes messages, and its answer. */
export function ask(link, message, signal) {
  return within(link.options, signal, (either) => new Promise((resolve, reject) => {
    const ref = (refs += 1);
    const over = (then) => (value) => {
      link.answers.delete(ref);
      then(value);
    };
    link.answers ??= new Map();
    link.answers.set(ref, over(({ type, code, message, ...rest }) => {
      if (type !== "error") resolve(rest);
      else reject(new EventCastError(message, code, { retryable: code === "rate_limited" || code === "unavailable" }));
    }));
    const gone = over(reject);
    either.addEventListener("abort", () => gone(either.reason));
    link.signal.addEventListener("abort", () => gone(lost("the connection was cut before the answer")));
    link.send({ ...message, ref });
  }));
}

/** The open connection, once there is one. */
export async function whenOpen(driver) {
  while (!driver.link?.opened || driver.link.signal.aborted) {
    if (driver.reason) throw driver.error ?? lost("the client is closed");
    await driver.changed.wait();
  }
  return driver.link;
}

export async function publish(driver, channel, data, { name, encoding, idempotencyKey = random(), signal }) {
  if (/^\.\.?$/.test(channel)) throw new TypeError("this channel has no URL");
  const { type, body } = encodeBody(data, encoding);
  const init = { headers: { "content-type": type, "idempotency-key": idempotencyKey }, body, signal };
  const attempt = () => http(driver, "POST", `channels/${encodeURIComponent(channel)}`, { event: name }, init);
  return again(driver.options, signal, attempt);
}

export async function request(driver, name, data = null, { encoding, signal }) {
  const { type, body } = encodeBody(data, encoding);
  const init = { headers: { "content-type": type }, body, signal };
  return http(driver, "POST", `requests/${encodeURIComponent(name)}`, {}, init, payload);
}

/** A page of who is on a channel; with `count`, how many. */
export const presence = (driver, channel, { signal, ...params }) =>
  http(driver, "GET", `channels/${encodeURIComponent(channel)}/presence`, params, { signal });

/** What this client's member says of itself; nothing takes it away. */
export async function update(driver, channel, state) {
  const link = await whenOpen(driver);
  if (link.send) return ask(link, { type: "update", channel, state });
  const { type, body } = state === undefined ? { type: "text/plain", body: "" } : encodeBody(state);
  return http(driver, "POST", `sessions/${link.key}/presence`, { channel }, { headers: { "content-type": type }, body });
}

/** Brings new credentials before the old ones expire, without a cut. */
export async function refresh(driver) {
  const { link, requests } = driver;
  const token = await requests.credential("token", true);
  // The next connection has them anyway.
  if (!link?.opened || link.rejoins) return {};
  if (link.send) return ask(link, { type: "refresh", token });
  return http(driver, "POST", `sessions/${link.key}/refresh`);
}

export async function subscribe(driver, channels, { start, slow }) {
  const { feed, options } = driver;
  driver.connect();
  if (!feed.wanted.size && driver.state !== "closed") {
    if (driver.opened) feed.forget();
    if (start !== undefined) options.start = start;
    if (slow !== undefined) options.slow = slow;
    channels.forEach((channel) => feed.want(channel));
    driver.poke();
    await whenOpen(driver);
    return { channels: [...feed.wanted] };
  }
  return again(options, undefined, async () => {
    const link = await whenOpen(driver);
    if (link.rejoins) {
      if (start !== undefined || slow !== undefined) throw new TypeError("a shared connection takes neither start nor slow");
      channels.forEach((channel) => feed.want(channel));
      link.leave();
      await whenOpen(driver);
      return { channels: [...feed.wanted] };
    }
    let answer;
    try {
      answer = link.send
        ? await ask(link, { type: "subscribe", channels, start, slow })
        : await http(driver, "POST", `sessions/${link.key}`, { channel: channels, start, slow });
    } catch (error) {
      if (!link.send && error.status === 404) {
        // The server forgot the session.
        link.leave();
        error.retryable = true;
      }
      throw error;
    }
    if (link.signal.aborted) throw lost("the session was cut");
    channels.forEach((channel) => feed.want(channel));
    const history = answer.history?.map((page) => ({ ...page, events: page.events.map((event) => published(event)) }));
    return { channels: answer.channels, history };
    // Between two polls there is no session that takes a start.
  }, (error) => (error.status === 409 && start !== undefined ? BETWEEN_POLLS : error.retryable));
}

export async function unsubscribe(driver, channels) {
  const { feed, link } = driver;
  channels.forEach((channel) => feed.unwant(channel));
  if (!link) return;
  try {
    // Without channels, or an open connection, there is nothing to change.
    if (!feed.wanted.size || !link.opened || link.rejoins) throw undefined;
    await (link.send
      ? ask(link, { type: "unsubscribe", channels })
      : http(driver, "DELETE", `sessions/${link.key}`, { channel: channels }));
  } catch {
    link.leave(); // to come back without naming them
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort);
  });
}

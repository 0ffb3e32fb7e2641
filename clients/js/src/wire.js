// Ids, payloads and refusals, as they are on the wire.

const CODES = {
  400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "completed",
  413: "too_large", 429: "rate_limited", 500: "internal", 503: "unavailable", 504: "timeout",
};
const MAX_WAIT = 2 ** 31 - 1; // of setTimeout
const BASE64_STEP = 0x8000; // arguments of one call

/** What was refused, and why. `code` is a WebSocket's error code, or what the status stands for. */
export class EventCastError extends Error {
  constructor(message, { code, status, retryAfter, retryable = false, cause } = {}) {
    super(message, { cause });
    this.name = "EventCastError";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
    this.retryable = retryable;
  }
}

/** The error that a response stands for. */
export async function refusal(response) {
  const { status } = response;
  const problem = (await response.json().catch(() => {})) ?? {};
  const after = response.headers.get("retry-after");
  const wait = after ? (/^\d+$/.test(after) ? after * 1000 : Date.parse(after) - Date.now()) : NaN;
  return new EventCastError(problem.detail ?? problem.title ?? `HTTP ${status}`, {
    code: CODES[status] ?? `http_${status}`,
    status,
    retryAfter: wait >= 0 ? Math.min(wait, MAX_WAIT) : undefined,
    retryable: status === 408 || status === 429 || status >= 500,
  });
}

/** Whether an event with this id is new to who has had all up to `last`. */
export const isAfter = (id, last) => !last || id.slice(0, 9) !== last.slice(0, 9) || id > last;

/** 128 random bits. `crypto.randomUUID` is for secure contexts only. */
export const random = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The payload of an envelope. */
export function decode({ data, encoding }) {
  if (encoding === "base64") {
    return { data: Uint8Array.from(atob(data), (char) => char.charCodeAt(0)), encoding: "binary" };
  }
  return { data, encoding: encoding ?? (typeof data === "string" ? "text" : "json") };
}

/** The payload of an HTTP answer. */
export async function decodeBody(response) {
  const type = response.headers.get("content-type") ?? "";
  if (/^text\//.test(type)) return response.text();
  if (/^application\/(json|\S+\+json)/.test(type)) return response.json();
  return new Uint8Array(await response.arrayBuffer());
}

const bytes = (data) =>
  data instanceof ArrayBuffer ? new Uint8Array(data)
    : ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : undefined;

/** A payload as the body of a POST, with its type. */
export function encodeBody(data, encoding) {
  const binary = bytes(data);
  if (binary) return { type: "application/octet-stream", body: binary };
  if (typeof data === "string" && encoding !== "json") return { type: "text/plain; charset=utf-8", body: data };
  const body = JSON.stringify(data);
  if (body === undefined) throw new TypeError("this is no payload");
  return { type: "application/json", body };
}

/** A payload as members of a message. */
export function encode(data, encoding) {
  const binary = bytes(data);
  if (!binary) return { data: data === undefined ? null : data, encoding: typeof data === "string" ? encoding : undefined };
  let text = "";
  for (let at = 0; at < binary.length; at += BASE64_STEP) {
    text += String.fromCharCode(...binary.subarray(at, at + BASE64_STEP));
  }
  return { encoding: "base64", data: btoa(text) };
}

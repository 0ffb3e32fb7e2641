// Ids and payloads, as they are on the wire.

import { garbled } from "./errors.js";

const BASE64_STEP = 0x8000; // arguments of one call

export const isId = (id) => /^[0-9a-z]{8}-[a-t]\d{1,20}$/.test(id);

/** Whether this id is new to who has had all up to `last`. */
export const isAfter = (id, last) => !last || id.slice(0, 9) !== last.slice(0, 9) || id > last;

/** 128 random bits. `crypto.randomUUID` is for secure contexts only. */
export const random = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The payload of an envelope. */
export function decode({ data, encoding }) {
  if (encoding === "base64") {
    return { data: Uint8Array.from(atob(data), (char) => char.charCodeAt(0)), encoding: "binary" };
  }
  if (data === undefined || (encoding ?? "json") !== "json") throw garbled();
  return { data, encoding: encoding ?? (typeof data === "string" ? "text" : "json") };
}

/** An event's delivery. */
export const published = (message, kind = "event") => {
  const { id, channel, event: name } = message;
  if (typeof channel !== "string" || (kind === "event" && !id)) throw garbled();
  return { kind, id, channel, name, ...decode(message) };
};

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
export function encode(data = null, encoding) {
  const binary = bytes(data);
  if (!binary) return { data, encoding: typeof data === "string" ? encoding : undefined };
  let text = "";
  for (let at = 0; at < binary.length; at += BASE64_STEP) {
    text += String.fromCharCode(...binary.subarray(at, at + BASE64_STEP));
  }
  return { encoding: "base64", data: btoa(text) };
}

// Ids and events, as they are on the wire.

import { garbled } from "./errors.js";

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
export function published(message, kind = "event") {
  const { id, channel, event: name } = message;
  if (typeof channel !== "string" || (kind === "event" && !id)) throw garbled();
  return { kind, id, channel, name, ...decode(message) };
}

// Payloads on their way to the server.

const BASE64_STEP = 0x8000; // arguments of one call

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

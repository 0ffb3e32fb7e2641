// What a refusal says.

import { body } from "./body.js";
import { EventCastError, hint, isTemporary } from "./errors.js";

const CODES = {
  400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "completed",
  413: "too_large", 429: "rate_limited", 503: "unavailable", 504: "timeout", 500: "internal",
};
const MAX_PROBLEM = 16 << 10;

/** The error that a response stands for. */
export async function refusal(response) {
  const { status, headers } = response;
  const byService = /^application\/problem\+json/i.test(headers.get("content-type"));
  let detail;
  try {
    if (byService) detail = JSON.parse(await (await body(response, MAX_PROBLEM)).text()).detail;
  } catch {}
  const after = headers.get("retry-after");
  const redirected = response.type === "opaqueredirect" || (status >= 300 && status < 400);
  detail ||= redirected ? "redirects are not followed" : `HTTP ${status}`;
  return new EventCastError(detail, CODES[status] ?? `http_${status}`, {
    status,
    retryAfter: after ? hint(after * 1000) ?? hint(Date.parse(after) - Date.now()) : undefined,
    retryable: isTemporary(status),
    /** The service said so, not something on the way to it. */
    byService,
  });
}

// What a refusal says.

import { body } from "./body.js";
import { EventCastError, hint } from "./errors.js";

const MAX_PROBLEM = 16 << 10;

/** The error that a response stands for. */
export async function refusal(response) {
  const { status, headers, type } = response;
  const byService = /^application\/problem\+json/i.test(headers.get("content-type"));
  let detail = type === "opaqueredirect" || (status >= 300 && status < 400) ? "redirects are not followed" : `HTTP ${status}`;
  try {
    if (byService) ({ detail } = JSON.parse(await (await body(response, MAX_PROBLEM)).text()));
  } catch {}
  const after = headers.get("retry-after");
  return new EventCastError(detail, "refused", {
    status,
    retryAfter: after ? hint(after * 1000) ?? hint(Date.parse(after) - Date.now()) : undefined,
    retryable: status === 408 || status === 429 || status >= 500,
    /** The service said so, not something on the way to it. */
    byService,
  });
}

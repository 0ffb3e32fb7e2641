// The bodies of answers, within bounds.

import { tooLarge } from "./errors.js";

/** The pieces of a body. `before` and `after` are called around each wait. */
export async function* pieces(response, before, after) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      before?.();
      const { done, value } = await reader.read();
      after?.();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A whole body. */
export async function body(response, limit, ...around) {
  const parts = [];
  let size = 0;
  for await (const piece of pieces(response, ...around)) {
    if ((size += piece.length) > limit) throw tooLarge();
    parts.push(piece);
  }
  return new Blob(parts);
}

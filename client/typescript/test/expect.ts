import assert from "node:assert/strict";

import type { Outcome } from "./calls.js";

/** Checks for the headers that OpenAI's clients read. */
export function assertReadable({ headers }: Outcome): void {
  assert.match(headers["x-request-id"] ?? "", /^req_/);
  assert.match(headers["openai-processing-ms"] ?? "", /^\d+$/);
  assert.equal(headers["x-ratelimit-limit-requests"], "10000");
  assert.equal(headers["x-ratelimit-remaining-requests"], "9999");
  assert.equal(headers["x-ratelimit-reset-requests"], "6ms");
  assert.equal(headers["x-ratelimit-limit-tokens"], "2000000");
  assert.equal(headers["x-ratelimit-remaining-tokens"], "1999000");
  assert.equal(headers["x-ratelimit-reset-tokens"], "30ms");
}

/** Checks for a rate limit error with Retry-After and the headers of {@link assertReadable}. */
export function assertRateLimited(outcome: Outcome): void {
  assert.equal(outcome.code, "ResourceExhausted");
  assert.equal(outcome.headers["retry-after"], "1");
  assertReadable(outcome);
}

import { Code, ConnectError } from "@connectrpc/connect";

import { APIError } from "./error.js";

/** The first wait, the longest one, and which part of it is left to chance, as in OpenAI's SDKs. */
const backoff = { firstMs: 500, mostMs: 8000, jitter: 0.25 };

/** The longest wait that an answer may ask for: with a longer one, the error goes to the caller. */
const mostAskedMs = 120_000;

/** The longest time-out that is sent: gRPC's header has eight digits, and a timer of JavaScript 31 bits. */
const maxTimeoutMs = 99_999_999;

/** What bounds a call, all its tries together. */
export interface Bounds {
  maxRetries: number;
  signal: AbortSignal | undefined;
  timeoutMs: number | undefined;
}

/**
 * Makes a call, and again while it fails in a way that may pass, as OpenAI's
 * SDKs do. `attempt` is given what is left of the time-out. What it throws
 * comes out as an APIError.
 */
export async function withRetries<T>(bounds: Bounds, attempt: (timeoutMs: number | undefined) => Promise<T>): Promise<T> {
  const { maxRetries, signal, timeoutMs = Infinity } = bounds;
  checkNumber("maxRetries", maxRetries);
  checkNumber("timeoutMs", timeoutMs);
  const deadline = Date.now() + timeoutMs;
  for (let retries = 0; ; retries++) {
    try {
      return await attempt(timeoutHeader(deadline - Date.now()));
    } catch (thrown) {
      if (signal?.aborted) {
        throw APIError.canceled(signal.reason);
      }
      const error = APIError.from(thrown);
      const wait = error.retryAfterMs ?? exponential(retries);
      if (retries >= maxRetries || !mayPass(error) || wait > mostAskedMs || Date.now() + wait >= deadline) {
        throw error;
      }
      await sleep(wait, signal);
    }
  }
}

/** The time-out of one attempt in whole milliseconds, or nothing without a limit. */
function timeoutHeader(leftMs: number): number | undefined {
  return leftMs === Infinity ? undefined : Math.min(Math.max(1, Math.ceil(leftMs)), maxTimeoutMs);
}

/** Throws if an option is not a number: every comparison with NaN is false, so no limit would hold. */
function checkNumber(name: string, value: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`${name} is ${String(value)}: want a number`);
  }
}

/** Whether an error may be gone on the next try. */
function mayPass(error: APIError): boolean {
  switch (error.headers.get("x-should-retry")) {
    case "true":
      return true;
    case "false":
      return false;
  }
  const { status } = error;
  if (status !== undefined) {
    return status === 408 || status === 409 || status === 429 || status >= 500;
  }
  return error.rpcCode === Code.Unavailable || isConnectionFailure(error.cause);
}

/**
 * Whether there was no connection, or it broke: `fetch` throws a TypeError
 * then, and Node.js an error with the system's code, such as ECONNRESET.
 */
function isConnectionFailure({ code, cause }: ConnectError): boolean {
  if (code === Code.Canceled || code === Code.DeadlineExceeded) {
    return false;
  }
  return cause instanceof TypeError || (cause instanceof Error && "code" in cause && typeof cause.code === "string");
}

function exponential(retries: number): number {
  const wait = Math.min(backoff.firstMs * 2 ** retries, backoff.mostMs);
  return wait * (1 - Math.random() * backoff.jitter);
}

/** Waits, unless the signal ends the wait with an error. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(APIError.canceled(signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}

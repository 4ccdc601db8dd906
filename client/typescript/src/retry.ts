import { Code, ConnectError } from "@connectrpc/connect";

import { APIError } from "./error.js";

/** The initial and the maximum backoff, and its random part, the same as in OpenAI's SDKs. */
const backoff = { initialMs: 500, maxMs: 8000, jitter: 0.25 };

/** The longest Retry-After that is obeyed. With a longer one the error is thrown. */
const maxRetryAfterMs = 120_000;

/** The maximum timeout sent: gRPC's header has eight digits, and a JavaScript timer 31 bits. */
const maxTimeoutMs = 99_999_999;

/** The limits of a call, including its retries. */
export interface Bounds {
  maxRetries: number;
  signal: AbortSignal | undefined;
  timeoutMs: number | undefined;
}

/**
 * Makes a call and retries transient failures like OpenAI's SDKs. `attempt`
 * receives the remaining timeout. Exceptions are converted to an APIError.
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
      const delay = error.retryAfterMs ?? exponential(retries);
      if (retries >= maxRetries || !isTransient(error) || delay > maxRetryAfterMs || Date.now() + delay >= deadline) {
        throw error;
      }
      await sleep(delay, signal);
    }
  }
}

/** The timeout of one attempt in whole milliseconds, or undefined for no timeout. */
function timeoutHeader(remainingMs: number): number | undefined {
  return remainingMs === Infinity ? undefined : Math.min(Math.max(1, Math.ceil(remainingMs)), maxTimeoutMs);
}

/** Throws if an option is not a number. With NaN no limit would apply. */
function checkNumber(name: string, value: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`${name} is ${String(value)}: want a number`);
  }
}

/** Whether a retry may succeed. */
function isTransient(error: APIError): boolean {
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
 * Whether the connection failed: `fetch` throws a TypeError, and Node.js an error
 * with a system code such as ECONNRESET.
 */
function isConnectionFailure({ code, cause }: ConnectError): boolean {
  if (code === Code.Canceled || code === Code.DeadlineExceeded) {
    return false;
  }
  return cause instanceof TypeError || (cause instanceof Error && "code" in cause && typeof cause.code === "string");
}

function exponential(retries: number): number {
  const delay = Math.min(backoff.initialMs * 2 ** retries, backoff.maxMs);
  return delay * (1 - Math.random() * backoff.jitter);
}

/** Waits. It throws if the signal aborts. */
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

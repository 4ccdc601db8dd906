import { Code, ConnectError } from "@connectrpc/connect";

import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import { ErrorSchema } from "./gen/openaiconnect/rest/v1/error_pb.js";

/** Why a call failed, in the API's own words where it answered. */
export class APIError extends Error {
  override readonly name = "APIError";
  /** The error as the RPC protocol carried it, with its details. */
  declare readonly cause: ConnectError;
  /** The RPC code: there is one without an answer of the API too. */
  readonly rpcCode: Code;
  /** The HTTP status of the API's answer. Undefined when there was none. */
  readonly status: number | undefined;
  /** The class of the error, such as `invalid_request_error`. */
  readonly type: string | undefined;
  /** The machine-readable reason, such as `rate_limit_exceeded`. */
  readonly code: string | undefined;
  /** The request parameter that is at fault. */
  readonly param: string | undefined;
  /** The API's x-request-id, to quote when asking its operator. */
  readonly requestId: string | undefined;
  /** After how many milliseconds the API wants to be asked again, if it said so. */
  readonly retryAfterMs: number | undefined;
  /** The answer's headers. */
  readonly headers: Headers;

  private constructor(cause: ConnectError) {
    const [detail] = cause.findDetails(ErrorSchema);
    super(detail?.message || cause.rawMessage, { cause });
    this.rpcCode = cause.code;
    this.status = detail?.httpStatus || undefined;
    this.type = detail?.type || undefined;
    this.code = detail?.code;
    this.param = detail?.param;
    this.headers = withoutRepeats(cause.metadata);
    this.requestId = detail?.requestId || (this.headers.get("x-request-id") ?? undefined);
    this.retryAfterMs = retryAfterMs(this.headers);
  }

  /** An APIError of whatever a call threw. */
  static from(thrown: unknown): APIError {
    if (thrown instanceof APIError) {
      return thrown;
    }
    const limit = fetchLimit(thrown);
    return new APIError(limit ? new ConnectError(limit, Code.DeadlineExceeded, undefined, undefined, thrown) : ConnectError.from(thrown));
  }

  /** The error of a call that its signal has ended. */
  static canceled(reason: unknown): APIError {
    const message = reason instanceof Error ? reason.message : "This operation was aborted";
    return new APIError(new ConnectError(message, Code.Canceled, undefined, undefined, reason));
  }

  /** Whether the API asks for fewer requests, or a quota is used up (then `code` says so). */
  get isRateLimited(): boolean {
    return this.status === 429;
  }

  /** Whether the key is missing or wrong. */
  get isUnauthenticated(): boolean {
    return this.rpcCode === Code.Unauthenticated;
  }

  /** Whether there is nothing of this id, or no such model. */
  get isNotFound(): boolean {
    return this.rpcCode === Code.NotFound;
  }

  /** Whether the call's own signal ended it. */
  get isCanceled(): boolean {
    return this.rpcCode === Code.Canceled;
  }
}

/** An answer came, but not the output that was asked for: see the completion for all that did. */
export class OutputError extends Error {
  override readonly name = "OutputError";

  constructor(
    message: string,
    /** The answer. */
    readonly completion: ChatCompletion,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The headers of an error without the trailers that repeat them over gRPC and
 * gRPC-Web: Connect joins both, so that `7` arrives as `7, 7`.
 */
function withoutRepeats(metadata: Headers): Headers {
  const headers = new Headers();
  metadata.forEach((value, name) => {
    const middle = (value.length - 2) / 2;
    const isRepeated = value.length > 2 && value.slice(middle) === `, ${value.slice(0, middle)}`;
    headers.append(name, isRepeated ? value.slice(0, middle) : value);
  });
  return headers;
}

/**
 * The wait that an answer asks for: `retry-after-ms`, which is OpenAI's own and
 * more exact, or else `retry-after` in seconds or as a date (RFC 9110, 10.2.3).
 */
function retryAfterMs(headers: Headers): number | undefined {
  const after = headers.get("retry-after") ?? "";
  const waits = [parseFloat(headers.get("retry-after-ms") ?? ""), parseFloat(after) * 1000, Date.parse(after) - Date.now()];
  const wait = waits.find((ms) => !Number.isNaN(ms));
  return wait === undefined ? undefined : Math.max(0, wait);
}

/** The limits of the fetch of Node.js, by the codes of its errors (https://undici.nodejs.org/#/docs/api/Errors). */
const fetchLimits: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: "headersTimeout, on the wait for a response (300 s by default)",
  UND_ERR_BODY_TIMEOUT: "bodyTimeout, on the silence within a response (300 s by default)",
};

/** A message that names the limit at which the fetch of Node.js gave up, or nothing if it did not. */
function fetchLimit(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const limit = "code" in error && typeof error.code === "string" ? fetchLimits[error.code] : undefined;
    if (limit) {
      return `fetch gave up at its own limit ${limit}: use a fetch with a larger one, or a transport of @connectrpc/connect-node, which has none`;
    }
  }
  return undefined;
}

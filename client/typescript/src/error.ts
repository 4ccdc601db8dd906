import { Code, ConnectError } from "@connectrpc/connect";

import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import { ErrorSchema } from "./gen/openaiconnect/rest/v1/error_pb.js";

/** The error of a failed call, with the API's error if there is one. */
export class APIError extends Error {
  override readonly name = "APIError";
  /** The RPC error with its details. */
  declare readonly cause: ConnectError;
  /** The RPC code, also set without a response of the API. */
  readonly rpcCode: Code;
  /** The HTTP status of the API's response, or undefined without one. */
  readonly status: number | undefined;
  /** OpenAI's error type, such as `invalid_request_error`. */
  readonly type: string | undefined;
  /** OpenAI's error code, such as `rate_limit_exceeded`. */
  readonly code: string | undefined;
  /** The request parameter at fault. */
  readonly param: string | undefined;
  /** The API's request ID, for support requests. */
  readonly requestId: string | undefined;
  /** The delay before a retry requested by the API, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The response headers. */
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

  /** Converts an exception of a call. */
  static from(thrown: unknown): APIError {
    if (thrown instanceof APIError) {
      return thrown;
    }
    const limit = fetchLimit(thrown);
    return new APIError(limit ? new ConnectError(limit, Code.DeadlineExceeded, undefined, undefined, thrown) : ConnectError.from(thrown));
  }

  /** The error of a call canceled by its signal. */
  static canceled(reason: unknown): APIError {
    const message = reason instanceof Error ? reason.message : "This operation was aborted";
    return new APIError(new ConnectError(message, Code.Canceled, undefined, undefined, reason));
  }

  /** Whether a rate limit or a quota was exceeded; `code` distinguishes the two. */
  get isRateLimited(): boolean {
    return this.status === 429;
  }

  /** Whether the API key is missing or invalid. */
  get isUnauthenticated(): boolean {
    return this.rpcCode === Code.Unauthenticated;
  }

  /** Whether the object or the model does not exist. */
  get isNotFound(): boolean {
    return this.rpcCode === Code.NotFound;
  }

  /** Whether the call was canceled by its signal. */
  get isCanceled(): boolean {
    return this.rpcCode === Code.Canceled;
  }
}

/** The error of a successful call without the requested output. It contains the completion. */
export class OutputError extends Error {
  override readonly name = "OutputError";

  constructor(
    message: string,
    /** The completion. */
    readonly completion: ChatCompletion,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * The headers of an error without repeated values. With gRPC and gRPC-Web, trailers
 * repeat the headers, and Connect joins both: `7` arrives as `7, 7`.
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
 * The delay requested by a response: OpenAI's `Retry-After-Ms`, or else
 * `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).
 */
function retryAfterMs(headers: Headers): number | undefined {
  const after = headers.get("retry-after") ?? "";
  const waits = [parseFloat(headers.get("retry-after-ms") ?? ""), parseFloat(after) * 1000, Date.parse(after) - Date.now()];
  const wait = waits.find((ms) => !Number.isNaN(ms));
  return wait === undefined ? undefined : Math.max(0, wait);
}

/** The timeouts of fetch in Node.js, by error code (https://undici.nodejs.org/#/docs/api/Errors). */
const fetchLimits: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: "headersTimeout, the time until the response headers (300 s by default)",
  UND_ERR_BODY_TIMEOUT: "bodyTimeout, the time between two parts of the body (300 s by default)",
};

/** The message for a timeout of fetch in Node.js, or undefined for other errors. */
function fetchLimit(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const limit = "code" in error && typeof error.code === "string" ? fetchLimits[error.code] : undefined;
    if (limit) {
      return `fetch exceeded its ${limit}: use a fetch with a larger timeout, or a transport of @connectrpc/connect-node, which has none`;
    }
  }
  return undefined;
}

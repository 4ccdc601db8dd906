import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { Chat } from "./chat.js";
import { ChatService } from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
import { mergeHeaders, withHeaders } from "./headers.js";
import { defaultMaxMessageBytes, limitMessages } from "./limits.js";

/** Options of every client. */
interface CommonOptions {
  /**
   * The API key sent with every call, as `Authorization: Bearer KEY`, unless
   * `headers` sets the header. It is never read from the environment.
   */
  apiKey?: string | undefined;
  /** Headers sent with every call. Headers of a single call take precedence. */
  headers?: HeadersInit | undefined;
  /** The maximum number of retries of a failed call. The default is 2. */
  maxRetries?: number | undefined;
}

/** Options of a client that uses `fetch`, in browsers, Node.js, Deno and Bun. */
interface FetchOptions extends CommonOptions {
  /** The URL of the server, such as `http://127.0.0.1:8080`. In a page, a path such as `/api` is relative to the page. */
  baseUrl: string;
  /** The RPC protocol. The default is Connect. */
  protocol?: "connect" | "grpc-web" | undefined;
  /** A replacement for the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /**
   * The maximum size of a received message, in bytes after decompression: a
   * response, or one chunk of a stream. A larger one fails the call with
   * `resource_exhausted`. The default is 64 MiB. For a custom transport, set its
   * own limit, such as `readMaxBytes` of `@connectrpc/connect-node`.
   */
  maxMessageBytes?: number | undefined;
  transport?: undefined;
}

/** Options of a client with a custom transport. */
interface TransportOptions extends CommonOptions {
  /** The transport, such as the result of `createGrpcTransport` of `@connectrpc/connect-node`. */
  transport: Transport;
  /** Unused: the transport has the URL of the server. */
  baseUrl?: string | undefined;
  maxMessageBytes?: undefined;
}

/** Options of {@link OpenAIConnect}: a base URL or a transport. */
export type ClientOptions = FetchOptions | TransportOptions;

/** A client of one server. It connects on first use. */
export class OpenAIConnect {
  /** Chat completions. */
  readonly chat: Chat;

  /**
   * The generated client of `openaiconnect.chat.v1.ChatService`. It sends the API key
   * and the headers, does not retry, and throws `ConnectError`.
   */
  readonly stub: Client<typeof ChatService>;

  constructor(options: ClientOptions) {
    const authorization: HeadersInit = options.apiKey ? { authorization: `Bearer ${options.apiKey}` } : {};
    const transport = options.transport ?? fetchTransport(options);
    this.stub = createClient(ChatService, withHeaders(transport, mergeHeaders(authorization, options.headers)));
    this.chat = new Chat(this.stub, options.maxRetries ?? 2);
  }
}

function fetchTransport({ baseUrl, protocol, fetch, maxMessageBytes = defaultMaxMessageBytes }: FetchOptions): Transport {
  checkBaseUrl(baseUrl);
  if (!(maxMessageBytes > 0)) {
    throw new RangeError(`maxMessageBytes is ${maxMessageBytes}: want a number of bytes above zero`);
  }
  const options = { baseUrl, useBinaryFormat: true, fetch: limitMessages(fetch ?? ((input, init) => globalThis.fetch(input, init)), maxMessageBytes) };
  return protocol === "grpc-web" ? createGrpcWebTransport(options) : createConnectTransport(options);
}

/** Throws if the URL is invalid. The error does not quote it, since it may contain a password. */
function checkBaseUrl(baseUrl: unknown): void {
  const want = "want the server's URL, such as http://127.0.0.1:8080";
  if (typeof baseUrl !== "string" || baseUrl === "") {
    throw new TypeError(`baseUrl is ${baseUrl === "" ? "empty" : typeof baseUrl}: ${want}`);
  }
  let url: URL;
  try {
    url = new URL(baseUrl, globalThis.location?.href);
  } catch {
    throw new TypeError(`baseUrl is not a URL: ${want}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`baseUrl has the scheme ${url.protocol} ${want}`);
  }
  if (url.username || url.password) {
    throw new TypeError("baseUrl contains a user or a password: use apiKey or headers");
  }
  if (url.search || url.hash) {
    throw new TypeError("baseUrl contains a query or a fragment: remove it");
  }
}

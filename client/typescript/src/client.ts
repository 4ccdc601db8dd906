import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { Chat } from "./chat.js";
import { ChatService } from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
import { combine, withHeaders } from "./headers.js";
import { defaultMaxMessageBytes, limitMessages } from "./limits.js";

/** What every client may be given. */
interface CommonOptions {
  /**
   * A key that is sent with every call, as `authorization: Bearer …`, unless
   * the headers have an authorization of their own. It is not read from the
   * environment.
   */
  apiKey?: string | undefined;
  /** Headers that are sent with every call. A call's own headers win. */
  headers?: HeadersInit | undefined;
  /** How often a failed call is tried again. 2 when unset. */
  maxRetries?: number | undefined;
}

/** A client that calls by `fetch`: in browsers, Node.js, Deno and Bun. */
interface FetchOptions extends CommonOptions {
  /** The server, such as `http://127.0.0.1:8080`. In a page, a path such as `/api` is one on the page's server. */
  baseUrl: string;
  /** The RPC protocol. Connect when unset. */
  protocol?: "connect" | "grpc-web" | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /**
   * The largest message that is received, in bytes after decompression: an
   * answer, or one chunk of a stream. A larger one fails the call with
   * `resource_exhausted`. 64 MiB when unset. A transport of one's own has its own
   * limit: `readMaxBytes` of `@connectrpc/connect-node`.
   */
  maxMessageBytes?: number | undefined;
  transport?: undefined;
}

/** A client over a transport of one's own. */
interface TransportOptions extends CommonOptions {
  /** Such as `createGrpcTransport` of `@connectrpc/connect-node` makes. */
  transport: Transport;
  /** Not used: the transport knows its server. */
  baseUrl?: string | undefined;
  maxMessageBytes?: undefined;
}

/** How {@link OpenAIConnect} reaches its server: by a base URL, or by a transport. */
export type ClientOptions = FetchOptions | TransportOptions;

/** A client of one server. It connects when it is first used. */
export class OpenAIConnect {
  /** Chat completions. */
  readonly chat: Chat;

  /**
   * The generated client of `openaiconnect.chat.v1.ChatService`: it sends the key and
   * the headers, but knows no retries, and its errors are Connect's own.
   */
  readonly stub: Client<typeof ChatService>;

  constructor(options: ClientOptions) {
    const authorization: HeadersInit = options.apiKey ? { authorization: `Bearer ${options.apiKey}` } : {};
    const transport = options.transport ?? fetchTransport(options);
    this.stub = createClient(ChatService, withHeaders(transport, combine(authorization, options.headers)));
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

/** Throws if no call could reach the URL. The error has no text of it, as that may hold a password. */
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
    throw new TypeError("baseUrl has a user or a password: use apiKey, or headers");
  }
  if (url.search || url.hash) {
    throw new TypeError("baseUrl has a query or a fragment: leave it out");
  }
}

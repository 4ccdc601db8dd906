import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { Chat } from "./chat.js";
import { ChatService } from "./gen/openai/chat/v1/chat_service_pb.js";
import { combine, withHeaders } from "./headers.js";

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
  /** The server, such as `http://127.0.0.1:8080`. */
  baseUrl: string;
  /** The RPC protocol. Connect when unset. */
  protocol?: "connect" | "grpc-web" | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  transport?: undefined;
}

/** A client over a transport of one's own. */
interface TransportOptions extends CommonOptions {
  /** Such as `createGrpcTransport` of `@connectrpc/connect-node` makes. */
  transport: Transport;
  /** Not used: the transport knows its server. */
  baseUrl?: string | undefined;
}

/** How {@link OpenAIConnect} reaches its server: by a base URL, or by a transport. */
export type ClientOptions = FetchOptions | TransportOptions;

/** A client of one server. It connects when it is first used. */
export class OpenAIConnect {
  /** Chat completions. */
  readonly chat: Chat;

  /**
   * The generated client of `openai.chat.v1.ChatService`: it sends the key and
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

function fetchTransport({ baseUrl, protocol, fetch }: FetchOptions): Transport {
  const options = { baseUrl, useBinaryFormat: true, ...(fetch && { fetch }) };
  return protocol === "grpc-web" ? createGrpcWebTransport(options) : createConnectTransport(options);
}

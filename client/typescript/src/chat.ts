import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";

import { OutputError } from "./error.js";
import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import type { ChatService } from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
import { CreateChatCompletionRequestSchema } from "./gen/openaiconnect/chat/v1/create_chat_completion_pb.js";
import type { Message } from "./gen/openaiconnect/chat/v1/message_pb.js";
import { ResponseFormatSchema } from "./gen/openaiconnect/chat/v1/response_format_pb.js";
import type {
  ChatCompletionDeleted,
  DeleteChatCompletionRequestSchema,
  GetChatCompletionRequestSchema,
  ListChatCompletionMessagesRequestSchema,
  ListChatCompletionsRequestSchema,
  UpdateChatCompletionRequestSchema,
} from "./gen/openaiconnect/chat/v1/stored_chat_completion_pb.js";
import { combine } from "./headers.js";
import { readOutput } from "./output.js";
import { pages } from "./pages.js";
import { withRetries } from "./retry.js";
import { schemaText } from "./schema.js";
import { ChatStream } from "./stream.js";
import { type RunnableTool, runTools, type ToolRun, type ToolRunOptions } from "./tools.js";

/** A conversation to answer, and how. Unset fields are left to the API. */
export type ChatRequest = MessageInitShape<typeof CreateChatCompletionRequestSchema>;

/** What may be said of one call. */
export interface CallOptions {
  /** Ends the call, and the waits between its tries. */
  signal?: AbortSignal | undefined;
  /** Headers for this call. */
  headers?: HeadersInit | undefined;
  /** How long the call may take in milliseconds, all its tries and all of a stream included. Rounded up; at most 99,999,999 (27 hours) for one try. Without limit when unset or Infinity. */
  timeoutMs?: number | undefined;
  /** Called with the headers of the answer: of a stream when its first piece is there. */
  onHeader?: ((headers: Headers) => void) | undefined;
  /** How often this call is tried again, in place of the client's own number. */
  maxRetries?: number | undefined;
}

/** The structure that an output has. */
export interface OutputFormat {
  /** A name for it: up to 64 letters, digits, underscores and dashes. */
  name: string;
  /** A JSON Schema. The order of its properties is the order of the output. */
  schema: object;
  /** What the output is for. */
  description?: string | undefined;
  /** Whether the output is sure to fit, which not every schema allows. True when unset. */
  strict?: boolean | undefined;
}

/**
 * Chat completions. Every method throws an {@link APIError} when its call
 * fails, after the retries that OpenAI's SDKs make too: on connection failures,
 * and on the statuses 408, 409, 429 and from 500.
 */
export class Chat {
  readonly #stub: Client<typeof ChatService>;
  readonly #maxRetries: number;

  /** @internal */
  constructor(stub: Client<typeof ChatService>, maxRetries: number) {
    this.#stub = stub;
    this.#maxRetries = maxRetries;
  }

  /** Answers a conversation with the model's next message. */
  create(request: ChatRequest, options: CallOptions = {}): Promise<ChatCompletion> {
    return this.#call("createChatCompletion", request, withKey(options));
  }

  /** Answers a conversation piece by piece, as the model writes it. */
  stream(request: ChatRequest, options: CallOptions = {}): ChatStream {
    const { signal, headers, timeoutMs, onHeader, maxRetries = this.#maxRetries } = withKey(options);
    return new ChatStream({
      call: this.#stub.streamChatCompletion,
      request,
      headers: new Headers(headers),
      onHeader,
      signal,
      timeoutMs,
      maxRetries,
    });
  }

  /**
   * Answers with JSON of a schema, parsed. Nothing checks `T` against the
   * schema. It throws an {@link OutputError} when the model refuses, is cut
   * short, or writes no JSON.
   */
  async createAs<T>(request: ChatRequest, format: OutputFormat, options: CallOptions = {}): Promise<{ value: T; completion: ChatCompletion }> {
    const { name, schema, description, strict = true } = format;
    const value = { name, schemaJson: schemaText("schema", schema), strict, ...(description !== undefined && { description }) };
    const responseFormat = create(ResponseFormatSchema, { format: { case: "jsonSchema", value } });
    const completion = await this.create({ ...create(CreateChatCompletionRequestSchema, request), responseFormat }, options);
    return { value: readOutput(completion) as T, completion };
  }

  /**
   * Answers a conversation, and runs the tools that the model calls, until it
   * calls none. Calls of one answer run at once. What a tool throws goes to the
   * model as text. Only the first of several choices counts. A call of
   * one of the request's own `tools` ends it: that is for you to answer.
   */
  runTools(request: ChatRequest, tools: readonly RunnableTool[], options: CallOptions & ToolRunOptions = {}): Promise<ToolRun> {
    return runTools((next) => this.create(next, options), request, tools, options);
  }

  /** Returns a completion that was stored (`store: true`). */
  get(completion: string | MessageInitShape<typeof GetChatCompletionRequestSchema>, options: CallOptions = {}): Promise<ChatCompletion> {
    return this.#call("getChatCompletion", byId(completion), options);
  }

  /** Replaces the metadata of a stored completion. */
  update(request: MessageInitShape<typeof UpdateChatCompletionRequestSchema>, options: CallOptions = {}): Promise<ChatCompletion> {
    return this.#call("updateChatCompletion", request, withKey(options));
  }

  /** Deletes a stored completion. */
  delete(completion: string | MessageInitShape<typeof DeleteChatCompletionRequestSchema>, options: CallOptions = {}): Promise<ChatCompletionDeleted> {
    return this.#call("deleteChatCompletion", byId(completion), options);
  }

  /** Lists stored completions, over all pages: a page is asked for when the one before is used up. `limit` is a page's size. */
  list(request: MessageInitShape<typeof ListChatCompletionsRequestSchema> = {}, options: CallOptions = {}): AsyncIterable<ChatCompletion> {
    return pages(request.after, (after) => this.#call("listChatCompletions", { ...request, ...after }, options));
  }

  /** Lists the messages that a stored completion answered, over all pages. `limit` is a page's size. */
  messages(completion: string | MessageInitShape<typeof ListChatCompletionMessagesRequestSchema>, options: CallOptions = {}): AsyncIterable<Message> {
    const request = byId(completion);
    return pages(request.after, (after) => this.#call("listChatCompletionMessages", { ...request, ...after }, options));
  }

  #call<Name extends UnaryName>(name: Name, request: RequestOf<Name>, options: CallOptions): Promise<ResponseOf<Name>> {
    const { signal, headers, onHeader, timeoutMs, maxRetries = this.#maxRetries } = options;
    const method = this.#stub[name] as UnaryMethod<RequestOf<Name>, ResponseOf<Name>>;
    return withRetries({ maxRetries, signal, timeoutMs }, (timeoutMs) =>
      method(request, {
        ...(signal && { signal }),
        ...(headers && { headers }),
        ...(onHeader && { onHeader }),
        ...(timeoutMs !== undefined && { timeoutMs }),
      }),
    );
  }
}

type Stub = Client<typeof ChatService>;
type UnaryName = Exclude<keyof Stub, "streamChatCompletion">;
type RequestOf<Name extends UnaryName> = Parameters<Stub[Name]>[0];
type ResponseOf<Name extends UnaryName> = Awaited<ReturnType<Stub[Name]>>;
type UnaryMethod<I, O> = (request: I, options: Parameters<Stub[UnaryName]>[1]) => Promise<O>;

function byId<Request extends object>(completion: string | Request): Request | (Request & { completionId: string }) {
  return typeof completion === "string" ? ({ completionId: completion } as Request & { completionId: string }) : completion;
}

/** Adds an idempotency key, by which a server recognizes the attempts of one call. */
function withKey(options: CallOptions): CallOptions {
  // Some runtimes have no global crypto, and pages without TLS no crypto.randomUUID.
  // The key is not a secret: where crypto is missing, Math.random is enough.
  const bytes = globalThis.crypto?.getRandomValues(new Uint8Array(16)) ?? Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { ...options, headers: combine({ "idempotency-key": key }, options.headers) };
}

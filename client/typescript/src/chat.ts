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
import { mergeHeaders } from "./headers.js";
import { readOutput } from "./output.js";
import { pages } from "./pages.js";
import { withRetries } from "./retry.js";
import { schemaText } from "./schema.js";
import { ChatStream } from "./stream.js";
import { type RunnableTool, runTools, type ToolRun, type ToolRunOptions } from "./tools.js";

/** A chat completion request. The API's defaults apply to unset fields. */
export type ChatRequest = MessageInitShape<typeof CreateChatCompletionRequestSchema>;

/** Options of one call. */
export interface CallOptions {
  /** Cancels the call and the delays between its attempts. */
  signal?: AbortSignal | undefined;
  /** Headers for this call. */
  headers?: HeadersInit | undefined;
  /** The timeout of the call in milliseconds, including retries and the whole stream. It is rounded up, and limited to 99,999,999 (27 hours) for one attempt. Calls have no timeout by default. */
  timeoutMs?: number | undefined;
  /** Called with the response headers; for a stream, when its first chunk arrives. */
  onHeader?: ((headers: Headers) => void) | undefined;
  /** The maximum number of retries of this call, instead of the client's. */
  maxRetries?: number | undefined;
}

/** The structure of an output. */
export interface OutputFormat {
  /** The name of the format: up to 64 letters, digits, underscores and dashes. */
  name: string;
  /** The JSON Schema. Its order of properties is the order of the output. */
  schema: object;
  /** The purpose of the output. */
  description?: string | undefined;
  /** Whether the output must follow the schema strictly, which not every schema supports. The default is true. */
  strict?: boolean | undefined;
}

/**
 * Chat completions. A method throws an {@link APIError} if its call fails. Like
 * OpenAI's SDKs, it retries after connection failures and the statuses 408, 409,
 * 429 and 5xx.
 */
export class Chat {
  readonly #stub: Client<typeof ChatService>;
  readonly #maxRetries: number;

  /** @internal */
  constructor(stub: Client<typeof ChatService>, maxRetries: number) {
    this.#stub = stub;
    this.#maxRetries = maxRetries;
  }

  /** Returns the model's response to a conversation. */
  create(request: ChatRequest, options: CallOptions = {}): Promise<ChatCompletion> {
    return this.#call("createChatCompletion", request, withKey(options));
  }

  /** Returns the model's response as a stream of chunks. */
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
   * Returns a response that follows a JSON Schema, parsed. `T` is not checked
   * against the schema. It throws an {@link OutputError} if the model refuses, if
   * the output is truncated, or if it is not JSON.
   */
  async createAs<T>(request: ChatRequest, format: OutputFormat, options: CallOptions = {}): Promise<{ value: T; completion: ChatCompletion }> {
    const { name, schema, description, strict = true } = format;
    const value = { name, schemaJson: schemaText("schema", schema), strict, ...(description !== undefined && { description }) };
    const responseFormat = create(ResponseFormatSchema, { format: { case: "jsonSchema", value } });
    const completion = await this.create({ ...create(CreateChatCompletionRequestSchema, request), responseFormat }, options);
    return { value: readOutput(completion) as T, completion };
  }

  /**
   * Sends a conversation to the model and runs the tools that it calls, until it
   * responds without a tool call. Parallel calls run in parallel. An exception of
   * a tool is sent to the model as text. If there are several choices, the first
   * one is used. A call of one of the request's own `tools` ends the loop, so that
   * the caller can run it.
   */
  runTools(request: ChatRequest, tools: readonly RunnableTool[], options: CallOptions & ToolRunOptions = {}): Promise<ToolRun> {
    return runTools((next) => this.create(next, options), request, tools, options);
  }

  /** Returns a stored completion, created with `store: true`. */
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

  /** Returns the stored completions of all pages, which are fetched on demand. `limit` is the page size. */
  list(request: MessageInitShape<typeof ListChatCompletionsRequestSchema> = {}, options: CallOptions = {}): AsyncIterable<ChatCompletion> {
    return pages(request.after, (after) => this.#call("listChatCompletions", { ...request, ...after }, options));
  }

  /** Returns the request messages of a stored completion, from all pages. `limit` is the page size. */
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

/** Adds an idempotency key, which lets a server recognize the attempts of one call. */
function withKey(options: CallOptions): CallOptions {
  // Some runtimes lack a global crypto, and pages without TLS lack crypto.randomUUID.
  // The key is not a secret, so Math.random is a sufficient replacement.
  const bytes = globalThis.crypto?.getRandomValues(new Uint8Array(16)) ?? Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { ...options, headers: mergeHeaders({ "idempotency-key": key }, options.headers) };
}

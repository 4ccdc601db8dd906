import type { Client } from "@connectrpc/connect";

import { Accumulator } from "./accumulator.js";
import { APIError } from "./error.js";
import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import type { ChatCompletionChunk } from "./gen/openaiconnect/chat/v1/chat_completion_chunk_pb.js";
import type { ChatService } from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
import { type Bounds, withRetries } from "./retry.js";

type Call = Client<typeof ChatService>["streamChatCompletion"];

/** The call of a stream. */
export interface StreamCall extends Bounds {
  call: Call;
  request: Parameters<Call>[0];
  headers: Headers;
  onHeader: ((headers: Headers) => void) | undefined;
}

/**
 * A streamed response, to be read once: with `for await`, or as a whole with
 * {@link completion}. The call starts when reading starts. Leaving the loop early
 * cancels it. A loop that ends without an exception has received the complete
 * response.
 */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  readonly #call: StreamCall;
  readonly #result: Promise<ChatCompletion>;
  #resolve!: (completion: ChatCompletion) => void;
  #reject!: (reason: Error) => void;
  #started = false;

  constructor(call: StreamCall) {
    this.#call = call;
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A reader of the chunks gets the error from its loop.
    this.#result.catch(() => {});
  }

  /**
   * Returns the completion that the unary call would have returned. It reads the
   * stream, or waits for the end of a loop that does. It throws if the loop is left
   * early.
   */
  async completion(): Promise<ChatCompletion> {
    if (!this.#started) {
      for await (const chunk of this) {
        void chunk;
      }
    }
    return this.#result;
  }

  [Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    if (this.#started) {
      throw new Error("a stream can only be read once: keep its chunks, or use completion()");
    }
    this.#started = true;
    return this.#read();
  }

  async *#read(): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    const { call, request, headers, onHeader, ...bounds } = this.#call;
    const { signal } = bounds;
    const accumulator = new Accumulator();
    // Connect's iterator cannot cancel the call, only a signal can.
    const controller = new AbortController();
    const abort = () => controller.abort(signal?.reason);
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted();
      let received = new Headers();
      // A retry after the first chunk would repeat it.
      const { chunks, first } = await withRetries(bounds, async (timeoutMs) => {
        const chunks = call(request, {
          signal: controller.signal,
          headers,
          onHeader: (header) => void (received = header),
          ...(timeoutMs !== undefined && { timeoutMs }),
        })[Symbol.asyncIterator]();
        return { chunks, first: await chunks.next() };
      });
      onHeader?.(received);
      for (let chunk = first; !chunk.done; chunk = await chunks.next()) {
        accumulator.add(chunk.value);
        yield chunk.value;
      }
      this.#resolve(accumulator.completion);
    } catch (thrown) {
      const error = signal?.aborted ? APIError.canceled(signal.reason) : APIError.from(thrown);
      this.#reject(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      controller.abort();
      this.#reject(new Error("the loop was left before the stream ended: the completion is incomplete"));
    }
  }
}

import type { Client } from "@connectrpc/connect";

import { Accumulator } from "./accumulator.js";
import { APIError } from "./error.js";
import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import type { ChatCompletionChunk } from "./gen/openaiconnect/chat/v1/chat_completion_chunk_pb.js";
import type { ChatService } from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
import { type Bounds, withRetries } from "./retry.js";

type Call = Client<typeof ChatService>["streamChatCompletion"];

/** What a stream is of. */
export interface StreamCall extends Bounds {
  call: Call;
  request: Parameters<Call>[0];
  headers: Headers;
  onHeader: ((headers: Headers) => void) | undefined;
}

/**
 * An answer that comes in pieces, to be read once: by `for await`, or as a
 * whole by {@link completion}. The call begins when reading does. Leaving the
 * loop early ends it. A loop that ends without an error has seen all of the
 * answer.
 */
export class ChatStream implements AsyncIterable<ChatCompletionChunk> {
  readonly #call: StreamCall;
  readonly #result: Promise<ChatCompletion>;
  #resolve!: (completion: ChatCompletion) => void;
  #reject!: (reason: Error) => void;
  #begun = false;

  constructor(call: StreamCall) {
    this.#call = call;
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who reads the pieces has the error from there.
    this.#result.catch(() => {});
  }

  /**
   * The whole answer, as the unary call would have given it. It reads the
   * stream, unless a loop does or did: then it waits for the loop's end, and
   * fails if that leaves early.
   */
  async completion(): Promise<ChatCompletion> {
    if (!this.#begun) {
      for await (const chunk of this) {
        void chunk;
      }
    }
    return this.#result;
  }

  [Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    if (this.#begun) {
      throw new Error("a stream can be read once: keep its chunks, or use completion()");
    }
    this.#begun = true;
    return this.#read();
  }

  async *#read(): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    const { call, request, headers, onHeader, ...bounds } = this.#call;
    const { signal } = bounds;
    const accumulator = new Accumulator();
    // Connect's iterator has no way to end the call: a signal has.
    const ended = new AbortController();
    const end = () => ended.abort(signal?.reason);
    signal?.addEventListener("abort", end);
    try {
      signal?.throwIfAborted();
      let received = new Headers();
      // Once a piece is out, another try would repeat it.
      const { pieces, first } = await withRetries(bounds, async (timeoutMs) => {
        const pieces = call(request, {
          signal: ended.signal,
          headers,
          onHeader: (header) => void (received = header),
          ...(timeoutMs !== undefined && { timeoutMs }),
        })[Symbol.asyncIterator]();
        return { pieces, first: await pieces.next() };
      });
      onHeader?.(received);
      for (let piece = first; !piece.done; piece = await pieces.next()) {
        accumulator.add(piece.value);
        yield piece.value;
      }
      this.#resolve(accumulator.completion);
    } catch (thrown) {
      const error = signal?.aborted ? APIError.canceled(signal.reason) : APIError.from(thrown);
      this.#reject(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", end);
      ended.abort();
      this.#reject(new Error("the loop over the stream ended before the stream did: there is no whole completion"));
    }
  }
}

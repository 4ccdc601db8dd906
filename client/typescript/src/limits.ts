import { Code, ConnectError } from "@connectrpc/connect";

/** The default maximum size of a received message: 64 MiB, as in the Go client. */
export const defaultMaxMessageBytes = 64 * 1024 * 1024;

/**
 * Returns a fetch function that limits the decompressed size of a response: of each
 * message of a stream, or else of the whole body. If the limit is exceeded, it cancels
 * the response and throws `resource_exhausted`. It also throws on a redirect, which could
 * send the request to another server.
 */
export function limitMessages(fetch: typeof globalThis.fetch, maxBytes: number): typeof globalThis.fetch {
  return async (input, init) => {
    // With Connect's own setting, "error", a redirect would look like a connection failure and would be retried.
    const response = await fetch(input, { ...init, redirect: "manual" });
    if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
      throw new ConnectError("redirect not followed: change baseUrl to the location that the server redirects to", Code.Internal);
    }
    if (!response.body) {
      return response;
    }
    const isStream = /^application\/(connect\+|grpc-web)/i.test(response.headers.get("content-type") ?? "");
    const body = isStream ? withSizeCheck(response.body, envelopeCheck(maxBytes)) : await readAll(withSizeCheck(response.body, bodyCheck(maxBytes)));
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
  };
}

/** Receives each chunk of a body. Throws if the body or one of its messages is too large. */
type SizeCheck = (chunk: Uint8Array) => void;

/** Returns a stream of the same bytes. If `check` throws, the stream fails and the original is canceled. */
function withSizeCheck(body: ReadableStream<Uint8Array>, check: SizeCheck): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) {
        controller.close();
        return;
      }
      try {
        check(value);
      } catch (error) {
        void reader.cancel(error).catch(() => {});
        throw error;
      }
      controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/** Reads a stream. `Response.arrayBuffer` does not throw the stream's error in every browser. */
async function readAll(body: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<Blob> {
  const reader = body.getReader();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    chunks.push(next.value);
  }
  return new Blob(chunks);
}

function bodyCheck(maxBytes: number): SizeCheck {
  let received = 0;
  return (chunk) => {
    received += chunk.length;
    if (received > maxBytes) {
      throw tooLarge(`the response is larger than`, maxBytes);
    }
  };
}

/**
 * Checks each message of a stream of envelopes. An envelope consists of one byte of
 * flags, four bytes of length, and the message.
 */
function envelopeCheck(maxBytes: number): SizeCheck {
  let headerBytes = 0;
  let length = 0;
  let messageBytesLeft = 0;
  return (chunk) => {
    for (let offset = 0; offset < chunk.length; ) {
      if (messageBytesLeft > 0) {
        const skipped = Math.min(messageBytesLeft, chunk.length - offset);
        messageBytesLeft -= skipped;
        offset += skipped;
        continue;
      }
      length = headerBytes === 0 ? 0 : length * 256 + (chunk[offset] ?? 0);
      offset++;
      if (++headerBytes < 5) {
        continue;
      }
      if (length > maxBytes) {
        throw tooLarge(`a message of ${length} bytes is larger than`, maxBytes);
      }
      headerBytes = 0;
      messageBytesLeft = length;
    }
  };
}

function tooLarge(problem: string, maxBytes: number): ConnectError {
  return new ConnectError(`${problem} the client's limit of ${maxBytes} bytes: raise maxMessageBytes`, Code.ResourceExhausted);
}

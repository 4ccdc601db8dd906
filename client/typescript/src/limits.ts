import { Code, ConnectError } from "@connectrpc/connect";

/** The default maximum size of a received message: 64 MiB, as in the Go client. */
export const defaultMaxMessageBytes = 64 * 1024 * 1024;

/**
 * Returns a fetch that limits the size of each message of a stream and of any
 * other body, after decompression. A larger one fails with `resource_exhausted`,
 * and the rest is not received. A redirect is an error: it could send the request
 * to another server.
 */
export function limitMessages(fetch: typeof globalThis.fetch, maxBytes: number): typeof globalThis.fetch {
  return async (input, init) => {
    // Connect lets fetch fail on a redirect, which looks like a connection failure and would be retried.
    const response = await fetch(input, { ...init, redirect: "manual" });
    if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
      throw new ConnectError("redirect not followed: change baseUrl to the location that the server redirects to", Code.Internal);
    }
    if (!response.body) {
      return response;
    }
    const isStream = /^application\/(connect\+|grpc-web)/i.test(response.headers.get("content-type") ?? "");
    const body = isStream ? limited(response.body, envelopeLimit(maxBytes)) : await readAll(limited(response.body, bodyLimit(maxBytes)));
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
  };
}

/** Throws if a chunk of a body exceeds the limit of a message. */
type Limit = (piece: Uint8Array) => void;

/** Returns a stream of the same bytes that fails and cancels the original when the limit throws. */
function limited(body: ReadableStream<Uint8Array>, check: Limit): ReadableStream<Uint8Array<ArrayBuffer>> {
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
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    pieces.push(next.value);
  }
  return new Blob(pieces);
}

function bodyLimit(maxBytes: number): Limit {
  let received = 0;
  return (piece) => {
    received += piece.length;
    if (received > maxBytes) {
      throw tooLarge(`the response has more than`, maxBytes);
    }
  };
}

/**
 * Limits each message in a stream of envelopes: one byte of flags, four bytes of
 * length, and the message.
 */
function envelopeLimit(maxBytes: number): Limit {
  let headerBytes = 0;
  let length = 0;
  let messageBytesLeft = 0;
  return (piece) => {
    for (let at = 0; at < piece.length; ) {
      if (messageBytesLeft > 0) {
        const taken = Math.min(messageBytesLeft, piece.length - at);
        messageBytesLeft -= taken;
        at += taken;
        continue;
      }
      length = headerBytes === 0 ? 0 : length * 256 + (piece[at] ?? 0);
      at++;
      if (++headerBytes < 5) {
        continue;
      }
      if (length > maxBytes) {
        throw tooLarge(`a message has ${length} bytes, more than`, maxBytes);
      }
      headerBytes = 0;
      messageBytesLeft = length;
    }
  };
}

function tooLarge(what: string, maxBytes: number): ConnectError {
  return new ConnectError(`${what} the client's limit of ${maxBytes} bytes: raise maxMessageBytes`, Code.ResourceExhausted);
}

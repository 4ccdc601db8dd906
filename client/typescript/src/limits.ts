import { Code, ConnectError } from "@connectrpc/connect";

/** The default bound of a received message: 64 MiB, as in the Go client. */
export const defaultMaxMessageBytes = 64 * 1024 * 1024;

/**
 * A fetch whose responses are bounded: a message of a stream, and any other
 * body as a whole, after decompression. A larger one fails with
 * `resource_exhausted`, and the rest is not received. A redirect fails, as what
 * is sent is for this server alone.
 */
export function limitMessages(fetch: typeof globalThis.fetch, maxBytes: number): typeof globalThis.fetch {
  return async (input, init) => {
    // Connect has fetch fail on a redirect, which looks like a broken connection, and would be tried again.
    const response = await fetch(input, { ...init, redirect: "manual" });
    if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
      throw new ConnectError("the server redirects the call, which is not followed: change baseUrl", Code.Internal);
    }
    if (!response.body) {
      return response;
    }
    const isStream = /^application\/(connect\+|grpc-web)/i.test(response.headers.get("content-type") ?? "");
    const body = isStream ? limited(response.body, envelopeLimit(maxBytes)) : await readAll(limited(response.body, bodyLimit(maxBytes)));
    return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
  };
}

/** Throws if a piece of a body takes a message beyond its limit. */
type Limit = (piece: Uint8Array) => void;

/** A stream of the same bytes that fails, and ends the original, when the limit throws. */
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

/** Reads a stream here, since `Response.arrayBuffer` does not throw a stream's own error in every browser. */
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
 * The limit of each message in a stream of envelopes: a byte of flags, the
 * message's length in four bytes, and the message.
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

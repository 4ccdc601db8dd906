import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, suite, test } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import grpcWeb from "grpc-web";

import {
  type ChatCompletion,
  type ChatCompletionChunk,
  ChatCompletionChunkSchema,
  ChatCompletionSchema,
  ChatService,
  type CreateChatCompletionRequest,
  CreateChatCompletionRequestSchema,
  Role,
} from "../src/index.js";
import { noServer, type Server, startServer } from "./server.js";

// The client needs XMLHttpRequest, which Node.js lacks.
(globalThis as { XMLHttpRequest?: unknown }).XMLHttpRequest = (
  createRequire(import.meta.url)("xmlhttprequest") as { XMLHttpRequest: unknown }
).XMLHttpRequest;

/** A placeholder for message classes, which the client doesn't instantiate. */
class Message {}

/** Returns the client's description of an RPC. */
function descriptor<Response>(name: string, type: string, read: (bytes: Uint8Array) => Response) {
  return new grpcWeb.MethodDescriptor<CreateChatCompletionRequest, Response>(
    `/${ChatService.typeName}/${name}`,
    type,
    Message as never,
    Message as never,
    (request: CreateChatCompletionRequest) => toBinary(CreateChatCompletionRequestSchema, request),
    read,
  );
}

const unary = descriptor<ChatCompletion>("CreateChatCompletion", "unary", (bytes) => fromBinary(ChatCompletionSchema, bytes));
const streaming = descriptor<ChatCompletionChunk>("StreamChatCompletion", "server_streaming", (bytes) =>
  fromBinary(ChatCompletionChunkSchema, bytes),
);

const hello = create(CreateChatCompletionRequestSchema, {
  model: "sandbox",
  messages: [{ role: Role.USER, content: "Hello, wörld! 😀" }],
});

suite("the official grpc-web client in text mode", { skip: noServer, timeout: 60_000 }, () => {
  let server: Server;
  const client = new grpcWeb.GrpcWebClientBase({ format: "text" });

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  const createCompletion = (metadata: grpcWeb.Metadata = {}) =>
    client.unaryCall(server.url + unary.getName(), hello, metadata, unary);

  /** Reads a stream. Returns its text, the number of chunks, and the status. */
  const readStream = (metadata: grpcWeb.Metadata = {}, onChunk: () => void = () => {}) =>
    new Promise<{ text: string; chunks: number; code: number; details: string }>((resolve) => {
      let text = "";
      let chunks = 0;
      client
        .serverStreaming(server.url + streaming.getName(), hello, metadata, streaming)
        .on("data", (chunk) => {
          text += chunk.choices[0]?.delta?.content ?? "";
          chunks++;
          onChunk();
        })
        .on("error", (error) => {
          resolve({ text, chunks, code: error.code, details: error.message });
        })
        .on("end", () => {
          resolve({ text, chunks, code: 0, details: "" });
        });
    });

  test("receives a unary response", async () => {
    const completion = await createCompletion();
    assert.match(completion.choices[0]?.message?.content ?? "", /wörld! 😀/);
  });

  test("receives the chunks of a stream one by one", async () => {
    const completion = await createCompletion();
    const times: number[] = [];
    const stream = await readStream({ "x-sandbox-chunk-delay": "40ms" }, () => times.push(performance.now()));
    assert.equal(stream.code, 0, stream.details);
    assert.equal(stream.text, completion.choices[0]?.message?.content);
    assert.ok(stream.chunks > 3);
    // Chunks delivered together would have no time between them.
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 40, `the chunks arrived at ${times.join(", ")}`);
  });

  test("receives errors", async () => {
    await assert.rejects(createCompletion({ "x-sandbox-status": "429" }), (thrown) => {
      assert.equal((thrown as grpcWeb.RpcError).code, 8);
      assert.match((thrown as Error).message, /status 429/);
      return true;
    });
    assert.equal((await readStream({ "x-sandbox-status": "401" })).code, 16);
  });

  test("receives an error for an interrupted stream", async () => {
    const stream = await readStream({ "x-sandbox-fault": "cut", "x-sandbox-after": "2" });
    assert.equal(stream.code, 14, stream.details);
    assert.ok(stream.chunks > 0);
  });
});

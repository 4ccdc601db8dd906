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

/** A message class. The client only uses its name. */
class Message {}

/** The description of an RPC for the client. */
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

suite("the official grpc-web client, in text mode", { skip: noServer, timeout: 60_000 }, () => {
  let server: Server;
  const client = new grpcWeb.GrpcWebClientBase({ format: "text" });

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  const ask = (metadata: grpcWeb.Metadata = {}) =>
    client.unaryCall(server.url + unary.getName(), hello, metadata, unary);

  /** The chunks of a stream and its final status. */
  const follow = (metadata: grpcWeb.Metadata = {}, each: () => void = () => {}) =>
    new Promise<{ text: string; pieces: number; code: number; details: string }>((resolve) => {
      let text = "";
      let pieces = 0;
      client
        .serverStreaming(server.url + streaming.getName(), hello, metadata, streaming)
        .on("data", (chunk) => {
          text += chunk.choices[0]?.delta?.content ?? "";
          pieces++;
          each();
        })
        .on("error", (error) => {
          resolve({ text, pieces, code: error.code, details: error.message });
        })
        .on("end", () => {
          resolve({ text, pieces, code: 0, details: "" });
        });
    });

  test("receives a response", async () => {
    const reply = await ask();
    assert.match(reply.choices[0]?.message?.content ?? "", /wörld! 😀/);
  });

  test("receives a stream, chunk by chunk", async () => {
    const whole = await ask();
    const times: number[] = [];
    const stream = await follow({ "x-sandbox-chunk-delay": "40ms" }, () => times.push(performance.now()));
    assert.equal(stream.code, 0, stream.details);
    assert.equal(stream.text, whole.choices[0]?.message?.content);
    assert.ok(stream.pieces > 3);
    // Chunks delivered together would have no time between them.
    assert.ok((times.at(-1) ?? 0) - (times[0] ?? 0) > 40, `the pieces came at ${times.join(", ")}`);
  });

  test("receives errors", async () => {
    await assert.rejects(ask({ "x-sandbox-status": "429" }), (thrown) => {
      assert.equal((thrown as grpcWeb.RpcError).code, 8);
      assert.match((thrown as Error).message, /status 429/);
      return true;
    });
    assert.equal((await follow({ "x-sandbox-status": "401" })).code, 16);
  });

  test("detects a truncated stream", async () => {
    const stream = await follow({ "x-sandbox-fault": "cut", "x-sandbox-after": "2" });
    assert.equal(stream.code, 14, stream.details);
    assert.ok(stream.pieces > 0);
  });
});

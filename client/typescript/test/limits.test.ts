import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { gzipSync } from "node:zlib";

import { Code } from "@connectrpc/connect";

import { APIError, OpenAIConnect } from "../src/index.js";

const request = { model: "m", messages: [] };
const megabyte = Buffer.alloc(1 << 20);

/** Writes up to 200 megabytes, until the client disconnects. Each written megabyte is added to `sent`. */
function flood(response: ServerResponse, sent: number[]): void {
  const write = () => {
    while (sent.length < 200) {
      sent.push(megabyte.length);
      if (!response.write(megabyte)) {
        response.once("drain", write);
        return;
      }
    }
    response.end();
  };
  write();
}

/** Returns the prefix of a message in a stream: flags and length. */
function envelope(length: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

suite("a response above maxMessageBytes", () => {
  const bomb = gzipSync(Buffer.alloc(80 << 20));
  let sent: number[] = [];
  let closed: Promise<unknown> = Promise.resolve();
  let attempts = 0;
  const hostile = createServer((incoming, response) => {
    sent = [];
    attempts++;
    closed = once(response, "close");
    const contentType = incoming.headers["content-type"] ?? "";
    switch (incoming.headers["x-kind"]) {
      case "gzip":
        response.writeHead(200, { "content-type": contentType, "content-encoding": "gzip" }).end(bomb);
        break;
      case "endless":
        response.writeHead(200, { "content-type": contentType });
        flood(response, sent);
        break;
      case "error":
        response.writeHead(500, { "content-type": "application/json" });
        flood(response, sent);
        break;
      case "message":
        response.writeHead(200, { "content-type": contentType });
        response.write(envelope(0x7fffffff));
        flood(response, sent);
        break;
    }
  });
  let baseUrl: string;

  before(async () => {
    hostile.listen(0, "127.0.0.1").unref();
    await once(hostile, "listening");
    baseUrl = `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`;
  });

  after(() => hostile.close());

  const tooLarge = (limit: string) => (error: unknown) => {
    assert.ok(error instanceof APIError);
    assert.equal(error.rpcCode, Code.ResourceExhausted, error.message);
    assert.match(error.message, new RegExp(`limit of ${limit} bytes: raise maxMessageBytes`));
    return true;
  };

  for (const [protocol, kind, method] of [
    ["connect", "gzip", "create"],
    ["connect", "endless", "create"],
    ["connect", "error", "create"],
    ["connect", "error", "stream"],
    ["connect", "message", "stream"],
    ["grpc-web", "message", "create"],
    ["grpc-web", "message", "stream"],
  ] as const) {
    test(`fails, is not read further and is not retried: ${protocol}, ${kind}, ${method}`, { timeout: 60_000 }, async () => {
      attempts = 0;
      const { chat } = new OpenAIConnect({ baseUrl, protocol, headers: { "x-kind": kind } });
      await assert.rejects(method === "create" ? chat.create(request) : chat.stream(request).completion(), tooLarge("67108864"));
      assert.equal(attempts, 1);
      await closed;
      assert.ok(sent.length < 150, `the client read ${sent.length} MB`);
    });
  }

  test("fails with a custom limit", async () => {
    const { chat } = new OpenAIConnect({ baseUrl, maxMessageBytes: 1000, headers: { "x-kind": "gzip" } });
    await assert.rejects(chat.create(request), tooLarge("1000"));
  });

  test("the constructor rejects an invalid limit", () => {
    for (const maxMessageBytes of [0, -1, NaN]) {
      assert.throws(() => new OpenAIConnect({ baseUrl, maxMessageBytes }), /^RangeError: maxMessageBytes is/);
    }
  });
});

test("a redirect fails, and is neither followed nor retried", async () => {
  const paths: (string | undefined)[] = [];
  const server = createServer((incoming, response) => {
    paths.push(incoming.url);
    response.writeHead(307, { location: "/elsewhere" }).end();
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  const { chat } = new OpenAIConnect({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const want = { name: "APIError", rpcCode: Code.Internal, message: /redirect not followed/ };
  await assert.rejects(chat.create(request), want);
  await assert.rejects(chat.stream(request).completion(), want);
  assert.deepEqual(paths, ["/openaiconnect.chat.v1.ChatService/CreateChatCompletion", "/openaiconnect.chat.v1.ChatService/StreamChatCompletion"]);
  server.closeAllConnections();
  server.close();
});

suite("messages within maxMessageBytes are accepted in chunks of", () => {
  const message = Buffer.from([0x0a, 1, 0x61]); // a chunk with the ID "a"
  const body = Buffer.concat([...Array.from({ length: 3 }, () => Buffer.concat([envelope(message.length), message])), Buffer.from([2, 0, 0, 0, 2]), Buffer.from("{}")]);

  for (let size = 1; size <= body.length; size++) {
    test(`${size} bytes`, async () => {
      const { chat } = new OpenAIConnect({
        baseUrl: "http://127.0.0.1:1",
        maxMessageBytes: message.length,
        fetch: () => {
          let at = 0;
          const stream = new ReadableStream<Uint8Array>({
            pull(controller) {
              if (at >= body.length) {
                controller.close();
                return;
              }
              controller.enqueue(new Uint8Array(body.subarray(at, (at += size))));
            },
          });
          return Promise.resolve(new Response(stream, { headers: { "content-type": "application/connect+proto" } }));
        },
      });
      const ids: string[] = [];
      for await (const { id } of chat.stream(request)) {
        ids.push(id);
      }
      assert.deepEqual(ids, ["a", "a", "a"]);
    });
  }
});

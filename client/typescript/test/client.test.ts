import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";

import { Code } from "@connectrpc/connect";

import { APIError, type ChatCompletion, OpenAIConnect, OutputError, system, tool, user } from "../src/index.js";
import { noServer, type Server, startServer } from "./server.js";
import { clients, http1 } from "./transports.js";

const hello = { model: "sandbox", messages: [user("Hello!")] };
const reply = 'This is the sandbox: no model, no key, no network. You said: "Hello!"';

suite("the client with the sandbox", { skip: noServer }, () => {
  let server: Server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  for (const [name, connect] of clients) {
    suite(name, () => {
      const chat = (options?: Parameters<typeof connect>[1]) => connect(server.url, options).chat;

      test("creates a completion", async () => {
        assert.equal(text(await chat().create(hello)), reply);
      });

      test("continues a conversation with the returned message", async () => {
        const messages = [system("Be brief."), user("Hello!")];
        const first = await chat().create({ model: "sandbox", messages });
        assert.ok(first.choices[0]?.message);
        messages.push(first.choices[0].message, user("And goodbye!"));
        assert.match(text(await chat().create({ model: "sandbox", messages })), /goodbye!/);
      });

      test("reads a stream in a loop, then its completion", async () => {
        const stream = chat().stream(hello);
        let content = "";
        for await (const chunk of stream) {
          content += chunk.choices[0]?.delta?.content ?? "";
        }
        assert.equal(content, reply);
        assert.equal(text(await stream.completion()), reply);
      });

      test("reads only the completion of a stream", async () => {
        assert.equal(text(await chat().stream(hello).completion()), reply);
      });

      test("throws an API error with OpenAI's fields", async () => {
        const call = chat({ maxRetries: 0 }).create(hello, { headers: { "x-sandbox-status": "429" } });
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof APIError);
          assert.equal(error.status, 429);
          assert.equal(error.code, "rate_limit_exceeded");
          assert.equal(error.rpcCode, Code.ResourceExhausted);
          assert.ok(error.isRateLimited && !error.isCanceled && !error.isNotFound && !error.isUnauthenticated);
          assert.equal(error.message, "The sandbox was asked to fail with status 429.");
          assert.match(error.requestId ?? "", /^req_/);
          assert.equal(error.retryAfterMs, 1000);
          return true;
        });
      });

      test("an API error names the invalid parameter", async () => {
        const call = chat().create({ ...hello, temperature: 3 });
        await assert.rejects(call, { name: "APIError", status: 400, param: "temperature", type: "invalid_request_error" });
      });

      test("a stream throws an error before and after its first chunk", async () => {
        const early = chat({ maxRetries: 0 }).stream(hello, { headers: { "x-sandbox-status": "503" } });
        await assert.rejects(early.completion(), { name: "APIError", status: 503 });

        const late = chat().stream(hello, { headers: { "x-sandbox-fault": "abort", "x-sandbox-after": "2" } });
        let choices = 0;
        await assert.rejects(
          async () => {
            for await (const chunk of late) {
              choices += chunk.choices.length;
            }
          },
          { name: "APIError", rpcCode: Code.Unavailable },
        );
        assert.equal(choices, 2);
        await assert.rejects(late.completion(), { name: "APIError", rpcCode: Code.Unavailable });
      });

      test("throws if the server is unreachable", async () => {
        const call = connect("http://127.0.0.1:1", { maxRetries: 0 }).chat.create(hello);
        await assert.rejects(call, (error) => error instanceof APIError && error.status === undefined && !error.isCanceled);
      });

      test("a signal aborts a call, and a stream before or after its first chunk", async () => {
        const canceled = { name: "APIError", isCanceled: true };
        for (const fault of ["hang", "stall"]) {
          const controller = new AbortController();
          const headers = fault === "hang" ? { "x-sandbox-fault": fault } : { "x-sandbox-fault": fault, "x-sandbox-after": "1" };
          const options = { signal: controller.signal, headers };
          const call = fault === "hang" ? chat().create(hello, options) : undefined;
          const stream = chat().stream(hello, options)[Symbol.asyncIterator]();
          if (fault === "stall") {
            assert.equal((await stream.next()).done, false);
          }
          const next = stream.next();
          controller.abort(new Error("enough"));
          await assert.rejects(next, { ...canceled, message: "enough" });
          await assert.rejects(call ?? next, { ...canceled, message: "enough" });
        }
        await assert.rejects(chat().create(hello, { signal: AbortSignal.abort() }), canceled);
        await assert.rejects(chat().stream(hello, { signal: AbortSignal.abort() }).completion(), canceled);
      });

      test("timeoutMs limits a call and a stream", async () => {
        const options = { timeoutMs: 50, headers: { "x-sandbox-fault": "hang" } };
        await assert.rejects(chat().create(hello, options), { rpcCode: Code.DeadlineExceeded });
        await assert.rejects(chat().stream(hello, options).completion(), { rpcCode: Code.DeadlineExceeded });
      });

      test("onHeader receives the response headers", async () => {
        for (const call of [
          (onHeader: (headers: Headers) => void) => chat().create(hello, { onHeader }),
          (onHeader: (headers: Headers) => void) => chat().stream(hello, { onHeader }).completion(),
        ]) {
          const received: Headers[] = [];
          await call((headers) => received.push(headers));
          assert.equal(received.length, 1);
          assert.match(received[0]?.get("x-request-id") ?? "", /^req_/);
        }
      });

      test("lists, reads, updates and deletes stored completions", async () => {
        const metadata = { test: name };
        const stored = await Promise.all([1, 2, 3].map((n) => chat().create({ ...hello, store: true, metadata, messages: [user(`Hello ${n}!`)] })));
        const ids: string[] = [];
        for await (const { id } of chat().list({ metadata, limit: 2 })) {
          ids.push(id);
        }
        assert.deepEqual(ids.sort(), stored.map(({ id }) => id).sort());

        const [id = ""] = ids;
        assert.equal((await chat().get(id)).id, id);
        const messages: string[] = [];
        for await (const message of chat().messages({ completionId: id, limit: 1 })) {
          messages.push(message.content ?? "");
        }
        assert.equal(messages.length, 1);
        assert.match(messages[0] ?? "", /^Hello \d!$/);
        assert.deepEqual((await chat().update({ completionId: id, metadata: { test: "other" } })).metadata, { test: "other" });
        assert.equal((await chat().delete(id)).deleted, true);
        await assert.rejects(chat().get(id), { name: "APIError", isNotFound: true });
      });

      test("runs tools", async () => {
        const cities: string[] = [];
        const weather = tool<{ city: string }>({
          name: "get_weather",
          parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          run: ({ city }) => {
            cities.push(city);
            return { city, celsius: 21 };
          },
        });
        const { completion, messages } = await chat().runTools({ model: "sandbox", messages: [user("How is the weather?")] }, [weather]);
        assert.equal(cities.length, 1);
        assert.match(text(completion), /celsius/);
        assert.equal(messages.length, 4);
      });

      test("returns structured output, and throws without it", async () => {
        const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };
        const { value } = await chat().createAs<{ name: string }>(hello, { name: "event", schema });
        assert.equal(typeof value.name, "string");
        const refusal = chat().createAs(hello, { name: "event", schema }, { headers: { "x-sandbox-answer": "refusal" } });
        await assert.rejects(refusal, (error) => error instanceof OutputError && /refused/.test(error.message));
        await assert.rejects(chat().createAs({ ...hello, maxCompletionTokens: 1 }, { name: "event", schema }), /truncated/);
      });
    });
  }
});

suite("requests received by the upstream", { skip: noServer }, () => {
  const requests: IncomingMessage[] = [];
  const closed: Promise<unknown>[] = [];
  const upstream = createServer((request, response) => {
    requests.push(request);
    closed.push(once(response, "close"));
    response.setHeader("content-type", "text/event-stream");
    response.write('data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n');
  });
  let server: Server;

  before(async () => {
    upstream.listen(0, "127.0.0.1").unref();
    await once(upstream, "listening");
    server = await startServer("--upstream", `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  });

  after(async () => {
    await server.stop();
    upstream.close();
  });

  for (const [name, connect] of clients) {
    test(`${name}: have the key and the headers, and end when the loop ends`, { timeout: 60_000 }, async () => {
      const { chat } = connect(server.url, { apiKey: "sk-test", headers: { "x-team": "blue", "x-user": "client" } });
      const stream = chat.stream(hello, { headers: { "x-user": "call" } });
      for await (const chunk of stream) {
        assert.equal(chunk.choices[0]?.delta?.content, "Hello");
        break;
      }
      const headers = requests.pop()?.headers ?? {};
      assert.equal(headers.authorization, "Bearer sk-test");
      assert.equal(headers["x-team"], "blue");
      assert.equal(headers["x-user"], "call");
      assert.match(String(headers["idempotency-key"]), /^[0-9a-f]{32}$/);
      await closed.pop();
      await assert.rejects(stream.completion(), /left before the stream ended/);
      assert.throws(() => stream[Symbol.asyncIterator](), /read once/);
    });
  }
});

suite("the client rejects an incomplete response", () => {
  const incomplete = createServer((request, response) => {
    response.setHeader("content-type", request.headers["content-type"] ?? "");
    response.end();
  });

  before(async () => {
    incomplete.listen(0, "127.0.0.1").unref();
    await once(incomplete, "listening");
  });

  after(() => incomplete.close());

  for (const [name, connect] of clients.filter(([name]) => http1.has(name) || name.endsWith("with fetch"))) {
    test(name, async () => {
      const { chat } = connect(`http://127.0.0.1:${(incomplete.address() as AddressInfo).port}`, { maxRetries: 0 });
      await assert.rejects(chat.stream(hello).completion(), APIError);
    });
  }
});

test("the client uses a custom fetch", async () => {
  const urls: string[] = [];
  const client = new OpenAIConnect({
    baseUrl: "http://example.com/",
    maxRetries: 0,
    fetch: async (input) => {
      urls.push(String(input));
      return new Response("", { status: 404 });
    },
  });
  await assert.rejects(client.chat.get("x"), APIError);
  assert.deepEqual(urls, ["http://example.com/openaiconnect.chat.v1.ChatService/GetChatCompletion"]);
});

function text(completion: ChatCompletion): string {
  return completion.choices[0]?.message?.content ?? "";
}

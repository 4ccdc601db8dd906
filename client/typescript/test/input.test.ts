import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";
import { runInNewContext } from "node:vm";

import { Code } from "@connectrpc/connect";

import { APIError, OpenAIConnect, tool, user } from "../src/index.js";
import { noServer, type Server, startServer } from "./server.js";
import { clients } from "./transports.js";

const hello = { model: "sandbox", messages: [user("Hello!")] };

/** Returns a client that fails the test if it sends a request. */
function offlineClient(): OpenAIConnect {
  return new OpenAIConnect({ baseUrl: "http://127.0.0.1:1", fetch: () => Promise.reject(new assert.AssertionError({ message: "a request was sent" })) });
}

suite("the constructor rejects a baseUrl that", () => {
  for (const [name, baseUrl, want] of [
    ["is undefined", undefined, /^TypeError: baseUrl is undefined: want the server's URL/],
    ["is null", null, /^TypeError: baseUrl is object: want/],
    ["is empty", "", /^TypeError: baseUrl is empty: want/],
    ["is not a URL", "127.0.0.1:8080", /^TypeError: baseUrl is not a URL: want/],
    ["is a path, outside a browser", "/api", /^TypeError: baseUrl is not a URL: want/],
    ["has another scheme", "localhost:8080", /^TypeError: baseUrl has the scheme localhost: want/],
    ["has a password", "http://user:hunter2@127.0.0.1", /^TypeError: baseUrl contains a user or a password: use apiKey or headers$/],
    ["has a query", "http://127.0.0.1/?a=b", /^TypeError: baseUrl contains a query or a fragment/],
    ["has a fragment", "http://127.0.0.1/#a", /^TypeError: baseUrl contains a query or a fragment/],
  ] satisfies [string, unknown, RegExp][]) {
    test(name, () => {
      assert.throws(() => new OpenAIConnect({ baseUrl: baseUrl as string }), want);
    });
  }
});

suite("a JSON Schema option", () => {
  // Schemas of Zod and Valibot: a class instance, and a literal with the property of a Standard Schema.
  const zod = new (class ZodObject {
    readonly "~standard" = { version: 1, vendor: "zod" };
    readonly _def = { typeName: "ZodObject" };
  })();
  const valibot = { kind: "schema", type: "object", "~standard": { version: 1, vendor: "valibot" } };
  const arktype = Object.assign(() => {}, { toJSON: () => ({ required: [] }) });

  for (const [name, schema, want] of [
    ["a Zod object", zod, /^TypeError: schema is an object of a schema library: pass its JSON Schema, with Zod z\.toJSONSchema\(schema\)$/],
    ["a plain object of another library", valibot, /^TypeError: schema is an object of a schema library/],
    ["a function", arktype, /^TypeError: schema is an object of a schema library/],
    ["a Zod object as a property", { type: "object", properties: { name: zod } }, /^TypeError: schema at "name" is an object of a schema library/],
    ["an array", [], /^TypeError: schema is an array: want a JSON Schema/],
    ["undefined", undefined, /^TypeError: schema is undefined: want a JSON Schema/],
    ["a string", "{}", /^TypeError: schema is {}: want a JSON Schema/],
  ] satisfies [string, unknown, RegExp][]) {
    test(`rejects ${name}`, async () => {
      await assert.rejects(offlineClient().chat.createAs(hello, { name: "x", schema: schema as object }), want);
      if (schema !== undefined) {
        const parameters = new RegExp(want.source.replace("schema", "parameters"));
        assert.throws(() => tool({ name: "x", parameters: schema as object, run: () => "" }), parameters);
      }
    });
  }

  test("accepts a plain object of another realm", () => {
    const parameters = runInNewContext('({ type: "object", properties: { a: { enum: ["x"] } } })') as object;
    assert.equal(tool({ name: "x", parameters, run: () => "" }).tool.case, "function");
  });
});

suite("calls reject NaN as", () => {
  for (const name of ["timeoutMs", "maxRetries"]) {
    test(name, async () => {
      const { chat } = offlineClient();
      const want = new RegExp(`${name} is NaN: want a number`);
      await assert.rejects(chat.create(hello, { [name]: NaN }), want);
      await assert.rejects(chat.stream(hello, { [name]: NaN }).completion(), want);
    });
  }
});

test("the client works in a runtime without crypto", async () => {
  const crypto = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    const keys: (string | null)[] = [];
    const client = new OpenAIConnect({
      baseUrl: "http://127.0.0.1:1",
      fetch: (_, init) => {
        keys.push(new Headers(init?.headers).get("idempotency-key"));
        return Promise.resolve(new Response(new Uint8Array(), { headers: { "content-type": "application/proto" } }));
      },
    });
    await client.chat.create(hello);
    await client.chat.create(hello);
    assert.match(keys[0] ?? "", /^[0-9a-f]{32}$/);
    assert.notEqual(keys[0], keys[1]);
  } finally {
    Object.defineProperty(globalThis, "crypto", crypto ?? { value: undefined });
  }
});

suite("timeoutMs", { skip: noServer }, () => {
  let server: Server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  for (const [name, connect] of clients) {
    for (const timeoutMs of [30_000.5, 99_999_999, 100_000_000, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
      test(`${name}: a call succeeds within ${timeoutMs} ms`, async () => {
        const { chat } = connect(server.url, { maxRetries: 0 });
        for (const completion of [await chat.create(hello, { timeoutMs }), await chat.stream(hello, { timeoutMs }).completion()]) {
          assert.match(completion.choices[0]?.message?.content ?? "", /Hello!/);
        }
      });
    }

    for (const timeoutMs of [0, -1, 0.5, 1.5]) {
      test(`${name}: a call fails after ${timeoutMs} ms`, async () => {
        const options = { timeoutMs, maxRetries: 0, headers: { "x-sandbox-fault": "hang" } };
        await assert.rejects(connect(server.url).chat.create(hello, options), { rpcCode: Code.DeadlineExceeded });
      });
    }
  }
});

suite("a timeout of fetch itself", () => {
  let requests = 0;
  const slow = createServer((_, response) => {
    requests++;
    if (response.req.headers["x-kind"] === "body") {
      response.writeHead(200, { "content-type": "application/connect+proto" }).write(Buffer.from([0, 0]));
    }
  });
  let dispatcher: { destroy(): Promise<void> };
  const shortFetch: typeof fetch = (input, init) => fetch(input, { ...init, dispatcher } as RequestInit);

  before(async () => {
    slow.listen(0, "127.0.0.1").unref();
    await once(slow, "listening");
    // The agent of Node.js' fetch exists after its first use. Its class can set the timeouts.
    await fetch("data:,");
    const { constructor: Agent } = (globalThis as unknown as Record<symbol, { constructor: new (options: object) => typeof dispatcher }>)[
      Symbol.for("undici.globalDispatcher.1")
    ] as { constructor: new (options: object) => typeof dispatcher };
    dispatcher = new Agent({ headersTimeout: 100, bodyTimeout: 100 });
  });

  after(async () => {
    slow.closeAllConnections();
    slow.close();
    await dispatcher.destroy();
  });

  for (const [kind, want] of [
    ["headers", /^fetch exceeded its headersTimeout/],
    ["body", /^fetch exceeded its bodyTimeout/],
  ] as const) {
    test(`${kind}: the call is not retried, and the error names the timeout`, async () => {
      requests = 0;
      const client = new OpenAIConnect({ baseUrl: `http://127.0.0.1:${(slow.address() as AddressInfo).port}`, fetch: shortFetch, headers: { "x-kind": kind } });
      const call = kind === "headers" ? client.chat.create(hello) : client.chat.stream(hello).completion();
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof APIError);
        assert.match(error.message, want);
        assert.equal(error.rpcCode, Code.DeadlineExceeded);
        return true;
      });
      assert.equal(requests, 1);
    });
  }
});

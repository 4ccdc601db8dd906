import assert from "node:assert/strict";
import { mock, suite, test } from "node:test";

import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";

import { APIError, ChatService, ErrorSchema, OpenAIConnect } from "../src/index.js";

const request = { model: "m", messages: [] };

/** The idempotency keys received by the server, and the client's backoff delays. */
interface Log {
  keys: (string | null)[];
  delays: number[];
}

/**
 * Returns a client whose calls fail once with each error and then succeed. Timers
 * fire at once, and Math.random returns 0.5.
 */
function failing(errors: unknown[], options: { maxRetries?: number } = {}): { client: OpenAIConnect; log: Log; restore: () => void } {
  const log: Log = { keys: [], delays: [] };
  const remaining = [...errors];
  const server = createRouterTransport(({ service }) =>
    service(ChatService, {
      createChatCompletion: () => ({ id: "1" }),
      getChatCompletion: () => ({ id: "1" }),
      async *streamChatCompletion({ model }) {
        yield { id: "1" };
        if (model === "interrupted") {
          throw status(500);
        }
      },
    }),
  );
  const fail = (headers: HeadersInit | undefined) => {
    log.keys.push(new Headers(headers).get("idempotency-key"));
    if (remaining.length > 0) {
      throw remaining.shift();
    }
  };
  const transport: Transport = {
    async unary(method, signal, timeoutMs, headers, input) {
      fail(headers);
      return server.unary(method, signal, timeoutMs, headers, input);
    },
    async stream(method, signal, timeoutMs, headers, input) {
      fail(headers);
      return server.stream(method, signal, timeoutMs, headers, input);
    },
  };
  const timer = mock.method(globalThis, "setTimeout", (run: () => void, ms: number) => {
    log.delays.push(ms);
    queueMicrotask(run);
    return 0 as unknown as NodeJS.Timeout;
  });
  const random = mock.method(Math, "random", () => 0.5);
  const restore = () => {
    timer.mock.restore();
    random.mock.restore();
  };
  return { client: new OpenAIConnect({ transport, ...options }), log, restore };
}

/** Returns an API error. */
function status(httpStatus: number, headers: HeadersInit = {}, code = Code.Unknown): ConnectError {
  return new ConnectError(`status ${httpStatus}`, code, headers, [{ desc: ErrorSchema, value: { httpStatus } }]);
}

const fetchFailed = new TypeError("fetch failed");
const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });

suite("a call is retried after", () => {
  for (const [name, error, delay] of [
    ["408", status(408), 437.5],
    ["409", status(409), 437.5],
    ["429", status(429), 437.5],
    ["500", status(500), 437.5],
    ["529", status(529), 437.5],
    ["429 with seconds", status(429, { "retry-after": "2" }), 2000],
    ["429 with fractions of a second", status(429, { "retry-after": "0.5" }), 500],
    ["429 with milliseconds and seconds", status(429, { "retry-after": "2", "retry-after-ms": "1500" }), 1500],
    ["429 with invalid milliseconds", status(429, { "retry-after": "2", "retry-after-ms": "x" }), 2000],
    ["429 with a past date", status(429, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }), 0],
    ["429 with a negative delay", status(429, { "retry-after": "-5" }), 0],
    ["429 with an invalid delay", status(429, { "retry-after": "soon" }), 437.5],
    ["400 with x-should-retry: true", status(400, { "x-should-retry": "true" }), 437.5],
    ["code unavailable without an HTTP status", new ConnectError("no connection", Code.Unavailable), 437.5],
    ["a failed fetch", new ConnectError("fetch failed", Code.Internal, undefined, undefined, fetchFailed), 437.5],
    ["a broken connection", new ConnectError("aborted", Code.Aborted, undefined, undefined, reset), 437.5],
  ] satisfies [string, unknown, number][]) {
    for (const call of ["create", "get", "stream"] as const) {
      test(`${name}: ${call}`, async () => {
        const { client, log, restore } = failing([error]);
        try {
          const completion = await (call === "get" ? client.chat.get("1") : call === "create" ? client.chat.create(request) : client.chat.stream(request).completion());
          assert.equal(completion.id, "1");
          assert.deepEqual(log.delays, [delay]);
          assert.equal(log.keys.length, 2);
          assert.equal(log.keys[0], log.keys[1]);
          // GET requests carry no idempotency key.
          assert.equal(log.keys[0] === null, call === "get");
        } finally {
          restore();
        }
      });
    }
  }
});

suite("a call is not retried after", () => {
  for (const [name, error] of [
    ["400", status(400)],
    ["401", status(401)],
    ["404", status(404)],
    ["499", status(499)],
    ["500 with x-should-retry: false", status(500, { "x-should-retry": "false" })],
    ["status 200 with an unexpected body", status(200, {}, Code.Internal)],
    ["a missing method", new ConnectError("no such method", Code.Unimplemented)],
    ["an invalid response", new ConnectError("bad JSON", Code.Internal, undefined, undefined, new SyntaxError("bad JSON"))],
    ["a message that is too large", new ConnectError("too large", Code.ResourceExhausted)],
    ["its timeout", new ConnectError("timed out", Code.DeadlineExceeded, undefined, undefined, reset)],
  ] satisfies [string, unknown][]) {
    test(name, async () => {
      const { client, log, restore } = failing([error]);
      try {
        await assert.rejects(client.chat.create(request), APIError);
        assert.deepEqual(log.delays, []);
      } finally {
        restore();
      }
    });
  }
});

/** Returns the backoff delays of a failing call, with the client's and the call's maxRetries. */
async function delaysOf(errors: unknown[], maxRetries: number | undefined, callRetries: number | undefined): Promise<number[]> {
  const { client, log, restore } = failing(errors, maxRetries === undefined ? {} : { maxRetries });
  try {
    await assert.rejects(client.chat.create(request, { maxRetries: callRetries }), { status: 500 });
  } finally {
    restore();
  }
  return log.delays;
}

const failures = Array.from({ length: 9 }, () => status(500));

test("a call is retried twice by default, with increasing backoff", async () => {
  assert.deepEqual(await delaysOf(failures, undefined, undefined), [437.5, 875]);
});

test("the backoff doubles up to eight seconds", async () => {
  assert.deepEqual(await delaysOf(failures, 7, undefined), [437.5, 875, 1750, 3500, 7000, 7000, 7000]);
});

test("a call's maxRetries overrides the client's", async () => {
  assert.deepEqual(await delaysOf(failures, 7, 1), [437.5]);
  assert.deepEqual(await delaysOf(failures, 0, undefined), []);
});

test("each call has a new idempotency key unless its headers contain one", async () => {
  const { client, log, restore } = failing([]);
  try {
    await client.chat.create(request);
    await client.chat.create(request);
    await client.chat.create(request, { headers: { "Idempotency-Key": "mine" } });
  } finally {
    restore();
  }
  assert.notEqual(log.keys[0], log.keys[1]);
  assert.equal(log.keys[2], "mine");
});

test("a stream is not retried after its first message", async () => {
  const { client, log, restore } = failing([status(500)]);
  try {
    const ids: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { id } of client.chat.stream({ ...request, model: "interrupted" })) {
          ids.push(id);
        }
      },
      { name: "APIError", status: 500 },
    );
    assert.deepEqual(ids, ["1"]);
    assert.deepEqual(log.delays, [437.5]);
  } finally {
    restore();
  }
});

test("a call is not retried if Retry-After exceeds two minutes", async () => {
  const { client, log, restore } = failing([status(429, { "retry-after": "120" }), status(429, { "retry-after-ms": "120001" })]);
  try {
    await assert.rejects(client.chat.create(request), { status: 429, retryAfterMs: 120_001 });
    assert.deepEqual(log.delays, [120_000]);
  } finally {
    restore();
  }
});

test("a call is not retried if Retry-After exceeds the timeout", async () => {
  const { client, log, restore } = failing([status(429, { "retry-after": "90" })]);
  try {
    await assert.rejects(client.chat.create(request, { timeoutMs: 60_000 }), { status: 429, retryAfterMs: 90_000 });
    assert.deepEqual(log.delays, []);
  } finally {
    restore();
  }
});

test("a signal aborts the delay", async () => {
  const { client, log, restore } = failing([status(500)]);
  restore();
  const controller = new AbortController();
  const timer = mock.method(globalThis, "setTimeout", (_: () => void, ms: number) => {
    log.delays.push(ms);
    queueMicrotask(() => controller.abort());
    return 17 as unknown as NodeJS.Timeout;
  });
  const cleared = mock.method(globalThis, "clearTimeout", () => {});
  try {
    await assert.rejects(client.chat.create(request, { signal: controller.signal }), { name: "APIError", isCanceled: true });
    assert.equal(log.delays.length, 1);
    assert.equal(cleared.mock.calls.filter(({ arguments: [each] }) => (each as unknown) === 17).length, 1);
    assert.equal(log.keys.length, 1);
  } finally {
    timer.mock.restore();
    cleared.mock.restore();
  }
});

test("the stub does not retry", async () => {
  const { client, log, restore } = failing([status(500)]);
  try {
    await assert.rejects(client.stub.createChatCompletion(request), ConnectError);
  } finally {
    restore();
  }
  assert.deepEqual(log.delays, []);
  assert.deepEqual(log.keys, [null]);
});

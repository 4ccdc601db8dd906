import assert from "node:assert/strict";
import { mock, suite, test } from "node:test";

import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";

import { APIError, ChatService, ErrorSchema, OpenAIConnect } from "../src/index.js";

const request = { model: "m", messages: [] };

/** The requests received by the server, and the client's delays between them. */
interface Log {
  keys: (string | null)[];
  waits: number[];
}

/**
 * A client whose calls fail with each of the errors and then succeed. Delays
 * take no time, and the random number is always 0.5.
 */
function failing(errors: unknown[], options: { maxRetries?: number } = {}): { client: OpenAIConnect; log: Log; restore: () => void } {
  const log: Log = { keys: [], waits: [] };
  const left = [...errors];
  const server = createRouterTransport(({ service }) =>
    service(ChatService, {
      createChatCompletion: () => ({ id: "1" }),
      getChatCompletion: () => ({ id: "1" }),
      async *streamChatCompletion({ model }) {
        yield { id: "1" };
        if (model === "broken") {
          throw status(500);
        }
      },
    }),
  );
  const fail = (headers: HeadersInit | undefined) => {
    log.keys.push(new Headers(headers).get("idempotency-key"));
    if (left.length > 0) {
      throw left.shift();
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
    log.waits.push(ms);
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

/** An error of the API. */
function status(httpStatus: number, headers: HeadersInit = {}, code = Code.Unknown): ConnectError {
  return new ConnectError(`status ${httpStatus}`, code, headers, [{ desc: ErrorSchema, value: { httpStatus } }]);
}

const fetchFailed = new TypeError("fetch failed");
const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });

suite("a call is retried after", () => {
  for (const [name, error, wait] of [
    ["408", status(408), 437.5],
    ["409", status(409), 437.5],
    ["429", status(429), 437.5],
    ["500", status(500), 437.5],
    ["529", status(529), 437.5],
    ["429 with seconds", status(429, { "retry-after": "2" }), 2000],
    ["429 with fractional seconds", status(429, { "retry-after": "0.5" }), 500],
    ["429 with seconds and milliseconds", status(429, { "retry-after": "2", "retry-after-ms": "1500" }), 1500],
    ["429 with invalid milliseconds", status(429, { "retry-after": "2", "retry-after-ms": "x" }), 2000],
    ["429 with a past date", status(429, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }), 0],
    ["429 with a negative delay", status(429, { "retry-after": "-5" }), 0],
    ["429 with an invalid delay", status(429, { "retry-after": "soon" }), 437.5],
    ["400 with x-should-retry: true", status(400, { "x-should-retry": "true" }), 437.5],
    ["a response that is not from the API: unavailable", new ConnectError("no connection", Code.Unavailable), 437.5],
    ["a failed fetch", new ConnectError("fetch failed", Code.Internal, undefined, undefined, fetchFailed), 437.5],
    ["a reset connection", new ConnectError("aborted", Code.Aborted, undefined, undefined, reset), 437.5],
  ] satisfies [string, unknown, number][]) {
    for (const call of ["create", "get", "stream"] as const) {
      test(`${name}: ${call}`, async () => {
        const { client, log, restore } = failing([error]);
        try {
          const answer = await (call === "get" ? client.chat.get("1") : call === "create" ? client.chat.create(request) : client.chat.stream(request).completion());
          assert.equal(answer.id, "1");
          assert.deepEqual(log.waits, [wait]);
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
    ["a success with a foreign body", status(200, {}, Code.Internal)],
    ["a missing method", new ConnectError("no such method", Code.Unimplemented)],
    ["an invalid response body", new ConnectError("bad JSON", Code.Internal, undefined, undefined, new SyntaxError("bad JSON"))],
    ["a message that is too large", new ConnectError("too large", Code.ResourceExhausted)],
    ["its timeout", new ConnectError("timed out", Code.DeadlineExceeded, undefined, undefined, reset)],
  ] satisfies [string, unknown][]) {
    test(name, async () => {
      const { client, log, restore } = failing([error]);
      try {
        await assert.rejects(client.chat.create(request), APIError);
        assert.deepEqual(log.waits, []);
      } finally {
        restore();
      }
    });
  }
});

async function waitsOf(errors: unknown[], maxRetries: number | undefined, ownRetries: number | undefined): Promise<number[]> {
  const { client, log, restore } = failing(errors, maxRetries === undefined ? {} : { maxRetries });
  try {
    await assert.rejects(client.chat.create(request, { maxRetries: ownRetries }), { status: 500 });
  } finally {
    restore();
  }
  return log.waits;
}

const failures = Array.from({ length: 9 }, () => status(500));

test("two retries, each after a longer delay", async () => {
  assert.deepEqual(await waitsOf(failures, undefined, undefined), [437.5, 875]);
});

test("the delay doubles up to eight seconds", async () => {
  assert.deepEqual(await waitsOf(failures, 7, undefined), [437.5, 875, 1750, 3500, 7000, 7000, 7000]);
});

test("a call's number of retries takes precedence", async () => {
  assert.deepEqual(await waitsOf(failures, 7, 1), [437.5]);
  assert.deepEqual(await waitsOf(failures, 0, undefined), []);
});

test("each call has its own idempotency key unless it sets one", async () => {
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
    const pieces: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { id } of client.chat.stream({ ...request, model: "broken" })) {
          pieces.push(id);
        }
      },
      { name: "APIError", status: 500 },
    );
    assert.deepEqual(pieces, ["1"]);
    assert.deepEqual(log.waits, [437.5]);
  } finally {
    restore();
  }
});

test("a delay of more than two minutes prevents a retry", async () => {
  const { client, log, restore } = failing([status(429, { "retry-after": "120" }), status(429, { "retry-after-ms": "120001" })]);
  try {
    await assert.rejects(client.chat.create(request), { status: 429, retryAfterMs: 120_001 });
    assert.deepEqual(log.waits, [120_000]);
  } finally {
    restore();
  }
});

test("a delay longer than the timeout prevents a retry", async () => {
  const { client, log, restore } = failing([status(429, { "retry-after": "90" })]);
  try {
    await assert.rejects(client.chat.create(request, { timeoutMs: 60_000 }), { status: 429, retryAfterMs: 90_000 });
    assert.deepEqual(log.waits, []);
  } finally {
    restore();
  }
});

test("a signal aborts the delay", async () => {
  const { client, log, restore } = failing([status(500)]);
  restore();
  const controller = new AbortController();
  const timer = mock.method(globalThis, "setTimeout", (_: () => void, ms: number) => {
    log.waits.push(ms);
    queueMicrotask(() => controller.abort());
    return 17 as unknown as NodeJS.Timeout;
  });
  const cleared = mock.method(globalThis, "clearTimeout", () => {});
  try {
    await assert.rejects(client.chat.create(request, { signal: controller.signal }), { name: "APIError", isCanceled: true });
    assert.equal(log.waits.length, 1);
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
  assert.deepEqual(log.waits, []);
  assert.deepEqual(log.keys, [null]);
});

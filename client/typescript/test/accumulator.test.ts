import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { after, before, suite, test } from "node:test";

import { create, equals, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";

import { Accumulator, AudioFormat, type ChatCompletion, ChatCompletionChunkSchema, ChatCompletionSchema, type ChatRequest, Modality, OpenAIConnect, user } from "../src/index.js";
import { noServer, type Server, startServer } from "./server.js";

/** Accumulates chunks in Protobuf JSON, and returns the completion in Protobuf JSON. */
function accumulate(...chunks: JsonValue[]): JsonValue {
  const accumulator = new Accumulator();
  for (const chunk of chunks) {
    accumulator.add(fromJson(ChatCompletionChunkSchema, chunk));
  }
  return toJson(ChatCompletionSchema, accumulator.completion);
}

/** Returns a chunk with a delta of the first choice. */
function delta(delta: JsonValue, more: object = {}): JsonValue {
  return { choices: [{ delta, ...more }] };
}

/** Returns a completion with one choice. */
function completionOf(message: object, more: object = {}): JsonValue {
  return { choices: [{ message: { role: "ROLE_ASSISTANT", ...message }, ...more }] };
}

const call = (index: number | undefined, more: object): JsonValue => delta({ toolCalls: [{ ...(index !== undefined && { index }), ...more }] });

suite("chunks are accumulated to", () => {
  for (const [name, chunks, want] of [
    ["an empty completion without chunks", [], {}],
    ["a content", [delta({ role: "ROLE_ASSISTANT", content: "" }), delta({ content: "Hel" }), delta({ content: "lo" })], completionOf({ content: "Hello" })],
    ["a message without content", [delta({ role: "ROLE_ASSISTANT" })], completionOf({})],
    ["an empty content", [delta({ content: "" })], completionOf({ content: "" })],
    ["a refusal", [delta({ refusal: "I " }), delta({ refusal: "won't" })], completionOf({ refusal: "I won't" })],
    ["another role", [delta({ role: "ROLE_TOOL" }), delta({ content: "x" })], { choices: [{ message: { role: "ROLE_TOOL", content: "x" } }] }],
    ["a finish reason", [delta({}), delta({}, { finishReason: "FINISH_REASON_LENGTH" })], completionOf({}, { finishReason: "FINISH_REASON_LENGTH" })],
    ["the fields of every chunk, even if some are empty", [
      { id: "", model: "", created: "1970-01-01T00:00:00Z" },
      { id: "c1", model: "m", created: "2025-01-01T00:00:00Z", serviceTier: "SERVICE_TIER_DEFAULT", systemFingerprint: "fp" },
      { id: "", model: "" },
    ], { id: "c1", model: "m", created: "2025-01-01T00:00:00Z", serviceTier: "SERVICE_TIER_DEFAULT", systemFingerprint: "fp" }],
    ["the last usage", [{ usage: { totalTokens: 1 } }, { usage: { totalTokens: 2 } }, {}], { usage: { totalTokens: 2 } }],
    ["choices by index", [{ choices: [{ index: 1, delta: { content: "b" } }] }, { choices: [{ delta: { content: "a" } }] }, { choices: [{ index: 1, delta: { content: "B" } }] }], {
      choices: [{ message: { role: "ROLE_ASSISTANT", content: "a" } }, { index: 1, message: { role: "ROLE_ASSISTANT", content: "bB" } }],
    }],
    ["parallel tool calls", [
      call(0, { id: "1", type: "TOOL_CALL_TYPE_FUNCTION", function: { name: "f", arguments: "" } }),
      call(1, { id: "2", type: "TOOL_CALL_TYPE_CUSTOM", custom: { name: "g", input: "" } }),
      call(0, { function: { arguments: '{"a":' } }),
      call(1, { custom: { input: "x" } }),
      call(0, { function: { arguments: "1}" } }),
      call(1, { custom: { input: "y" } }),
    ], completionOf({ toolCalls: [{ id: "1", function: { name: "f", arguments: '{"a":1}' } }, { id: "2", custom: { name: "g", input: "xy" } }] })],
    ["tool calls by index", [call(1, { id: "2", function: { name: "g" } }), call(0, { id: "1", function: { name: "f" } })], completionOf({
      toolCalls: [{ id: "1", function: { name: "f" } }, { id: "2", function: { name: "g" } }],
    })],
    ["tool calls by ID without an index", [
      call(undefined, { id: "1", function: { name: "f", arguments: "{" } }),
      call(undefined, { function: { arguments: "}" } }),
      call(undefined, { id: "2", function: { name: "g", arguments: "{}" } }),
    ], completionOf({ toolCalls: [{ id: "1", function: { name: "f", arguments: "{}" } }, { id: "2", function: { name: "g", arguments: "{}" } }] })],
    ["one tool call without an ID if chunks repeat its name", [call(0, { function: { name: "f", arguments: '{"a":' } }), call(0, { function: { name: "f", arguments: "{}}" } })], completionOf({
      toolCalls: [{ function: { name: "f", arguments: '{"a":{}}' } }],
    })],
    ["the longest of growing names", [call(0, { id: "1", function: { name: "re" } }), call(0, { function: { name: "read" } })], completionOf({
      toolCalls: [{ id: "1", function: { name: "read" } }],
    })],
    ["one tool call if chunks repeat its name", [call(0, { id: "1", function: { name: "f", arguments: "{" } }), call(0, { id: "1", function: { name: "f", arguments: "}" } })], completionOf({
      toolCalls: [{ id: "1", function: { name: "f", arguments: "{}" } }],
    })],
    ["a tool call of an unknown type", [call(0, { id: "1", extraJson: '{"type":"mcp","mcp":{}}' })], completionOf({ toolCalls: [{ id: "1", extraJson: '{"type":"mcp","mcp":{}}' }] })],
    ["a function call", [delta({ functionCall: { name: "f", arguments: "{" } }), delta({ functionCall: { arguments: "}", extraJson: '{"x":1}' } })], completionOf({
      functionCall: { name: "f", arguments: "{}", extraJson: '{"x":1}' },
    })],
    ["audio", [
      delta({ audio: { id: "a1" } }),
      delta({ audio: { transcript: "Hel" } }),
      delta({ audio: { transcript: "lo", data: "AQI=" } }),
      delta({ audio: { data: "AwQF" } }),
      delta({ audio: { expiresAt: "2025-01-01T00:00:00Z", extraJson: '{"x":1}' } }),
    ], completionOf({ audio: { id: "a1", transcript: "Hello", data: "AQIDBAU=", expiresAt: "2025-01-01T00:00:00Z", extraJson: '{"x":1}' } })],
    ["log probabilities", [
      delta({}, { logprobs: { content: [{ token: "a", logprob: -1 }] } }),
      delta({}, { logprobs: { content: [{ token: "b", logprob: -2 }], refusal: [{ token: "c", logprob: -3 }], extraJson: '{"x":1}' } }),
    ], completionOf({}, { logprobs: { content: [{ token: "a", logprob: -1 }, { token: "b", logprob: -2 }], refusal: [{ token: "c", logprob: -3 }], extraJson: '{"x":1}' } })],
    ["joined strings in extra_json", [delta({ extraJson: '{"reasoning_content":"Let"}' }), delta({ extraJson: '{"reasoning_content":" me","n":1}' }), delta({ extraJson: '{"n":2}' })], completionOf({
      extraJson: '{"reasoning_content":"Let me","n":2}',
    })],
    ["one value for repeated values in extra_json of choices and completions", [
      { extraJson: '{"provider":"x"}', choices: [{ delta: {}, extraJson: '{"native":"a"}' }] },
      { extraJson: '{"provider":"x"}', choices: [{ delta: {}, extraJson: '{"native":"b"}' }] },
    ], { extraJson: '{"provider":"x"}', choices: [{ message: { role: "ROLE_ASSISTANT" }, extraJson: '{"native":"b"}' }] }],
    ["annotations", [delta({ content: "x", extraJson: '{"annotations":[{"type":"url_citation","url_citation":{"start_index":1,"url":"u"}}]}' })], completionOf({
      content: "x",
      annotations: [{ urlCitation: { startIndex: 1, url: "u" } }],
    })],
    ["unknown annotations in extra_json", [delta({ extraJson: '{"annotations":[{"type":"file_citation"}]}' })], completionOf({ extraJson: '{"annotations":[{"type":"file_citation"}]}' })],
    ["a completion without padding", [{ obfuscation: "xxx" }], {}],
  ] satisfies [string, JsonValue[], JsonValue][]) {
    test(name, () => assert.deepEqual(accumulate(...chunks), want));
  }
});

/** Returns a message with every extra_json in canonical form. */
function canonical(message: JsonValue): JsonValue {
  const text = JSON.stringify(message, (name, value: unknown) => (name === "extraJson" ? JSON.stringify(JSON.parse(value as string)) : value));
  return JSON.parse(text) as JsonValue;
}

/** A stream and its completion in Protobuf JSON. The Go client's tests use the same table. */
interface Row {
  name: string;
  chunks: JsonValue[];
  completion: JsonValue;
}

suite("chunks of the shared table are accumulated to", () => {
  const table = readFileSync(new URL("../../../testdata/accumulate.connect.jsonl", import.meta.url), "utf8");
  const rows = table.trim().split("\n").map((line) => JSON.parse(line) as Row);
  assert.ok(rows.length > 50);
  for (const { name, chunks, completion } of rows) {
    test(name, () => assert.deepEqual(canonical(accumulate(...chunks)), canonical(completion)));

    test(`${name}, when the completion is read after each chunk`, () => {
      const accumulator = new Accumulator();
      for (const chunk of chunks) {
        accumulator.add(fromJson(ChatCompletionChunkSchema, chunk));
        void accumulator.completion;
      }
      assert.deepEqual(canonical(toJson(ChatCompletionSchema, accumulator.completion)), canonical(completion));
    });
  }
});

test("much audio is accumulated in linear time", () => {
  const accumulator = new Accumulator();
  const chunk = create(ChatCompletionChunkSchema, { choices: [{ delta: { audio: { data: new Uint8Array(4800) } } }] });
  for (let i = 0; i < 5000; i++) {
    accumulator.add(chunk);
  }
  assert.equal(accumulator.completion.choices[0]?.message?.audio?.data?.length, 24_000_000);
});

suite("many chunks are accumulated in linear time", () => {
  const count = 50_000;
  for (const [name, chunkAt] of [
    ["contents", () => delta({ content: "x" })],
    ["content parts in extra_json", () => delta({ extraJson: '{"content":[{"type":"text","text":"x"}]}' })],
    ["arguments", () => call(0, { id: "1", function: { name: "f", arguments: "x" } })],
    ["arguments under changing IDs", (i) => call(0, { id: `${i}`, function: { arguments: "x" } })],
    ["tool calls", (i) => call(i, { id: `${i}`, function: { name: "f" } })],
    ["tool calls of one index", (i) => call(0, { id: `${i}`, function: { name: "f" } })],
    ["strings in extra_json", () => delta({ extraJson: '{"reasoning_content":"x"}' })],
    ["members of extra_json", (i) => delta({ extraJson: `{"a${i}":"x"}` })],
    ["arrays in extra_json", () => delta({ extraJson: '{"reasoning_details":[{"type":"reasoning.text","text":"x","index":0}]}' })],
    ["array items in extra_json", (i) => delta({ extraJson: `{"images":[{"index":${i}}]}` })],
    ["annotations", () => delta({ extraJson: '{"annotations":[{"type":"url_citation","url_citation":{"url":"u"}}]}' })],
    ["choices", (i) => ({ choices: [{ index: i, delta: { content: "x" } }] })],
  ] satisfies [string, (i: number) => JsonValue][]) {
    test(name, { timeout: 60_000 }, () => {
      const accumulator = new Accumulator();
      for (let i = 0; i < count; i++) {
        accumulator.add(fromJson(ChatCompletionChunkSchema, chunkAt(i)));
      }
      assert.ok(JSON.stringify(toJson(ChatCompletionSchema, accumulator.completion)).length >= count);
    });
  }
});

suite("an accumulated message is sent back unchanged", { skip: noServer }, () => {
  interface Row {
    name: string;
    deltas?: object[];
    chunks?: object[];
    message?: { audio?: { id: string }; annotations?: object[] };
    completion?: { choices: { index: number; message: object }[] };
  }
  const rows = JSON.parse(readFileSync(new URL("../../../testdata/accumulate.json", import.meta.url), "utf8")) as Row[];
  const completion = { id: "1", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "" }, finish_reason: "stop", logprobs: null }] };
  let row: Row;
  let received: { messages: object[] };
  let server: Server;
  const upstream = createServer(async (request, response) => {
    const body = (await json(request)) as { stream?: boolean; messages: object[] };
    if (!body.stream) {
      received = body;
      response.setHeader("content-type", "application/json").end(JSON.stringify(completion));
      return;
    }
    const chunks = row.chunks ?? row.deltas?.map((delta) => ({ choices: [{ index: 0, delta }] })) ?? [];
    response.setHeader("content-type", "text/event-stream");
    response.end([...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"].map((data) => `data: ${data}\n\n`).join(""));
  });

  before(async () => {
    upstream.listen(0, "127.0.0.1").unref();
    await once(upstream, "listening");
    server = await startServer("--upstream", `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  });

  after(async () => {
    await server.stop();
    upstream.close();
  });

  for (const each of rows) {
    test(each.name, async () => {
      row = each;
      const { chat } = new OpenAIConnect({ baseUrl: server.url, maxRetries: 0 });
      const { choices } = await chat.stream({ model: "m", messages: [user("a")] }).completion();
      const messages = choices.flatMap(({ message }) => message ?? []);
      await chat.create({ model: "m", messages: [user("a"), ...messages, user("b")] });
      const want = row.completion?.choices.map(({ message }) => message) ?? [row.message ?? {}];
      assert.deepEqual(compact(received.messages.slice(1, -1)), compact(want.map(forRequest)));
    });
  }

  /** Removes white space from arguments. This test's upstream does the same if they are an object. */
  function compact(messages: object[]): JsonValue {
    const text = JSON.stringify(messages, (name, value: unknown) => (name === "arguments" ? String(value).replaceAll(" ", "") : value));
    return JSON.parse(text) as JsonValue;
  }

  /** Removes the fields that requests omit: annotations, and all fields of audio except the ID. */
  function forRequest({ annotations: _, audio, ...message }: NonNullable<Row["message"]>): object {
    return { ...message, ...(audio && { audio: { id: audio.id } }) };
  }
});

/** The request fields that change the shape of a response. The test sends all their combinations. */
const parts: Record<string, [plain: Partial<ChatRequest>, ...others: Partial<ChatRequest>[]]> = {
  n: [{}, { n: 3 }],
  logprobs: [{}, { logprobs: true }, { logprobs: true, topLogprobs: 3 }],
  length: [{}, { maxCompletionTokens: 3 }, { stop: ["sandbox"] }],
  kind: [
    {},
    { tools: [functionTool("f"), functionTool("g")] },
    { tools: [functionTool("f"), { tool: { case: "custom", value: { name: "g" } } }] },
    { functions: [{ name: "f", parametersJson: '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}' }] },
    { responseFormat: { format: { case: "jsonSchema", value: { name: "x", strict: true, schemaJson: '{"type":"object","properties":{"a":{"type":"number"}},"required":["a"],"additionalProperties":false}' } } } },
    { modalities: [Modality.TEXT, Modality.AUDIO], audio: { voice: { voice: { case: "name", value: "alloy" } }, format: AudioFormat.PCM16 } },
    { webSearchOptions: {} },
    { moderation: { model: "omni-moderation-latest" } },
  ],
};

function functionTool(name: string): NonNullable<ChatRequest["tools"]>[number] {
  return { tool: { case: "function", value: { name, parametersJson: '{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a","b"]}' } } };
}

/** Returns every combination of one item from each list. */
function combinations(lists: Partial<ChatRequest>[][]): Partial<ChatRequest>[] {
  const [first, ...rest] = lists;
  return first ? combinations(rest).flatMap((tail) => first.map((head) => ({ ...head, ...tail }) as Partial<ChatRequest>)) : [{}];
}

suite("a stream has the completion of the unary call", { skip: noServer }, () => {
  let server: Server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  const requests = combinations(Object.values(parts));
  const controls: Record<string, string>[] = [{}, { "x-sandbox-answer": "refusal" }, { "x-sandbox-answer": "content-filter" }, { "x-sandbox-unknown": "accept" }];

  for (const headers of controls) {
    test(`${requests.length} requests, ${Object.values(headers).join() || "default response"}`, async () => {
      const { chat } = new OpenAIConnect({ baseUrl: server.url, headers });
      const seen = { choices: 0, calls: 0, refusals: 0, logprobs: 0, audio: 0, annotations: 0, extra: 0, rejected: 0 };
      for (const part of requests) {
        const request = {
          model: "sandbox",
          messages: [user("Hello! Call f and g, 你好 🙂.")],
          ...part,
          ...("x-sandbox-unknown" in headers && { extraJson: '{"top_k":40,"note":"x","list":[1,"y"]}' }),
        } as ChatRequest;
        const [unary, stream] = await Promise.allSettled([
          chat.create(request),
          chat.stream({ ...request, streamOptions: { includeUsage: true } } as ChatRequest).completion(),
        ]);
        assert.equal(stream.status, unary.status, JSON.stringify(part));
        if (unary.status === "rejected" || stream.status === "rejected") {
          assert.match(String((unary as PromiseRejectedResult).reason), /APIError/);
          seen.rejected++;
          continue;
        }
        assertEqual(stream.value, unary.value);
        for (const { message, logprobs } of unary.value.choices) {
          seen.choices++;
          seen.calls += message?.toolCalls.length ?? 0;
          seen.refusals += message?.refusal ? 1 : 0;
          seen.logprobs += logprobs ? 1 : 0;
          seen.audio += message?.audio ? 1 : 0;
          seen.annotations += message?.annotations.length ?? 0;
        }
        seen.extra += unary.value.extraJson ? 1 : 0;
      }
      // The requests covered the intended cases.
      assert.ok(seen.choices > requests.length / 2 && seen.logprobs > 0, JSON.stringify(seen));
      assert.ok("x-sandbox-answer" in headers || (seen.calls > 1 && seen.audio > 0 && seen.annotations > 0), JSON.stringify(seen));
      assert.ok(headers["x-sandbox-answer"] !== "refusal" || seen.refusals > 0, JSON.stringify(seen));
      assert.ok(!("x-sandbox-unknown" in headers) || seen.extra > 0, JSON.stringify(seen));
    });
  }
});

/** Checks that two completions are equal, except for their times. */
function assertEqual(stream: ChatCompletion, unary: ChatCompletion): void {
  assert.ok(stream.created && unary.created && Math.abs(Number(stream.created.seconds - unary.created.seconds)) < 60);
  stream.created = unary.created;
  for (const [index, { message }] of stream.choices.entries()) {
    const expiresAt = unary.choices[index]?.message?.audio?.expiresAt;
    if (message?.audio && expiresAt) {
      message.audio.expiresAt = expiresAt;
    }
  }
  if (!equals(ChatCompletionSchema, stream, unary)) {
    assert.deepEqual(toJson(ChatCompletionSchema, stream), toJson(ChatCompletionSchema, unary));
    assert.fail("differs, but not in Protobuf JSON");
  }
}

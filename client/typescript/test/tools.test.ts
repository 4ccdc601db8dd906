import assert from "node:assert/strict";
import { suite, test } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";

import { ChatService, type CreateChatCompletionRequest, type MessageSchema, OpenAIConnect, Role, tool, type ToolCallSchema, user } from "../src/index.js";

type Call = MessageInitShape<typeof ToolCallSchema>;

/** Returns a client of a model that makes the calls of each round and then replies "Done." */
function clientWithCalls(...rounds: Call[][]): { client: OpenAIConnect; requests: CreateChatCompletionRequest[] } {
  const requests: CreateChatCompletionRequest[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(ChatService, {
      createChatCompletion(request) {
        requests.push(request);
        const toolCalls = rounds[requests.length - 1];
        const message: MessageInitShape<typeof MessageSchema> = toolCalls ? { role: Role.ASSISTANT, toolCalls } : { role: Role.ASSISTANT, content: "Done." };
        return { choices: [{ message }] };
      },
    }),
  );
  return { client: new OpenAIConnect({ transport, maxRetries: 0 }), requests };
}

function call(id: string, name: string, args: string): Call {
  return { id, tool: { case: "function", value: { name, arguments: args } } };
}

const request = { model: "m", messages: [user("Go.")] };
const add = tool<{ a: number; b: number }>({ name: "add", description: "Adds.", parameters: { type: "object" }, strict: true, run: ({ a, b }) => a + b });
const time = tool({ name: "time", run: () => "noon" });
const fail = tool({
  name: "fail",
  run: () => {
    throw new Error("out of order");
  },
});

suite("runTools", () => {
  for (const [name, toolCall, want] of [
    ["sends the returned value as JSON", call("1", "add", '{"a": 1, "b": 2}'), "3"],
    ["sends a returned string unchanged", call("1", "time", "{}"), "noon"],
    ["runs a tool without arguments", call("1", "time", ""), "noon"],
    ["sends a thrown error", call("1", "fail", "{}"), "Error: out of order"],
    ["sends an error for invalid arguments", call("1", "add", "{"), /^SyntaxError: /],
    ["sends an error for an unknown tool", call("1", "divide", "{}"), 'Error: unknown function "divide"'],
    ["sends an error for a custom tool call", { id: "1", tool: { case: "custom", value: { name: "add", input: "x" } } }, 'Error: unknown function "add"'],
    ["sends an error for an unknown type of tool call", { id: "1", extraJson: '{"type":"mcp"}' }, "Error: unknown function undefined"],
  ] satisfies [string, Call, string | RegExp][]) {
    test(name, async () => {
      const { client, requests } = clientWithCalls([toolCall]);
      const { completion, messages } = await client.chat.runTools(request, [add, time, fail]);
      assert.equal(completion.choices[0]?.message?.content, "Done.");
      assert.deepEqual(messages.map(({ role }) => role), [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]);
      assert.equal(messages[2]?.toolCallId, "1");
      const result = messages[2]?.content ?? "";
      assert.ok(typeof want === "string" ? result === want : want.test(result), result);
      assert.equal(requests.length, 2);
      assert.deepEqual(requests[1]?.messages, messages.slice(0, 3));
    });
  }

  test("runs the tools in parallel and keeps the order of the calls", async () => {
    const order: string[] = [];
    let release = () => {};
    const second = new Promise<void>((resolve) => (release = resolve));
    const tools = ["first", "second"].map((name) =>
      tool({
        name,
        run: async () => {
          if (name === "first") {
            await second;
          }
          order.push(name);
          release();
          return name;
        },
      }),
    );
    const { client } = clientWithCalls([call("1", "first", "{}"), call("2", "second", "{}")]);
    const { messages } = await client.chat.runTools(request, tools);
    assert.deepEqual(order, ["second", "first"]);
    assert.deepEqual(messages.slice(2, 4).map(({ toolCallId, content }) => [toolCallId, content]), [["1", "first"], ["2", "second"]]);
  });

  test("runs up to maxRounds rounds", async () => {
    const round = [call("1", "time", "{}")];
    const { completion } = await clientWithCalls(round, round, round).client.chat.runTools(request, [time], { maxRounds: 4 });
    assert.equal(completion.choices[0]?.message?.content, "Done.");
    const { client, requests } = clientWithCalls(round, round, round);
    await assert.rejects(client.chat.runTools(request, [time], { maxRounds: 3 }), /after 3 rounds/);
    assert.equal(requests.length, 3);
  });

  test("returns a call of another tool in the request", async () => {
    const { client, requests } = clientWithCalls([call("1", "add", "{}")]);
    const { messages, completion } = await client.chat.runTools({ ...request, tools: [add] }, [time]);
    assert.equal(completion.choices[0]?.message?.toolCalls.length, 1);
    assert.equal(messages.length, 2);
    assert.deepEqual(requests[0]?.tools.map((each) => each.tool.value?.name), ["add", "time"]);
  });

  test("passes on the signal, which aborts the run", async () => {
    const controller = new AbortController();
    const stop = tool({
      name: "stop",
      run: (_, signal) => {
        controller.abort(new Error("enough"));
        signal?.throwIfAborted();
      },
    });
    const { client, requests } = clientWithCalls([call("1", "stop", "{}")]);
    await assert.rejects(client.chat.runTools(request, [stop], { signal: controller.signal }), /enough/);
    assert.equal(requests.length, 1);
  });
});

test("create accepts a runnable tool", async () => {
  const { client, requests } = clientWithCalls();
  await client.chat.create({ ...request, tools: [add] });
  assert.deepEqual(requests[0]?.tools[0]?.tool.value, {
    $typeName: "openaiconnect.chat.v1.FunctionTool",
    name: "add",
    description: "Adds.",
    parametersJson: '{"type":"object"}',
    strict: true,
    extraJson: "",
  });
});

test("runTools does not modify the request", async () => {
  const messages = [user("Go.")];
  await clientWithCalls([call("1", "time", "{}")]).client.chat.runTools({ model: "m", messages }, [time]);
  assert.equal(messages.length, 1);
});

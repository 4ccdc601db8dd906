import assert from "node:assert/strict";
import { suite, test } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";

import { ChatService, type CreateChatCompletionRequest, type MessageSchema, OpenAIConnect, Role, tool, type ToolCallSchema, user } from "../src/index.js";

type Call = MessageInitShape<typeof ToolCallSchema>;

/** A client of a model that makes these tool calls, round by round, and then replies "Done." */
function calling(...rounds: Call[][]): { client: OpenAIConnect; requests: CreateChatCompletionRequest[] } {
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

suite("tools are run", () => {
  for (const [name, made, want] of [
    ["and the return value is sent to the model as JSON", call("1", "add", '{"a": 1, "b": 2}'), "3"],
    ["and a string is sent unchanged", call("1", "time", "{}"), "noon"],
    ["without arguments", call("1", "time", ""), "noon"],
    ["and a thrown error is sent to the model", call("1", "fail", "{}"), "Error: out of order"],
    ["unless the arguments are invalid JSON", call("1", "add", "{"), /^SyntaxError: /],
    ["unless the function is unknown", call("1", "divide", "{}"), 'Error: unknown function "divide"'],
    ["unless the tool is of another kind", { id: "1", tool: { case: "custom", value: { name: "add", input: "x" } } }, 'Error: unknown function "add"'],
    ["unless the kind of tool is unknown", { id: "1", extraJson: '{"type":"mcp"}' }, "Error: unknown function undefined"],
  ] satisfies [string, Call, string | RegExp][]) {
    test(name, async () => {
      const { client, requests } = calling([made]);
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

  test("runs concurrently and returns results in call order", async () => {
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
    const { client } = calling([call("1", "first", "{}"), call("2", "second", "{}")]);
    const { messages } = await client.chat.runTools(request, tools);
    assert.deepEqual(order, ["second", "first"]);
    assert.deepEqual(messages.slice(2, 4).map(({ toolCallId, content }) => [toolCallId, content]), [["1", "first"], ["2", "second"]]);
  });

  test("runs round by round, up to the limit", async () => {
    const round = [call("1", "time", "{}")];
    const { completion } = await calling(round, round, round).client.chat.runTools(request, [time], { maxRounds: 4 });
    assert.equal(completion.choices[0]?.message?.content, "Done.");
    const { client, requests } = calling(round, round, round);
    await assert.rejects(client.chat.runTools(request, [time], { maxRounds: 3 }), /after 3 rounds/);
    assert.equal(requests.length, 3);
  });

  test("leaves calls of the request's own tools to the caller", async () => {
    const { client, requests } = calling([call("1", "add", "{}")]);
    const { messages, completion } = await client.chat.runTools({ ...request, tools: [add] }, [time]);
    assert.equal(completion.choices[0]?.message?.toolCalls.length, 1);
    assert.equal(messages.length, 2);
    assert.deepEqual(requests[0]?.tools.map((each) => each.tool.value?.name), ["add", "time"]);
  });

  test("is aborted by the signal", async () => {
    const controller = new AbortController();
    const stop = tool({
      name: "stop",
      run: (_, signal) => {
        controller.abort(new Error("enough"));
        signal?.throwIfAborted();
      },
    });
    const { client, requests } = calling([call("1", "stop", "{}")]);
    await assert.rejects(client.chat.runTools(request, [stop], { signal: controller.signal }), /enough/);
    assert.equal(requests.length, 1);
  });
});

test("a tool can be used in a request", async () => {
  const { client, requests } = calling();
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

test("running tools does not modify the request", async () => {
  const messages = [user("Go.")];
  await calling([call("1", "time", "{}")]).client.chat.runTools({ model: "m", messages }, [time]);
  assert.equal(messages.length, 1);
});

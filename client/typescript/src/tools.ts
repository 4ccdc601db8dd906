import { create } from "@bufbuild/protobuf";

import type { ChatRequest } from "./chat.js";
import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import { CreateChatCompletionRequestSchema } from "./gen/openaiconnect/chat/v1/create_chat_completion_pb.js";
import type { Message, ToolCall } from "./gen/openaiconnect/chat/v1/message_pb.js";
import { type Tool, ToolSchema } from "./gen/openaiconnect/chat/v1/tool_pb.js";
import { toolResult } from "./messages.js";
import { schemaText } from "./schema.js";

/** A tool that the model may call, with its function. It can also be used in a request's `tools`. */
export type RunnableTool = Tool & {
  /** Runs the function with the model's arguments, and returns the text for the model. */
  readonly run: (argumentsJson: string, signal?: AbortSignal) => Promise<string>;
};

/** The definition of a tool. */
interface ToolDefinition<Args> {
  /** The name: up to 64 letters, digits, underscores and dashes. */
  name: string;
  /** The description, which the model uses to decide when to call the tool. */
  description?: string | undefined;
  /** The JSON Schema of the arguments, an object. Omit it for a tool without arguments. */
  parameters?: object | undefined;
  /** Whether the arguments must follow the schema strictly, which not every schema supports. The default is false. */
  strict?: boolean | undefined;
  /** The function. A returned string is sent to the model unchanged, other values as JSON. */
  run: (args: Args, signal?: AbortSignal) => unknown;
}

/** Options of running tools. */
export interface ToolRunOptions {
  /** The maximum number of requests to the model. The default is 10. */
  maxRounds?: number | undefined;
  /** A signal for the running tools. */
  signal?: AbortSignal | undefined;
}

/** The result of running tools. */
export interface ToolRun {
  /** The model's last completion, which calls none of the tools. */
  completion: ChatCompletion;
  /** The conversation: the messages of the request, the calls with their results, and the last message. */
  messages: Message[];
}

/** Returns a tool for a function. `Args` is not checked against the parameters. */
export function tool<Args = Record<string, never>>(definition: ToolDefinition<Args>): RunnableTool {
  const { name, description, parameters, strict, run } = definition;
  const declared = create(ToolSchema, {
    tool: {
      case: "function",
      value: {
        name,
        ...(description !== undefined && { description }),
        ...(parameters && { parametersJson: schemaText("parameters", parameters) }),
        ...(strict !== undefined && { strict }),
      },
    },
  });
  return Object.assign(declared, {
    async run(argumentsJson: string, signal?: AbortSignal): Promise<string> {
      // Models send an empty string for no arguments.
      const result = await run(JSON.parse(argumentsJson || "{}") as Args, signal);
      return typeof result === "string" ? result : (JSON.stringify(result) ?? "");
    },
  });
}

/** Sends requests to the model and runs the tools that it calls, until it calls none. */
export async function runTools(
  ask: (request: ChatRequest) => Promise<ChatCompletion>,
  request: ChatRequest,
  tools: readonly RunnableTool[],
  { maxRounds = 10, signal }: ToolRunOptions,
): Promise<ToolRun> {
  const first = create(CreateChatCompletionRequestSchema, request);
  const messages = [...first.messages];
  const foreign = new Set(first.tools.map((each) => each.tool.value?.name));
  for (let round = 0; round < maxRounds; round++) {
    const completion = await ask({ ...first, messages, tools: [...first.tools, ...tools] });
    const reply = completion.choices[0]?.message;
    if (!reply) {
      throw new Error("the response has no choices");
    }
    messages.push(reply);
    if (reply.toolCalls.length === 0 || reply.toolCalls.some((call) => foreign.has(call.tool.value?.name))) {
      return { completion, messages };
    }
    messages.push(...(await Promise.all(reply.toolCalls.map((call) => runCall(call, tools, signal)))));
  }
  throw new Error(`the model still calls tools after ${maxRounds} rounds: raise maxRounds, or check the results of the tools`);
}

/** Runs a call. Errors are sent to the model as the result. */
async function runCall(call: ToolCall, tools: readonly RunnableTool[], signal: AbortSignal | undefined): Promise<Message> {
  const name = call.tool.value?.name;
  const called = tools.find((each) => each.tool.value?.name === name);
  if (!called || call.tool.case !== "function") {
    return toolResult(call.id, `Error: unknown function ${JSON.stringify(name)}`);
  }
  try {
    return toolResult(call.id, await called.run(call.tool.value.arguments, signal));
  } catch (thrown) {
    signal?.throwIfAborted();
    return toolResult(call.id, String(thrown));
  }
}

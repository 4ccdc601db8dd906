import { create } from "@bufbuild/protobuf";

import type { ChatRequest } from "./chat.js";
import type { ChatCompletion } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import { CreateChatCompletionRequestSchema } from "./gen/openaiconnect/chat/v1/create_chat_completion_pb.js";
import type { Message, ToolCall } from "./gen/openaiconnect/chat/v1/message_pb.js";
import { type Tool, ToolSchema } from "./gen/openaiconnect/chat/v1/tool_pb.js";
import { toolResult } from "./messages.js";
import { schemaText } from "./schema.js";

/** A tool that the model may call, and the function that it calls. It may also stand in a request's `tools`. */
export type RunnableTool = Tool & {
  /** Runs the function with the arguments as the model wrote them, and gives the text that the model gets. */
  readonly run: (argumentsJson: string, signal?: AbortSignal) => Promise<string>;
};

/** What makes a tool. */
interface ToolDefinition<Args> {
  /** Its name: up to 64 letters, digits, underscores and dashes. */
  name: string;
  /** What it does, by which the model decides when to call it. */
  description?: string | undefined;
  /** A JSON Schema object of its arguments. None when unset. */
  parameters?: object | undefined;
  /** Whether the arguments are sure to fit the parameters, which not every schema allows. False when unset. */
  strict?: boolean | undefined;
  /** What is called. A string goes to the model as it is, anything else as JSON. */
  run: (args: Args, signal?: AbortSignal) => unknown;
}

/** How tools are run. */
export interface ToolRunOptions {
  /** How often the model may be asked. 10 when unset. */
  maxRounds?: number | undefined;
  /** Given to the tools that run. */
  signal?: AbortSignal | undefined;
}

/** What running tools came to. */
export interface ToolRun {
  /** The model's last answer, which calls none of the tools. */
  completion: ChatCompletion;
  /** The conversation: the request's messages, the calls and their results, and the answer. */
  messages: Message[];
}

/** A tool from a function. Nothing checks `Args` against the parameters. */
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
      // Models write nothing for no arguments.
      const result = await run(JSON.parse(argumentsJson || "{}") as Args, signal);
      return typeof result === "string" ? result : (JSON.stringify(result) ?? "");
    },
  });
}

/** Asks the model, and runs the tools that it calls, until it calls none. */
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
      throw new Error("the answer has no choices");
    }
    messages.push(reply);
    if (reply.toolCalls.length === 0 || reply.toolCalls.some((call) => foreign.has(call.tool.value?.name))) {
      return { completion, messages };
    }
    messages.push(...(await Promise.all(reply.toolCalls.map((call) => answer(call, tools, signal)))));
  }
  throw new Error(`the model still calls tools after ${maxRounds} rounds: raise maxRounds, or see why it isn't content`);
}

/** Runs what a call names. What goes wrong there is for the model to know. */
async function answer(call: ToolCall, tools: readonly RunnableTool[], signal: AbortSignal | undefined): Promise<Message> {
  const name = call.tool.value?.name;
  const called = tools.find((each) => each.tool.value?.name === name);
  if (!called || call.tool.case !== "function") {
    return toolResult(call.id, `Error: there is no function ${JSON.stringify(name)}`);
  }
  try {
    return toolResult(call.id, await called.run(call.tool.value.arguments, signal));
  } catch (thrown) {
    signal?.throwIfAborted();
    return toolResult(call.id, String(thrown));
  }
}

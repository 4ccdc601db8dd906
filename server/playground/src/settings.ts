/** The call that the settings and the messages make. */
import { create, type DescEnum, type MessageInitShape } from "@bufbuild/protobuf";

import {
  type CreateChatCompletionRequest,
  CreateChatCompletionRequestSchema,
  type Message,
  ReasoningEffortSchema,
  ResponseFormatSchema,
  type ToolChoiceMode,
  ToolChoiceModeSchema,
  VerbositySchema,
} from "../../../client/typescript/src/index.js";
import { area, h, html, input, select } from "./dom.js";
import { headerLines, int32, int64, jsonObject, number, Problems } from "./problems.js";
import type { Tools } from "./tools.js";

/** A call of the server. */
export interface Call {
  /** The server's base URL, without a slash at the end. */
  baseUrl: string;
  request: CreateChatCompletionRequest;
  /** Whether the answer comes piece by piece. */
  stream: boolean;
  /** Headers beside the key's. */
  headers: [string, string][];
  /** Whether a key is sent. The key itself is in no code that is shown. */
  hasKey: boolean;
}

const exampleSchema = `{
  "type": "object",
  "properties": {
    "answer": {"type": "string"},
    "sure": {"type": "boolean"}
  },
  "required": ["answer", "sure"],
  "additionalProperties": false
}`;

/** Fills in what the page's HTML leaves to its script. */
export function prepareSettings(): void {
  offer(select("reasoning-effort"), ReasoningEffortSchema);
  offer(select("verbosity"), VerbositySchema);
  offer(select("tool-choice"), ToolChoiceModeSchema);
  area("schema").value = exampleSchema;
  // On a phone, the conversation is what one came for.
  for (const details of document.querySelectorAll<HTMLDetailsElement>("details[data-wide-open]")) {
    details.open = matchMedia("(min-width: 48rem)").matches;
  }
}

/** Offers the values of an enum by OpenAI's names, all but the unset one. */
function offer(list: HTMLSelectElement, schema: DescEnum): void {
  list.append(...schema.values.filter(({ number }) => number !== 0).map(({ number, localName }) =>
    h("option", { value: String(number) }, localName.toLowerCase())));
}

/** Reads the call, and what keeps it from being sent. */
export function readCall(messages: Message[], tools: Tools, show: boolean): { call: Call; problems: Problems } {
  const problems = new Problems(show);
  const stream = input("stream").checked;
  html("include-usage-label").hidden = !stream;
  html("schema-fields").hidden = select("format").value !== "jsonSchema";
  const model = problems.need(input("model"), "Which model shall answer?");
  const mode: ToolChoiceMode = Number(select("tool-choice").value);
  const request = create(CreateChatCompletionRequestSchema, {
    ...defined({
      temperature: problems.read(input("temperature"), number),
      topP: problems.read(input("top-p"), number),
      maxCompletionTokens: problems.read(input("max-completion-tokens"), int32),
      n: problems.read(input("n"), int32),
      seed: problems.read(input("seed"), int64),
      responseFormat: readFormat(problems),
      extraJson: problems.read(area("extra"), jsonObject),
    }),
    ...(mode && { toolChoice: { choice: { case: "mode", value: mode } } }),
    ...(stream && input("include-usage").checked && { streamOptions: { includeUsage: true } }),
    model,
    messages,
    reasoningEffort: Number(select("reasoning-effort").value),
    verbosity: Number(select("verbosity").value),
    stop: area("stop").value.split("\n").filter((text) => text),
    tools: tools.read(problems),
  });
  return {
    problems,
    call: {
      baseUrl: new URL("..", location.href).href.replace(/\/$/, ""),
      request,
      stream,
      headers: problems.read(area("headers"), headerLines) ?? [],
      hasKey: input("key").value.trim() !== "",
    },
  };
}

function readFormat(problems: Problems): MessageInitShape<typeof ResponseFormatSchema> | undefined {
  switch (select("format").value) {
    case "text":
      return { format: { case: "text", value: {} } };
    case "jsonObject":
      return { format: { case: "jsonObject", value: {} } };
    case "jsonSchema":
      return {
        format: {
          case: "jsonSchema",
          value: {
            name: input("schema-name").value.trim(),
            schemaJson: problems.read(area("schema"), jsonObject) ?? "",
            ...(input("schema-strict").checked && { strict: true }),
          },
        },
      };
    default:
      return undefined;
  }
}

/** An object without the members that are undefined. */
function defined<T extends object>(object: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}

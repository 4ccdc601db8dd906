/** The request settings. */
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
import { FieldErrors, headerLines, int32, int64, jsonObject, number } from "./errors.js";
import type { Tools } from "./tools.js";

/** A call to the server. */
export interface Call {
  /** The server's base URL, without a trailing slash. */
  baseUrl: string;
  request: CreateChatCompletionRequest;
  /** Whether to stream the response. */
  stream: boolean;
  /** Additional headers, without the API key. */
  headers: [string, string][];
  /** Whether an API key is sent. The key itself never appears in the code tabs. */
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

/** Fills the lists and the fields that the HTML leaves empty. */
export function prepareSettings(): void {
  addOptions(select("reasoning-effort"), ReasoningEffortSchema);
  addOptions(select("verbosity"), VerbositySchema);
  addOptions(select("tool-choice"), ToolChoiceModeSchema);
  area("schema").value = exampleSchema;
  // On a phone the conversation comes first, with the parameters collapsed.
  for (const details of document.querySelectorAll<HTMLDetailsElement>("details[data-wide-open]")) {
    details.open = matchMedia("(min-width: 48rem)").matches;
  }
}

/** Adds the values of an enum under OpenAI's names, without the unspecified value. */
function addOptions(list: HTMLSelectElement, schema: DescEnum): void {
  list.append(...schema.values.filter(({ number }) => number !== 0).map(({ number, localName }) =>
    h("option", { value: String(number) }, localName.toLowerCase())));
}

/** Reads the call and the errors that prevent sending it. */
export function readCall(messages: Message[], tools: Tools, show: boolean): { call: Call; errors: FieldErrors } {
  const errors = new FieldErrors(show);
  const stream = input("stream").checked;
  html("include-usage-label").hidden = !stream;
  html("schema-fields").hidden = select("format").value !== "jsonSchema";
  const model = errors.require(input("model"), "Enter a model.");
  const mode: ToolChoiceMode = Number(select("tool-choice").value);
  const request = create(CreateChatCompletionRequestSchema, {
    ...defined({
      temperature: errors.read(input("temperature"), number),
      topP: errors.read(input("top-p"), number),
      maxCompletionTokens: errors.read(input("max-completion-tokens"), int32),
      n: errors.read(input("n"), int32),
      seed: errors.read(input("seed"), int64),
      responseFormat: readFormat(errors),
      extraJson: errors.read(area("extra"), jsonObject),
    }),
    ...(mode && { toolChoice: { choice: { case: "mode", value: mode } } }),
    ...(stream && input("include-usage").checked && { streamOptions: { includeUsage: true } }),
    model,
    messages,
    reasoningEffort: Number(select("reasoning-effort").value),
    verbosity: Number(select("verbosity").value),
    stop: area("stop").value.split("\n").filter((text) => text),
    tools: tools.read(errors),
  });
  return {
    errors,
    call: {
      baseUrl: new URL("..", location.href).href.replace(/\/$/, ""),
      request,
      stream,
      headers: errors.read(area("headers"), headerLines) ?? [],
      hasKey: input("key").value.trim() !== "",
    },
  };
}

function readFormat(errors: FieldErrors): MessageInitShape<typeof ResponseFormatSchema> | undefined {
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
            schemaJson: errors.read(area("schema"), jsonObject) ?? "",
            ...(input("schema-strict").checked && { strict: true }),
          },
        },
      };
    default:
      return undefined;
  }
}

/** Returns an object without its undefined properties. */
function defined<T extends object>(object: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}

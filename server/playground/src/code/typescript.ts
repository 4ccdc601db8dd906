/** Generates modules that use the npm package @openai-connect/client. */
import { type DescEnum, type DescField, isMessage } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";

import { CreateChatCompletionRequestSchema, MessageSchema } from "../../../../client/typescript/src/index.js";
import type { Call } from "../settings.js";
import { type Composite, formatComposite, shorthand } from "./source.js";

/** Returns a module that makes the call and prints the response. */
export function typescript({ baseUrl, request, stream, headers, hasKey }: Call): string {
  const imports = new Set(["OpenAIConnect"]);
  const body = literal(reflect(CreateChatCompletionRequestSchema, request), 0, imports, true);
  const options = formatComposite({
    ...style,
    entries: [
      ["baseUrl", JSON.stringify(baseUrl)],
      ...(hasKey ? [["apiKey", "process.env.API_KEY"]] : []),
      ...(headers.length > 0 ? [["headers", formatComposite({ ...style, entries: headers.map(([name, value]) => [JSON.stringify(name), JSON.stringify(value)]) }, 1)]] : []),
    ],
  }, 0);
  return `import { ${[...imports].sort().join(", ")} } from "@openai-connect/client";

const openai = new OpenAIConnect(${options});

${stream ? `const stream = openai.chat.stream(${body});\n\n${printStream}` : `const completion = await openai.chat.create(${body});\n\n${printCompletion}`}`;
}

const printStream = `for await (const chunk of stream) {
  for (const { delta } of chunk.choices) {
    process.stdout.write(delta?.content ?? "");
    for (const call of delta?.toolCalls ?? []) {
      process.stdout.write((call.function?.name ?? "") + (call.function?.arguments ?? ""));
    }
  }
}
process.stdout.write("\\n");
`;

const printCompletion = `for (const { message } of completion.choices) {
  console.log(message?.content ?? "");
  for (const { tool } of message?.toolCalls ?? []) {
    console.log(tool.value);
  }
}
`;

const style = { open: "{", close: "}", padding: " ", colon: ": ", indent: "  ", aligned: false, trailing: true } satisfies Partial<Composite>;

function literal(message: ReflectMessage, depth: number, imports: Set<string>, multiline = false): string {
  const entries = message.fields.filter((field) => message.isSet(field)).map((field) => {
    if (!field.oneof) {
      return [field.localName, value(field, message.get(field), depth + 1, imports)];
    }
    return [field.oneof.localName, formatComposite({
      ...style,
      entries: [["case", JSON.stringify(field.localName)], ["value", value(field, message.get(field), depth + 2, imports)]],
    }, depth + 1)];
  });
  return formatComposite({ ...style, entries, multiline }, depth);
}

function value(field: DescField, given: unknown, depth: number, imports: Set<string>): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalar(given);
    case "enum":
      return enumValue(field.enum, given as number, imports);
    case "message":
      return literal(given as ReflectMessage, depth, imports);
    case "list":
      return formatComposite({
        ...style, open: "[", close: "]", padding: "", multiline: field.listKind === "message",
        entries: [...(given as ReflectList)].map((item) => [
          field.listKind === "message" ? helper(item as ReflectMessage, depth + 1, imports) ?? literal(item as ReflectMessage, depth + 1, imports)
            : field.listKind === "enum" ? enumValue(field.enum, item as number, imports) : scalar(item),
        ]),
      }, depth);
    case "map":
      return formatComposite({ ...style, entries: [...(given as ReflectMap)].map(([key, item]) => [JSON.stringify(key), scalar(item)]) }, depth);
  }
}

/** Returns a call of the client's helper for a message, or undefined if no helper can express it. */
function helper({ message }: ReflectMessage, depth: number, imports: Set<string>): string | undefined {
  const short = isMessage(message, MessageSchema) ? shorthand(message) : undefined;
  if (short === undefined) {
    return undefined;
  }
  imports.add(short.name);
  const parts = short.parts.map(({ helper, value }) => {
    if (helper === "text") {
      return [scalar(value)]; // A string is a text part.
    }
    imports.add("imageUrl");
    return [`imageUrl(${scalar(value)})`];
  });
  // A single string would be the content, not a part.
  if (short.parts.length === 1 && short.parts[0]?.helper === "text") {
    imports.add("text");
    parts[0] = [`text(${scalar(short.parts[0].value)})`];
  }
  const entries = parts.length > 0 ? parts : short.strings.map((text) => [scalar(text)]);
  return formatComposite({ ...style, open: `${short.name}(`, close: ")", padding: "", entries, inline: parts.length === 0 }, depth);
}

function enumValue(desc: DescEnum, number: number, imports: Set<string>): string {
  imports.add(desc.name);
  return `${desc.name}.${desc.value[number]?.localName ?? number}`;
}

function scalar(given: unknown): string {
  if (typeof given === "bigint") {
    return `${given}n`;
  }
  const lines = typeof given === "string" && given.includes("\n") && !/[`\\\r]|\$\{/.test(given);
  return lines ? `\`${given}\`` : JSON.stringify(given);
}

/** The call as a Go program of the client in github.com/openai-connect/openai-connect/client. */
import { type DescField, type DescMessage, isMessage, ScalarType } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";

import { CreateChatCompletionRequestSchema, MessageSchema } from "../../../../client/typescript/src/index.js";
import type { Call } from "../settings.js";
import { type Composite, shorthand, write } from "./source.js";

/** A program that makes the call and prints the answer. */
export function go({ baseUrl, request, stream, headers, hasKey }: Call): string {
  const options = [
    quote(baseUrl),
    ...(hasKey ? ['client.WithAPIKey(os.Getenv("API_KEY"))'] : []),
    ...headers.map(([name, value]) => `client.WithHeader(${quote(name)}, ${quote(value)})`),
  ];
  const imports = ["context", "fmt", "log", ...(hasKey ? ["os"] : [])].map((path) => `\t"${path}"\n`).join("");
  return `package main

import (
${imports}
	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

func main() {
	openai := client.New(${options.join(", ")})
	request := &${literal(reflect(CreateChatCompletionRequestSchema, request), 1, true)}
${stream ? streamed : whole}}
`;
}

const streamed = `	for chunk, err := range openai.Chat.Stream(context.Background(), request) {
		if err != nil {
			log.Fatal(err)
		}
		for _, choice := range chunk.Choices {
			fmt.Print(choice.Delta.GetContent())
			for _, call := range choice.Delta.GetToolCalls() {
				fmt.Print(call.Function.GetName(), call.Function.GetArguments())
			}
		}
	}
	fmt.Println()
`;

const whole = `	completion, err := openai.Chat.Create(context.Background(), request)
	if err != nil {
		log.Fatal(err)
	}
	for _, choice := range completion.Choices {
		fmt.Println(choice.Message.GetContent())
		for _, call := range choice.Message.GetToolCalls() {
			fmt.Println(call.GetFunction().GetName(), call.GetFunction().GetArguments())
		}
	}
`;

const style = { close: "}", padding: "", colon: ": ", indent: "\t", aligned: true, trailing: true } satisfies Partial<Composite>;

/** A message's composite literal. */
function literal(message: ReflectMessage, depth: number, broken = false, elided = false): string {
  const entries = message.fields.filter((field) => message.isSet(field)).map((field) => {
    const plain = value(field, message.get(field), depth + 1);
    if (!field.oneof) {
      return [goName(field.name), field.presence === explicit && field.fieldKind === "scalar" ? `new(${typed(field.scalar, plain)})` : plain];
    }
    const name = goName(field.name);
    return [goName(field.oneof.name), `&${typeName(message.desc)}_${name}{${name}: ${plain}}`];
  });
  return write({ ...style, open: (elided ? "" : typeName(message.desc)) + "{", entries, broken }, depth);
}

/** google.protobuf.FeatureSet.FieldPresence.EXPLICIT */
const explicit = 1;

function value(field: DescField, given: unknown, depth: number): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalar(given);
    case "enum":
      return enumValue(field.enum, given as number);
    case "message":
      return `&${literal(given as ReflectMessage, depth)}`;
    case "list": {
      const items = [...(given as ReflectList)];
      switch (field.listKind) {
        case "scalar":
          return write({ ...style, open: "[]string{", entries: items.map((item) => [scalar(item)]) }, depth);
        case "enum":
          return write({ ...style, open: `[]chatv1.${field.enum.name}{`, entries: items.map((item) => [enumValue(field.enum, item as number)]) }, depth);
        case "message":
          return write({
            ...style, broken: true, open: `[]*${typeName(field.message)}{`,
            entries: items.map((item) => [helper(item as ReflectMessage, depth + 1) ?? literal(item as ReflectMessage, depth + 1, false, true)]),
          }, depth);
      }
      break;
    }
    case "map":
      return write({
        ...style, open: `map[string]${field.scalar === ScalarType.INT32 ? "int32" : "string"}{`,
        entries: [...(given as ReflectMap)].map(([key, item]) => [quote(String(key)), scalar(item)]),
      }, depth);
  }
}

/** The client's own helper for a message, if it has one. */
function helper({ message }: ReflectMessage, depth: number): string | undefined {
  const short = isMessage(message, MessageSchema) ? shorthand(message) : undefined;
  if (short === undefined) {
    return undefined;
  }
  const entries = short.parts.length > 0
    ? short.parts.map(({ helper, value }) => [`client.${capitalized(helper)}(${quote(value)})`])
    : short.texts.map((text) => [quote(text)]);
  const name = short.parts.length > 0 ? "UserParts" : capitalized(short.name);
  return write({ ...style, open: `client.${name}(`, close: ")", entries, inline: short.parts.length === 0 }, depth);
}

const capitalized = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

function enumValue(desc: { name: string; value: Readonly<Record<number, { name: string }>> }, number: number): string {
  return `chatv1.${desc.name}_${desc.value[number]?.name ?? number}`;
}

function scalar(given: unknown): string {
  return typeof given === "string" ? quote(given) : String(given);
}

/** A constant with the type that new shall give it. */
function typed(type: ScalarType, constant: string): string {
  switch (type) {
    case ScalarType.INT32:
      return `int32(${constant})`;
    case ScalarType.INT64:
      return `int64(${constant})`;
    case ScalarType.DOUBLE:
      return /^-?\d+$/.test(constant) ? `${constant}.0` : constant;
    default:
      return constant;
  }
}

/** A string literal: raw where quotes would need escapes. */
function quote(text: string): string {
  if (/["\\\n]/.test(text) && !/[`\x00-\x08\x0b-\x1f\x7f\ufeff]/.test(text)) {
    return "`" + text + "`";
  }
  return JSON.stringify(text).replaceAll("\ufeff", "\\ufeff").replaceAll("\x7f", "\\u007f");
}

const typeName = ({ name }: DescMessage): string => `chatv1.${name}`;

/** A field's name as protoc-gen-go writes it. */
function goName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

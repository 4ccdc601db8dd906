/** Generates Go programs that use the package github.com/openai-connect/openai-connect/client. */
import { type DescEnum, type DescField, type DescMessage, isMessage, ScalarType } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";

import { CreateChatCompletionRequestSchema, MessageSchema } from "../../../../client/typescript/src/index.js";
import type { Call } from "../settings.js";
import { type Composite, formatComposite, shorthand } from "./source.js";

/** Returns a program that makes the call and prints the response. */
export function go({ baseUrl, request, stream, headers, hasKey }: Call): string {
  const options = [
    quote(baseUrl),
    ...(hasKey ? ['client.WithAPIKey(os.Getenv("API_KEY"))'] : []),
    ...headers.map(([name, value]) => `client.WithHeader(${quote(name)}, ${quote(value)})`),
  ];
  const packages = ["context", "fmt", "log", ...(hasKey ? ["os"] : [])].map((path) => `\t"${path}"\n`).join("");
  const imports = new Set<string>();
  const body = literal(reflect(CreateChatCompletionRequestSchema, request), 1, imports, true);
  return `package main

import (
${packages}
	"github.com/openai-connect/openai-connect/client"
${[...imports].sort().join("")})

func main() {
	openai := client.New(${options.join(", ")})
	request := &${body}
${stream ? printStream : printCompletion}}
`;
}

const printStream = `	for chunk, err := range openai.Chat.Stream(context.Background(), request) {
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

const printCompletion = `	completion, err := openai.Chat.Create(context.Background(), request)
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

/** Returns a message's composite literal. */
function literal(message: ReflectMessage, depth: number, imports: Set<string>, multiline = false, elided = false): string {
  const entries = message.fields.filter((field) => message.isSet(field)).map((field) => {
    const plain = value(field, message.get(field), depth + 1, imports);
    if (!field.oneof) {
      return [goName(field.name), field.presence === explicit && field.fieldKind === "scalar" ? `new(${typed(field.scalar, plain)})` : plain];
    }
    const name = goName(field.name);
    return [goName(field.oneof.name), `&${typeName(message.desc, imports)}_${name}{${name}: ${plain}}`];
  });
  return formatComposite({ ...style, open: (elided ? "" : typeName(message.desc, imports)) + "{", entries, multiline }, depth);
}

/** google.protobuf.FeatureSet.FieldPresence.EXPLICIT */
const explicit = 1;

function value(field: DescField, given: unknown, depth: number, imports: Set<string>): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalar(given);
    case "enum":
      return enumValue(field.enum, given as number, imports);
    case "message":
      return `&${literal(given as ReflectMessage, depth, imports)}`;
    case "list": {
      const items = [...(given as ReflectList)];
      switch (field.listKind) {
        case "scalar":
          return formatComposite({ ...style, open: "[]string{", entries: items.map((item) => [scalar(item)]) }, depth);
        case "enum":
          return formatComposite({ ...style, open: `[]${typeName(field.enum, imports)}{`, entries: items.map((item) => [enumValue(field.enum, item as number, imports)]) }, depth);
        case "message":
          return formatComposite({
            ...style, multiline: true, open: `[]*${typeName(field.message, imports)}{`,
            entries: items.map((item) => [helper(item as ReflectMessage, depth + 1) ?? literal(item as ReflectMessage, depth + 1, imports, false, true)]),
          }, depth);
      }
      break;
    }
    case "map":
      return formatComposite({
        ...style, open: `map[string]${field.scalar === ScalarType.INT32 ? "int32" : "string"}{`,
        entries: [...(given as ReflectMap)].map(([key, item]) => [quote(String(key)), scalar(item)]),
      }, depth);
  }
}

/** Returns a call of the client's helper for a message, or undefined if no helper can express it. */
function helper({ message }: ReflectMessage, depth: number): string | undefined {
  const short = isMessage(message, MessageSchema) ? shorthand(message) : undefined;
  if (short === undefined) {
    return undefined;
  }
  const entries = short.parts.length > 0
    ? short.parts.map(({ helper, value }) => [`client.${capitalized(helper)}(${quote(value)})`])
    : short.strings.map((text) => [quote(text)]);
  const name = short.parts.length > 0 ? "UserParts" : capitalized(short.name);
  return formatComposite({ ...style, open: `client.${name}(`, close: ")", entries, inline: short.parts.length === 0 }, depth);
}

const capitalized = (name: string): string => name.slice(0, 1).toUpperCase() + name.slice(1);

function enumValue(desc: DescEnum, number: number, imports: Set<string>): string {
  return `${typeName(desc, imports)}_${desc.value[number]?.name ?? number}`;
}

function scalar(given: unknown): string {
  return typeof given === "string" ? quote(given) : String(given);
}

/** Returns a constant expression of a type, an argument of new. */
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

/** Returns a string literal. A raw literal avoids escapes. */
function quote(text: string): string {
  if (/["\\\n]/.test(text) && !/[`\x00-\x08\x0b-\x1f\x7f\ufeff]/.test(text)) {
    return "`" + text + "`";
  }
  return JSON.stringify(text).replaceAll("\ufeff", "\\ufeff").replaceAll("\x7f", "\\u007f");
}

/** Returns the qualified name of a generated type, and adds its package to the imports. */
function typeName({ name, file }: DescMessage | DescEnum, imports: Set<string>): string {
  const path = file.proto.package.split(".");
  const alias = path.slice(-2).join("");
  imports.add(`\t${alias} "github.com/openai-connect/openai-connect/gen/${path.join("/")}"\n`);
  return `${alias}.${name}`;
}

/** Returns a field's name in protoc-gen-go's code. */
function goName(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

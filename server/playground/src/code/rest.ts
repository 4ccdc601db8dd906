/** Converts the request to OpenAI's JSON, using the options in the .proto files. */
import { type DescEnum, type DescField, getOption, hasOption } from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMap, type ReflectMessage } from "@bufbuild/protobuf/reflect";

import { type CreateChatCompletionRequest, CreateChatCompletionRequestSchema } from "../../../../client/typescript/src/index.js";
import { Format, member as memberOption, object$ as objectOption, Presence, union, value as valueOption } from "../../../../client/typescript/src/gen/openaiconnect/rest/v1/annotations_pb.js";
import { type Composite, formatComposite } from "./source.js";

/** Returns the request body, with `"stream": true`. */
export function restBody(request: CreateChatCompletionRequest): string {
  return object(reflect(CreateChatCompletionRequestSchema, request), 0, [['"stream"', "true"]]);
}

/** Returns a message as an object. Free-form JSON is inserted unchanged. */
function object(message: ReflectMessage, depth: number, members: string[][] = []): string {
  const entries = [
    ...members,
    ...getOption(message.desc, objectOption).constants.filter(({ json }) => json).map(({ name, json }) => [JSON.stringify(name), json]),
    ...message.fields.flatMap((field) => memberOf(message, field, depth)),
  ];
  const bare = message.fields.find((field) => message.isSet(field) && getOption(field, memberOption).bare);
  return bare ? single(bare, message.get(bare), depth) : formatComposite({ ...style, entries, multiline: depth === 0 }, depth);
}

const style = { open: "{", close: "}", padding: "", colon: ": ", indent: "  ", aligned: false, trailing: false } satisfies Partial<Composite>;

/** Returns the JSON members of a field: none, one, or two for a union with a tag. */
function memberOf(message: ReflectMessage, field: DescField, depth: number): string[][] {
  const { name, presence, format, outputOnly } = getOption(field, memberOption);
  if (format === Format.REMAINDER) {
    const text = String(message.get(field)).trim().slice(1, -1).trim();
    return text ? [[text]] : [];
  }
  if (outputOnly) {
    return [];
  }
  const key = JSON.stringify(name || (format === Format.JSON_OBJECT ? field.name.replace(/_json$/, "") : field.name));
  if (!message.isSet(field)) {
    const text = field.fieldKind === "scalar" && typeof message.get(field) === "string" && format !== Format.JSON_OBJECT;
    return !field.oneof && text && presence === Presence.REQUIRED ? [[key, '""']] : [];
  }
  const tag = field.oneof && hasOption(field.oneof, union) ? getOption(field.oneof, union).tag : "";
  const payload = [key, value(field, message.get(field), depth + 1)];
  const isEmpty = field.fieldKind === "message" && field.message.fields.length === 0;
  return tag ? [[JSON.stringify(tag), key], ...(isEmpty ? [] : [payload])] : [payload];
}

function value(field: DescField, given: unknown, depth: number): string {
  switch (field.fieldKind) {
    case "list":
      return formatComposite({ ...style, open: "[", close: "]", entries: [...(given as ReflectList)].map((item) => [single(field, item, depth + 1)]) }, depth);
    case "map":
      return formatComposite({ ...style, entries: [...(given as ReflectMap)].map(([key, item]) => [JSON.stringify(String(key)), JSON.stringify(item)]) }, depth);
    default:
      return single(field, given, depth);
  }
}

/** Returns a singular value or a list item. */
function single(field: DescField, given: unknown, depth: number): string {
  if (field.message) {
    return object(given as ReflectMessage, depth);
  }
  if (field.enum) {
    return JSON.stringify(spelling(field.enum, given as number));
  }
  if (getOption(field, memberOption).format === Format.JSON_OBJECT) {
    return String(given).trim();
  }
  return typeof given === "bigint" ? String(given) : JSON.stringify(given);
}

function spelling(desc: DescEnum, number: number): string {
  const named = desc.value[number];
  return named ? getOption(named, valueOption) || named.localName.toLowerCase() : String(number);
}

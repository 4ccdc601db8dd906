/** What the examples of code have in common: a request as text, on few lines where it fits. */
import { type ContentPart, type Message, Role } from "../../../../client/typescript/src/index.js";

/** How wide a line may become before it is broken. */
const maxWidth = 88;

/** A composite that a language writes between brackets. */
export interface Composite {
  /** What stands before the entries, such as `{`. */
  open: string;
  close: string;
  entries: string[][]; // each a value, or a key and a value
  /** What stands around one-line entries: a space in TypeScript, nothing in Go. */
  padding: string;
  /** What stands between a key and its value. */
  colon: string;
  indent: string;
  /** Whether the values of adjoining lines begin in one column, as gofmt has them. */
  aligned: boolean;
  /** Whether the last line of several has a comma too, as all but JSON may. */
  trailing: boolean;
  /** Whether it is broken though it fits. */
  broken?: boolean;
  /** Whether it stays on its line though it doesn't fit. */
  inline?: boolean;
}

/** Writes a composite at a depth of indentation. */
export function write(composite: Composite, depth: number): string {
  const { open, close, entries, padding, colon, indent, broken = false, inline = false } = composite;
  if (entries.length === 0) {
    return open + close;
  }
  const line = open + padding + entries.map((entry) => entry.join(colon)).join(", ") + padding + close;
  if (inline || (!broken && !line.includes("\n") && line.length <= maxWidth)) {
    return line;
  }
  const inner = indent.repeat(depth + 1);
  const lines = entries.map((entry, i) => inner + entry.join(colon + (composite.aligned ? spaces(entries, i) : "")));
  return `${open}\n${lines.join(",\n")}${composite.trailing ? "," : ""}\n${indent.repeat(depth)}${close}`;
}

/** What lines a value up with those of the lines around: values of several lines stand alone. */
function spaces(entries: string[][], index: number): string {
  const isOneLine = (entry: string[] | undefined): boolean => entry?.length === 2 && !entry[1]?.includes("\n");
  if (!isOneLine(entries[index])) {
    return "";
  }
  let [first, last] = [index, index];
  while (isOneLine(entries[first - 1])) {
    first--;
  }
  while (isOneLine(entries[last + 1])) {
    last++;
  }
  const width = Math.max(...entries.slice(first, last + 1).map(([key = ""]) => key.length));
  return " ".repeat(width - (entries[index]?.[0]?.length ?? 0));
}

/** A message by the helper that both clients have for it. */
export interface Shorthand {
  /** `user`, `system`, `developer`, `assistant` or `toolResult`. */
  name: string;
  /** The helper's arguments: texts, or of a user's message parts. */
  texts: string[];
  parts: { helper: "text" | "imageURL"; value: string }[];
}

/** A message by its helper, if that says all of it. */
export function shorthand(message: Message): Shorthand | undefined {
  const { role, content, contentParts, refusal, name, toolCalls, toolCallId, audio, functionCall, extraJson } = message;
  const more = [refusal, name, audio, functionCall].some((each) => each !== undefined) || toolCalls.length > 0 || extraJson !== "";
  if (more || (role === Role.TOOL) !== (toolCallId !== undefined)) {
    return undefined;
  }
  if (content === undefined) {
    const parts = contentParts.map(partShorthand);
    return role === Role.USER && parts.length > 0 && parts.every((part) => part !== undefined) ? { name: "user", texts: [], parts } : undefined;
  }
  const helper = helpers[role];
  return helper === undefined || contentParts.length > 0 ? undefined : { name: helper, texts: [...(toolCallId === undefined ? [] : [toolCallId]), content], parts: [] };
}

function partShorthand({ part, promptCacheBreakpoint, extraJson }: ContentPart): Shorthand["parts"][number] | undefined {
  if (promptCacheBreakpoint !== undefined || extraJson !== "") {
    return undefined;
  }
  switch (part.case) {
    case "text":
      return { helper: "text", value: part.value };
    case "imageUrl":
      return part.value.detail || part.value.extraJson ? undefined : { helper: "imageURL", value: part.value.url };
    default:
      return undefined;
  }
}

const helpers: Partial<Record<Role, string>> = {
  [Role.DEVELOPER]: "developer",
  [Role.SYSTEM]: "system",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "assistant",
  [Role.TOOL]: "toolResult",
};

/** Formatting shared by the code generators. */
import { type ContentPart, type Message, Role } from "../../../../client/typescript/src/index.js";

/** The maximum length of a line. Longer composites are split. */
const maxWidth = 88;

/** A bracketed list of values or key-value pairs. */
export interface Composite {
  /** The opening text, such as `{`. */
  open: string;
  close: string;
  /** Each entry is a value, or a key and a value. */
  entries: string[][];
  /** The padding inside the brackets on one line: a space in TypeScript, nothing in Go. */
  padding: string;
  /** The separator between a key and its value. */
  colon: string;
  indent: string;
  /** Whether to align the values of adjacent lines, like gofmt. */
  aligned: boolean;
  /** Whether to write a trailing comma on several lines, which JSON doesn't allow. */
  trailing: boolean;
  /** Whether to split the composite even if it fits on a line. */
  multiline?: boolean;
  /** Whether to keep the composite on one line even if it doesn't fit. */
  inline?: boolean;
}

/** Formats a composite at an indentation depth. */
export function formatComposite(composite: Composite, depth: number): string {
  const { open, close, entries, padding, colon, indent, multiline = false, inline = false } = composite;
  if (entries.length === 0) {
    return open + close;
  }
  const line = open + padding + entries.map((entry) => entry.join(colon)).join(", ") + padding + close;
  if (inline || (!multiline && !line.includes("\n") && line.length <= maxWidth)) {
    return line;
  }
  const inner = indent.repeat(depth + 1);
  const lines = entries.map((entry, i) => inner + entry.join(colon + (composite.aligned ? alignment(entries, i) : "")));
  return `${open}\n${lines.join(",\n")}${composite.trailing ? "," : ""}\n${indent.repeat(depth)}${close}`;
}

/** Returns the spaces that align a value with adjacent lines. Multi-line values are not aligned. */
function alignment(entries: string[][], index: number): string {
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

/** A call of a message helper, which the Go and TypeScript clients share. */
export interface Shorthand {
  /** `user`, `system`, `developer`, `assistant` or `toolResult`. */
  name: string;
  /** The string arguments. Empty if the message has parts. */
  strings: string[];
  parts: { helper: "text" | "imageURL"; value: string }[];
}

/** Returns the helper call for a message, or undefined if no helper can express it. */
export function shorthand(message: Message): Shorthand | undefined {
  const { role, content, contentParts, refusal, name, toolCalls, toolCallId, audio, functionCall, extraJson } = message;
  const more = [refusal, name, audio, functionCall].some((each) => each !== undefined) || toolCalls.length > 0 || extraJson !== "";
  if (more || (role === Role.TOOL) !== (toolCallId !== undefined)) {
    return undefined;
  }
  if (content === undefined) {
    const parts = contentParts.map(partShorthand);
    return role === Role.USER && parts.length > 0 && parts.every((part) => part !== undefined) ? { name: "user", strings: [], parts } : undefined;
  }
  const helper = helpers[role];
  return helper === undefined || contentParts.length > 0 ? undefined : { name: helper, strings: [...(toolCallId === undefined ? [] : [toolCallId]), content], parts: [] };
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

/** Shows the choices of a response, or its error. */
import { Code } from "@connectrpc/connect";

import {
  type APIError,
  type ChatCompletion,
  type ChatCompletionChunk,
  type Choice,
  ErrorSchema,
  FinishReason,
  FinishReasonSchema,
  type Message,
} from "../../../client/typescript/src/index.js";
import { callList, pretty, textOf } from "./conversation.js";
import { h } from "./dom.js";
import { duration } from "./stats.js";

/** The choices of one response. */
export class Choices {
  private readonly views = new Map<number, ChoiceView>();

  /** @param onContinue is called with the message of a choice to continue the conversation from it */
  constructor(
    private readonly list: HTMLElement,
    private readonly onContinue: (message: Message) => void,
  ) {
    list.replaceChildren();
    // Screen readers wait for the complete response.
    list.setAttribute("aria-busy", "true");
  }

  /** Adds a chunk. Returns whether it had any content. */
  add(chunk: ChatCompletionChunk): boolean {
    let hasContent = false;
    for (const { index, delta } of chunk.choices) {
      const view = this.view(index);
      hasContent = view.append("text", delta?.content) || hasContent;
      hasContent = view.append("refusal", delta?.refusal) || hasContent;
      hasContent = view.append("transcript", delta?.audio?.transcript) || hasContent;
      for (const call of delta?.toolCalls ?? []) {
        const { name, text } = call.custom ? { name: call.custom.name, text: call.custom.input } : { name: call.function?.name, text: call.function?.arguments };
        view.appendToCall(call.index ?? 0, name, text);
        hasContent = true;
      }
    }
    return hasContent;
  }

  /** Shows the complete response, with a button to continue from each choice. */
  finish(completion: ChatCompletion): void {
    for (const choice of completion.choices) {
      this.view(choice.index).finish(choice, completion.choices.length, this.onContinue);
    }
    this.end();
  }

  /** Shows the error that ended the response. */
  fail(error: APIError): void {
    this.list.append(failure(error));
    this.end();
  }

  /** Marks the response as ended. */
  end(): void {
    this.list.removeAttribute("aria-busy");
    for (const view of this.views.values()) {
      view.element.classList.remove("streaming");
    }
  }

  private view(index: number): ChoiceView {
    let view = this.views.get(index);
    if (!view) {
      view = new ChoiceView(index);
      this.views.set(index, view);
      this.list.append(view.element);
    }
    return view;
  }
}

/** Shows one choice. */
class ChoiceView {
  readonly element: HTMLElement;
  private readonly title = h("h2", {}, "Response");
  private readonly body = h("div", { class: "choice-body" });
  private readonly texts = new Map<string, Text>();

  constructor(index: number) {
    if (index > 0) {
      this.title.textContent = `Choice ${index + 1}`;
    }
    this.element = h("article", { class: "choice streaming" }, this.title, this.body);
  }

  /** Appends to the text of a kind. Returns whether there was anything to append. */
  append(kind: string, piece: string | undefined): boolean {
    if (!piece) {
      return false;
    }
    this.text(kind, () => h("p", { class: kind })).appendData(piece);
    return true;
  }

  /** Appends to a tool call. */
  appendToCall(index: number, name: string | undefined, piece: string | undefined): void {
    const text = this.text(`call ${index}`, () => h("pre", { class: "code call" }));
    if (name) {
      text.parentElement?.before(h("p", {}, h("strong", {}, name)));
    }
    text.appendData(piece ?? "");
  }

  /** Shows the complete choice, one of `count`. */
  finish({ index, message, finishReason }: Choice, count: number, onContinue: (message: Message) => void): void {
    if (count > 1) {
      this.title.textContent = `Choice ${index + 1} of ${count}`;
    }
    this.title.append(" ", h("span", { class: "finish" }, reasonName(finishReason)));
    if (!message) {
      return;
    }
    const text = textOf(message);
    this.body.replaceChildren(
      ...(text ? [h("p", { class: "text" }, looksLikeJSON(text) ? pretty(text) : text)] : []),
      ...(message.refusal ? [h("p", { class: "refusal" }, message.refusal)] : []),
      ...(message.audio?.transcript ? [h("p", { class: "transcript" }, message.audio.transcript)] : []),
      ...(message.toolCalls.length > 0 ? [callList(message.toolCalls)] : []));
    if (!this.body.hasChildNodes()) {
      this.body.append(h("p", { class: "note" }, "Empty response."));
    }
    const calls = message.toolCalls.length;
    this.element.append(h("button", { type: "button", class: "continue", onclick: () => onContinue(message) },
      calls > 1 ? "Add tool results" : calls ? "Add tool result" : "Continue"));
  }

  private text(kind: string, make: () => HTMLElement): Text {
    let text = this.texts.get(kind);
    if (!text) {
      text = new Text();
      this.texts.set(kind, text);
      const element = make();
      element.append(text);
      this.body.append(element);
    }
    return text;
  }
}

const looksLikeJSON = (text: string): boolean => /^\s*\{/.test(text);

/** OpenAI's name of a finish reason. */
function reasonName(reason: FinishReason): string {
  return reason === FinishReason.UNSPECIFIED ? "" : (FinishReasonSchema.value[reason]?.localName.toLowerCase() ?? String(reason));
}

/** An element with all fields of an error. */
function failure(error: APIError): HTMLElement {
  const [detail] = error.cause.findDetails(ErrorSchema);
  const rows: [string, string | undefined][] = [
    ["type", error.type],
    ["code", error.code],
    ["param", error.param],
    ["HTTP status", error.status?.toString()],
    ["request ID", error.requestId],
    ["retry-after", error.retryAfterMs === undefined ? undefined : duration(error.retryAfterMs)],
    ["RPC code", Code[error.rpcCode]?.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase()],
    ["body", detail?.bodyExcerpt],
    ["other fields", detail?.extraJson],
  ];
  return h("article", { class: "failure" },
    h("h2", {}, "Request failed"),
    h("p", { class: "text" }, error.message),
    h("dl", {}, ...rows.flatMap(([name, value]) => (value ? [h("div", {}, h("dt", {}, name), h("dd", {}, value))] : []))));
}

/** What comes back: the answers as they are written, and what went wrong. */
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
import { duration } from "./meter.js";

/** The answers to one call. */
export class Answers {
  private readonly views = new Map<number, AnswerView>();

  /** @param proceed is given an answer's message when the conversation shall go on from it */
  constructor(
    private readonly list: HTMLElement,
    private readonly proceed: (message: Message) => void,
  ) {
    list.replaceChildren();
    // Screen readers wait until it is whole.
    list.setAttribute("aria-busy", "true");
  }

  /** Adds a piece. Returns whether there was something of an answer in it. */
  add(chunk: ChatCompletionChunk): boolean {
    let something = false;
    for (const { index, delta } of chunk.choices) {
      const view = this.view(index);
      something = view.append("text", delta?.content) || something;
      something = view.append("refusal", delta?.refusal) || something;
      something = view.append("transcript", delta?.audio?.transcript) || something;
      for (const call of delta?.toolCalls ?? []) {
        const { name, text } = call.custom ? { name: call.custom.name, text: call.custom.input } : { name: call.function?.name, text: call.function?.arguments };
        view.call(call.index ?? 0, name, text);
        something = true;
      }
    }
    return something;
  }

  /** Shows the whole, which can be gone on from. */
  finish(completion: ChatCompletion): void {
    for (const choice of completion.choices) {
      this.view(choice.index).finish(choice, completion.choices.length, this.proceed);
    }
    this.end();
  }

  /** Says why there is no more. */
  fail(error: APIError): void {
    this.list.append(failure(error));
    this.end();
  }

  /** No more comes. */
  end(): void {
    this.list.removeAttribute("aria-busy");
    for (const view of this.views.values()) {
      view.element.classList.remove("growing");
    }
  }

  private view(index: number): AnswerView {
    let view = this.views.get(index);
    if (!view) {
      view = new AnswerView(index);
      this.views.set(index, view);
      this.list.append(view.element);
    }
    return view;
  }
}

/** One answer. */
class AnswerView {
  readonly element: HTMLElement;
  private readonly title = h("h2", {}, "Answer");
  private readonly body = h("div", { class: "answer-body" });
  private readonly texts = new Map<string, Text>();

  constructor(index: number) {
    if (index > 0) {
      this.title.append(` ${index + 1}`);
    }
    this.element = h("article", { class: "answer growing" }, this.title, this.body);
  }

  /** Appends to the text of a kind. */
  append(kind: string, piece: string | undefined): boolean {
    if (!piece) {
      return false;
    }
    this.text(kind, () => h("p", { class: kind })).appendData(piece);
    return true;
  }

  /** Appends to a tool call. */
  call(index: number, name: string | undefined, piece: string | undefined): void {
    const text = this.text(`call ${index}`, () => h("pre", { class: "code call" }));
    if (name) {
      text.parentElement?.before(h("p", {}, h("strong", {}, name)));
    }
    text.appendData(piece ?? "");
  }

  /** Shows the whole of it, as one of so many. */
  finish({ index, message, finishReason }: Choice, count: number, proceed: (message: Message) => void): void {
    if (count > 1) {
      this.title.textContent = `Answer ${index + 1} of ${count}`;
    }
    this.title.append(" ", h("span", { class: "finish" }, ending(finishReason)));
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
      this.body.append(h("p", { class: "note" }, "The answer is empty."));
    }
    const calls = message.toolCalls.length;
    this.element.append(h("button", { type: "button", class: "proceed", onclick: () => proceed(message) },
      calls > 1 ? "Answer the calls" : calls ? "Answer the call" : "Go on from here"));
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

/** Why an answer ends, by OpenAI's word. */
function ending(reason: FinishReason): string {
  return reason === FinishReason.UNSPECIFIED ? "" : (FinishReasonSchema.value[reason]?.localName.toLowerCase() ?? String(reason));
}

/** What went wrong, with all that the API says about it. */
function failure(error: APIError): HTMLElement {
  const [detail] = error.cause.findDetails(ErrorSchema);
  const rows: [string, string | undefined][] = [
    ["type", error.type],
    ["code", error.code],
    ["param", error.param],
    ["HTTP status", error.status?.toString()],
    ["request id", error.requestId],
    ["retry after", error.retryAfterMs === undefined ? undefined : duration(error.retryAfterMs)],
    ["RPC code", Code[error.rpcCode]?.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase()],
    ["body", detail?.bodyExcerpt],
    ["more", detail?.extraJson],
  ];
  return h("article", { class: "failure" },
    h("h2", {}, "The call failed"),
    h("p", { class: "text" }, error.message),
    h("dl", {}, ...rows.flatMap(([name, value]) => (value ? [h("div", {}, h("dt", {}, name), h("dd", {}, value))] : []))));
}

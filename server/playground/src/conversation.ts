/** The messages of the request, as cards that can be edited and reordered. */
import { clone, create } from "@bufbuild/protobuf";

import { ContentPartSchema, type Message, MessageSchema, Role, type ToolCall } from "../../../client/typescript/src/index.js";
import { h, uniqueId } from "./dom.js";

/** The roles of messages, with OpenAI's names. */
export const roleNames: [Role, string][] = [
  [Role.DEVELOPER, "developer"],
  [Role.SYSTEM, "system"],
  [Role.USER, "user"],
  [Role.ASSISTANT, "assistant"],
  [Role.TOOL, "tool"],
];

/** The list of message cards. The order of the elements is the order of the messages. */
export class Conversation {
  private readonly cards = new Map<Element, Card>();

  /** @param onChange is called after every edit */
  constructor(
    private readonly list: HTMLElement,
    private readonly onChange: () => void,
  ) {
    list.addEventListener("input", onChange);
  }

  /** Appends a message. Returns its text field. */
  add(message: Message): HTMLTextAreaElement {
    const card = new Card(message, {
      onChange: this.onChange,
      move: (by) => this.move(card, by),
      remove: () => this.remove(card),
    });
    this.cards.set(card.element, card);
    this.list.append(card.element);
    this.renumber();
    return card.text;
  }

  /** Returns the current messages. */
  read(): Message[] {
    return this.ordered().map((card) => card.read());
  }

  private ordered(): Card[] {
    return [...this.list.children].flatMap((element) => this.cards.get(element) ?? []);
  }

  private move(card: Card, by: -1 | 1): void {
    const other = by < 0 ? card.element.previousElementSibling : card.element.nextElementSibling;
    if (other && by < 0) {
      other.before(card.element);
    } else if (other) {
      other.after(card.element);
    }
    this.renumber();
  }

  private remove(card: Card): void {
    const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
    this.cards.delete(card.element);
    card.element.remove();
    this.renumber();
    // Keyboard users keep their place on the page.
    (this.cards.get(next ?? this.list)?.text ?? document.getElementById("add-message"))?.focus();
  }

  /** Updates the accessible names of the cards. */
  private renumber(): void {
    const cards = this.ordered();
    for (const [index, card] of cards.entries()) {
      card.number(index + 1, cards.length);
    }
    this.onChange();
  }
}

interface Actions {
  onChange(): void;
  move(by: -1 | 1): void;
  remove(): void;
}

/** One message. Fields without a control keep their values. */
class Card {
  readonly element: HTMLLIElement;
  readonly text: HTMLTextAreaElement;
  private readonly role: HTMLSelectElement;
  private readonly callId: HTMLInputElement;
  private readonly up: HTMLButtonElement;
  private readonly down: HTMLButtonElement;
  private readonly removeButton: HTMLButtonElement;
  private readonly file: HTMLInputElement;
  private readonly images: HTMLUListElement;
  private readonly urls = new Map<Element, string>();
  private readonly error = h("p", { class: "field-error", role: "alert", hidden: true });
  private readonly base: Message;

  constructor(message: Message, private readonly actions: Actions) {
    this.base = clone(MessageSchema, message);
    this.role = h("select", { class: "role", onchange: () => this.roleChanged() },
      ...roleNames.map(([value, name]) => h("option", { value: String(value), selected: value === message.role }, name)));
    this.text = h("textarea", { rows: "2", class: "text", onpaste: (event: ClipboardEvent) => this.paste(event) });
    this.text.value = textOf(message);
    const callId = uniqueId();
    this.callId = h("input", { id: callId, class: "call-id", autocomplete: "off", spellcheck: "false" });
    this.callId.value = message.toolCallId ?? "";
    this.up = h("button", { type: "button", class: "icon", onclick: () => this.move(-1) }, "↑");
    this.down = h("button", { type: "button", class: "icon", onclick: () => this.move(1) }, "↓");
    this.removeButton = h("button", { type: "button", class: "icon", onclick: () => actions.remove() }, "✕");
    this.file = h("input", {
      type: "file", class: "visually-hidden", accept: "image/png,image/jpeg,image/webp,image/gif", multiple: true,
      onchange: () => void this.attach([...(this.file.files ?? [])]).then(() => (this.file.value = "")),
    });
    this.images = h("ul", { class: "images" });
    this.element = h("li", { class: "message" },
      h("div", { class: "message-head" }, this.role, h("span", { class: "grow" }),
        h("label", { class: "attach button" }, this.file, "Attach image"), this.up, this.down, this.removeButton),
      h("div", { class: "call-line" }, h("label", { for: callId }, "Tool call ID"), this.callId),
      this.text, this.images, this.error,
      ...(message.toolCalls.length > 0 ? [callList(message.toolCalls)] : []));
    this.roleChanged();
  }

  number(index: number, count: number): void {
    const name = `message ${index}`;
    this.role.setAttribute("aria-label", `Role of ${name}`);
    this.text.setAttribute("aria-label", `Text of ${name}`);
    this.file.setAttribute("aria-label", `Attach image to ${name}`);
    this.up.setAttribute("aria-label", `Move ${name} up`);
    this.down.setAttribute("aria-label", `Move ${name} down`);
    this.removeButton.setAttribute("aria-label", `Remove ${name}`);
    this.up.disabled = index === 1;
    this.down.disabled = index === count;
  }

  read(): Message {
    const message = clone(MessageSchema, this.base);
    message.role = Number(this.role.value);
    const text = this.text.value;
    const urls = [...this.images.children].flatMap((each) => this.urls.get(each) ?? []);
    if (urls.length === 0 && text === textOf(this.base) && message.contentParts.length > 0) {
      // Parts without a control, such as a model's reasoning, are sent unchanged.
    } else if (urls.length > 0) {
      message.contentParts = [
        ...(text ? [create(ContentPartSchema, { part: { case: "text", value: text } })] : []),
        ...urls.map((url) => create(ContentPartSchema, { part: { case: "imageUrl", value: { url } } })),
      ];
      delete message.content;
    } else if (text || (message.toolCalls.length === 0 && message.refusal === undefined)) {
      message.content = text;
      message.contentParts = [];
    } else {
      delete message.content;
    }
    if (message.role === Role.TOOL) {
      message.toolCallId = this.callId.value;
    } else {
      delete message.toolCallId;
    }
    return message;
  }

  private move(by: -1 | 1): void {
    this.actions.move(by);
    const pressed = by < 0 ? this.up : this.down;
    (pressed.disabled ? (by < 0 ? this.down : this.up) : pressed).focus();
  }

  private roleChanged(): void {
    this.element.dataset["role"] = this.role.selectedOptions[0]?.text ?? "";
  }

  private paste(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (files.length > 0 && Number(this.role.value) === Role.USER) {
      event.preventDefault();
      void this.attach(files);
    }
  }

  private async attach(files: File[]): Promise<void> {
    this.error.hidden = true;
    for (const file of files) {
      if (file.size > maxImageBytes) {
        this.error.textContent = `${file.name} is too large (${Math.ceil(file.size / mebibyte)} MB): the limit is ${maxImageBytes / mebibyte} MB.`;
        this.error.hidden = false;
        continue;
      }
      const url = await dataURL(file);
      const remove = h("button", { type: "button", class: "icon", "aria-label": `Remove image ${file.name}`, onclick: () => {
        item.remove();
        this.text.focus();
        this.actions.onChange();
      } }, "✕");
      const item = h("li", {}, h("img", { src: url, alt: file.name }), remove);
      this.urls.set(item, url);
      this.images.append(item);
    }
    this.actions.onChange();
  }
}

const mebibyte = 1 << 20;

/** The maximum size of an image. In base64 it fits into OpenAI's limit for a request, 50 MB. */
const maxImageBytes = 36 * mebibyte;

function dataURL(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("can't read the file"));
    reader.readAsDataURL(file);
  });
}

/** The text of a message, including its text parts. */
export function textOf(message: Message): string {
  return message.content ?? message.contentParts.map(({ part }) => (part.case === "text" ? part.value : "")).join("");
}

/** A list of tool calls, for messages and choices. */
export function callList(calls: ToolCall[]): HTMLUListElement {
  return h("ul", { class: "calls" }, ...calls.map(({ id, tool }) => {
    const [name, text] = tool.case === "function" ? [tool.value.name, tool.value.arguments]
      : tool.case === "custom" ? [tool.value.name, tool.value.input] : ["", ""];
    return h("li", {}, h("p", {}, h("strong", {}, name), " ", h("code", {}, id)), h("pre", { class: "code" }, pretty(text)));
  }));
}

/** Indents JSON. Other strings are returned unchanged. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The tools of the request, as cards that can be edited. */
import { create } from "@bufbuild/protobuf";

import { type Tool, ToolSchema } from "../../../client/typescript/src/index.js";
import { h, html, uniqueId } from "./dom.js";
import { type FieldErrors, jsonObject } from "./errors.js";

/** The content of a new tool: a working example. */
const example = {
  name: "get_weather",
  description: "Get the current weather in a city.",
  parameters: `{
  "type": "object",
  "properties": {"city": {"type": "string"}},
  "required": ["city"],
  "additionalProperties": false
}`,
};

/** The list of tools. */
export class Tools {
  private readonly cards = new Map<Element, Card>();

  /** @param onChange is called after every edit */
  constructor(
    private readonly list: HTMLElement,
    private readonly onChange: () => void,
  ) {
    list.addEventListener("input", onChange);
  }

  /** Adds a tool and focuses its name. */
  add(): void {
    const names = new Set([...this.cards.values()].map(({ name }) => name.value));
    let name = example.name;
    for (let number = 2; names.has(name); number++) {
      name = `${example.name}_${number}`;
    }
    const card = new Card(name, () => {
      this.cards.delete(card.element);
      card.element.remove();
      html("add-tool").focus();
      this.updateCount();
    });
    this.cards.set(card.element, card);
    this.list.append(card.element);
    this.updateCount();
    card.name.focus();
    card.name.select();
  }

  /** Returns the current tools. */
  read(errors: FieldErrors): Tool[] {
    return [...this.cards.values()].map((card) => card.read(errors));
  }

  private updateCount(): void {
    html("tool-count").textContent = this.cards.size > 0 ? String(this.cards.size) : "";
    this.onChange();
  }
}

/** One tool. */
class Card {
  readonly element: HTMLLIElement;
  readonly name: HTMLInputElement;
  private readonly description: HTMLInputElement;
  private readonly parameters: HTMLTextAreaElement;
  private readonly strict: HTMLInputElement;

  constructor(name: string, remove: () => void) {
    const [nameId, descriptionId, parametersId] = [uniqueId(), uniqueId(), uniqueId()];
    this.name = h("input", { id: nameId, value: name, autocomplete: "off", spellcheck: "false" });
    this.description = h("input", { id: descriptionId, value: example.description, autocomplete: "off" });
    this.parameters = h("textarea", { id: parametersId, class: "whole code", rows: "6", spellcheck: "false" });
    this.parameters.value = example.parameters;
    this.strict = h("input", { type: "checkbox", checked: true });
    this.element = h("li", { class: "fields" },
      h("label", { for: nameId }, "Name"), this.name,
      h("label", { for: descriptionId }, "Description"), this.description,
      h("label", { for: parametersId, class: "whole" }, "Parameters ", h("small", {}, "JSON Schema")), this.parameters,
      h("label", { class: "check" }, this.strict, " Strict"),
      h("button", { type: "button", onclick: remove }, "Remove tool"));
  }

  read(errors: FieldErrors): Tool {
    const description = this.description.value.trim();
    return create(ToolSchema, {
      tool: {
        case: "function",
        value: {
          name: this.name.value.trim(),
          ...(description && { description }),
          parametersJson: errors.read(this.parameters, jsonObject) ?? "",
          ...(this.strict.checked && { strict: true }),
        },
      },
    });
  }
}

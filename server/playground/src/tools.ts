/** The functions that the model may call, as cards that are written into. */
import { create } from "@bufbuild/protobuf";

import { type Tool, ToolSchema } from "../../../client/typescript/src/index.js";
import { freshId, h, html } from "./dom.js";
import { jsonObject, type Problems } from "./problems.js";

/** What a new tool begins as: something that works, to be written over. */
const example = {
  name: "get_weather",
  description: "Tells the weather at a place.",
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

  /** @param changed is called after every edit */
  constructor(
    private readonly list: HTMLElement,
    private readonly changed: () => void,
  ) {
    list.addEventListener("input", changed);
  }

  /** Adds a tool, and puts the caret into its name. */
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
      this.count();
    });
    this.cards.set(card.element, card);
    this.list.append(card.element);
    this.count();
    card.name.focus();
    card.name.select();
  }

  read(problems: Problems): Tool[] {
    return [...this.cards.values()].map((card) => card.read(problems));
  }

  private count(): void {
    html("tool-count").textContent = this.cards.size > 0 ? String(this.cards.size) : "";
    this.changed();
  }
}

class Card {
  readonly element: HTMLLIElement;
  readonly name: HTMLInputElement;
  private readonly description: HTMLInputElement;
  private readonly parameters: HTMLTextAreaElement;
  private readonly strict: HTMLInputElement;

  constructor(name: string, remove: () => void) {
    const [nameId, descriptionId, parametersId] = [freshId(), freshId(), freshId()];
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
      h("button", { type: "button", onclick: remove }, "Remove the tool"));
  }

  read(problems: Problems): Tool {
    const description = this.description.value.trim();
    return create(ToolSchema, {
      tool: {
        case: "function",
        value: {
          name: this.name.value.trim(),
          ...(description && { description }),
          parametersJson: problems.read(this.parameters, jsonObject) ?? "",
          ...(this.strict.checked && { strict: true }),
        },
      },
    });
  }
}

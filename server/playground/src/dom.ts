/** The few things that the page needs to make and find elements. */

type Value = string | boolean | undefined | ((event: never) => void);

/**
 * Makes an element. A property is an attribute (true: without a value; false
 * and undefined: none), or a listener if its name begins with "on".
 */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Record<string, Value> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      element.addEventListener(key.slice("on".length), value as EventListener);
    } else if (typeof value === "boolean") {
      element.toggleAttribute(key, value);
    } else if (value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...children);
  return element;
}

/** The element of the page with an id. */
export function find<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) {
    throw new TypeError(`the page has no ${type.name} with the id ${id}`);
  }
  return element;
}

export const input = (id: string): HTMLInputElement => find(id, HTMLInputElement);
export const select = (id: string): HTMLSelectElement => find(id, HTMLSelectElement);
export const area = (id: string): HTMLTextAreaElement => find(id, HTMLTextAreaElement);
export const button = (id: string): HTMLButtonElement => find(id, HTMLButtonElement);
export const html = (id: string): HTMLElement => find(id, HTMLElement);

/** An id that no other element has, for labels to refer to. */
export function freshId(): string {
  return `e${(lastId += 1)}`;
}

let lastId = 0;

/** Helpers to create and find elements. */

type Value = string | boolean | undefined | ((event: never) => void);

/**
 * Creates an element. A function is a listener, under a name such as `onclick`.
 * Other properties are attributes: true sets one without a value, and false and
 * undefined set none.
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

/** Returns the element with an ID, or throws if it is missing or of another type. */
export function find<T extends Element>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) {
    throw new TypeError(`no ${type.name} with the ID ${id}`);
  }
  return element;
}

export const input = (id: string): HTMLInputElement => find(id, HTMLInputElement);
export const select = (id: string): HTMLSelectElement => find(id, HTMLSelectElement);
export const area = (id: string): HTMLTextAreaElement => find(id, HTMLTextAreaElement);
export const button = (id: string): HTMLButtonElement => find(id, HTMLButtonElement);
export const html = (id: string): HTMLElement => find(id, HTMLElement);

/** Returns a unique element ID. */
export function uniqueId(): string {
  return `e${(lastId += 1)}`;
}

let lastId = 0;

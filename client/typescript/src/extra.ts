/** How many levels of objects and lists are merged. Deeper values replace each other, which bounds the time that nesting costs. */
const maxMergeDepth = 8;

/** Members whose string is complete each time. An empty one says nothing. */
const statements: ReadonlySet<string> = new Set(["role", "type", "id", "index", "object", "format", "name", "status", "url", "finish_reason"]);

/** Types of list items that are one text when they follow each other. */
const textTypes: ReadonlySet<string | undefined> = new Set(['"text"', '"thinking"', '"refusal"']);

/**
 * The members of an `extra_json`, from the pieces of a stream. Values are
 * merged as text and not parsed, since JavaScript's numbers and objects lose
 * digits and order.
 */
export class Extra {
  readonly #members = new Map<string, Value>();
  readonly #joins: boolean;
  readonly #depth: number;
  #only: string | undefined;

  /**
   * With `joins`, strings are appended, objects are merged, and lists are
   * appended as {@link List} says. Otherwise the last value wins, except null and
   * the empty string.
   */
  constructor(joins: boolean, depth = 0) {
    this.#joins = joins;
    this.#depth = depth;
  }

  /** Adds the text of a JSON object, or nothing if that is empty. Members for which `take` returns true are left out. */
  add(json: string, take?: (name: string, value: string) => boolean): void {
    if (json === "") {
      return;
    }
    let isWhole = this.#members.size === 0;
    for (const [name, value] of members(json)) {
      if (take?.(name, value) || (statements.has(name) && value === '""')) {
        isWhole = false;
      } else {
        this.set(name, value);
      }
    }
    this.#only = isWhole ? json : undefined;
  }

  /** Adds a piece of one member. */
  set(name: string, value: string): void {
    this.#only = undefined;
    const before = this.#members.get(name);
    if (!before || !(this.#joins || value === "null" || value === '""')) {
      this.#members.set(name, new Value(value, this.#depth));
    } else if (this.#joins) {
      before.add(value, statements.has(name));
    }
  }

  /** The text of a member's value. */
  get(name: string): string | undefined {
    return this.#members.get(name)?.toString();
  }

  /** The text of one JSON object without the named members, or nothing if there are none. */
  toString(...without: string[]): string {
    if (this.#only !== undefined && without.length === 0) {
      return this.#only;
    }
    const texts: string[] = [];
    for (const [name, value] of this.#members) {
      if (!without.includes(name)) {
        texts.push(`${JSON.stringify(name)}:${value.toString()}`);
      }
    }
    return texts.length === 0 ? "" : `{${texts.join(",")}}`;
  }
}

/** A JSON value that comes in pieces. */
class Value {
  /** The text of a value that is not merged. A string lacks its closing quote, so that appending to it does not copy it. */
  #text = "";
  #merged: Extra | List | undefined;
  readonly #depth: number;

  constructor(text: string, depth: number) {
    this.#depth = depth;
    this.#replace(text);
  }

  add(piece: string, isStatement: boolean): void {
    const kind = piece.charAt(0);
    if (kind === "n") {
      return; // A later piece says null where it has nothing to add.
    }
    if (kind !== this.#text.charAt(0) || (isStatement && kind === '"')) {
      this.#replace(piece);
    } else if (kind === '"') {
      this.#text += piece.slice(1, -1);
    } else if ((kind === "{" || kind === "[") && this.#depth < maxMergeDepth) {
      this.#merge(kind).add(piece);
    } else {
      this.#replace(piece);
    }
  }

  #replace(text: string): void {
    this.#text = text.startsWith('"') ? text.slice(0, -1) : text;
    this.#merged = undefined;
  }

  #merge(kind: string): Extra | List {
    if (!this.#merged) {
      this.#merged = kind === "{" ? new Extra(true, this.#depth + 1) : new List(this.#depth + 1);
      this.#merged.add(this.#text);
      this.#text = kind;
    }
    return this.#merged;
  }

  toString(): string {
    if (this.#merged) {
      return this.#merged.toString() || "{}";
    }
    return this.#text.startsWith('"') ? `${this.#text}"` : this.#text;
  }
}

/**
 * A JSON list that comes in pieces. An item continues the item of the same
 * `index` and type. An item of text without an index continues the text right
 * before it. All other items are new.
 */
export class List {
  readonly #items: { value: Value; type: string | undefined; isText: boolean }[] = [];
  readonly #places = new Map<string, number>();
  readonly #depth: number;

  constructor(depth = 0) {
    this.#depth = depth;
  }

  /** Adds the items of a list's text. */
  add(json: string): void {
    for (const item of items(json)) {
      this.#add(item);
    }
  }

  #add(piece: string): void {
    let index: string | undefined;
    let type: string | undefined;
    let isText = true;
    for (const [name, value] of members(piece)) {
      if (name === "index") {
        index = value;
      } else if (name === "type") {
        type = value;
      }
      isText &&= name === "type" || name === "text" || name === "thinking" || name === "refusal";
    }
    let place = this.#place(index, type, isText);
    const known = this.#items[place];
    if (known) {
      known.value.add(piece, false);
      known.type ??= type;
      known.isText &&= isText;
    } else {
      place = this.#items.push({ value: new Value(piece, this.#depth), type, isText }) - 1;
    }
    if (index !== undefined) {
      this.#places.set(index, place).set(index + type, place);
    }
  }

  /** The place of the item that a piece continues, or -1. */
  #place(index: string | undefined, type: string | undefined, isText: boolean): number {
    if (index === undefined) {
      const last = this.#items.at(-1);
      return last && last.isText && isText && last.type === type && textTypes.has(type) ? this.#items.length - 1 : -1;
    }
    const untyped = this.#places.get(index);
    const isUntyped = type === undefined || (untyped !== undefined && this.#items[untyped]?.type === undefined);
    return this.#places.get(index + type) ?? (isUntyped ? untyped : undefined) ?? -1;
  }

  /** The texts of the items. */
  texts(): string[] {
    return this.#items.map(({ value }) => value.toString());
  }

  toString(): string {
    return `[${this.texts().join(",")}]`;
  }
}

/** A string, a bracket or separator, or a number or name, of a text that is valid JSON. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** The members of an object: names, and the texts of their values. Other values have none. */
export function* members(object: string): Generator<[name: string, value: string], void, undefined> {
  if (!object.trimStart().startsWith("{")) {
    return;
  }
  let depth = 0;
  let name: string | undefined;
  let start = 0;
  for (const { 0: each, index } of object.matchAll(token)) {
    const atTop = depth === 1;
    if (each === "{" || each === "[") {
      depth++;
    } else if (each === "}" || each === "]") {
      depth--;
    }
    if (!atTop) {
      continue;
    }
    if (name === undefined && each.startsWith('"')) {
      name = JSON.parse(each) as string;
      start = 0;
    } else if (each === ":") {
      start = index + 1;
    } else if (name !== undefined && (each === "," || depth === 0)) {
      yield [name, object.slice(start, index).trim()];
      name = undefined;
    }
  }
}

/** The texts of a list's items. */
export function* items(list: string): Generator<string, void, undefined> {
  let depth = 0;
  let start = 0;
  for (const { 0: each, index } of list.matchAll(token)) {
    const atTop = depth === 1;
    if (each === "{" || each === "[") {
      depth++;
      start ||= index + 1;
    } else if (each === "}" || each === "]") {
      depth--;
    }
    if (atTop && (each === "," || depth === 0)) {
      const item = list.slice(start, index).trim();
      if (item !== "") {
        yield item;
      }
      start = index + 1;
    }
  }
}

/** The maximum depth at which objects and lists are merged. Deeper values replace each other, which bounds the cost of nesting. */
const maxMergeDepth = 8;

/** Fields whose string is complete each time. An empty string is ignored. */
const replacedFields: ReadonlySet<string> = new Set(["role", "type", "id", "index", "object", "format", "name", "status", "url", "finish_reason"]);

/** Types of list items that are joined when they are consecutive. */
const textTypes: ReadonlySet<string | undefined> = new Set(['"text"', '"thinking"', '"refusal"']);

/**
 * The fields of an `extra_json`, merged from the chunks of a stream. Values are
 * merged as encoded JSON, since JavaScript's numbers and objects lose digits and
 * order.
 */
export class Extra {
  readonly #fields = new Map<string, Value>();
  readonly #joins: boolean;
  readonly #depth: number;
  #unchanged: string | undefined;

  /**
   * With `joins`, strings are concatenated, objects are merged, and lists are
   * merged as described at {@link List}. Otherwise the last value wins, except null
   * and the empty string.
   */
  constructor(joins: boolean, depth = 0) {
    this.#joins = joins;
    this.#depth = depth;
  }

  /** Adds the fields of an encoded object, which may be empty. Fields for which `take` returns true are skipped. */
  add(json: string, take?: (name: string, value: string) => boolean): void {
    if (json === "") {
      return;
    }
    let isUnchanged = this.#fields.size === 0;
    for (const [name, value] of fields(json)) {
      if (take?.(name, value) || (replacedFields.has(name) && value === '""')) {
        isUnchanged = false;
      } else {
        this.set(name, value);
      }
    }
    this.#unchanged = isUnchanged ? json : undefined;
  }

  /** Adds a piece of a field. */
  set(name: string, value: string): void {
    this.#unchanged = undefined;
    const before = this.#fields.get(name);
    if (!before || !(this.#joins || value === "null" || value === '""')) {
      this.#fields.set(name, new Value(value, this.#depth));
    } else if (this.#joins) {
      before.add(value, replacedFields.has(name));
    }
  }

  /** Returns the encoded value of a field. */
  get(name: string): string | undefined {
    return this.#fields.get(name)?.toString();
  }

  /** Returns the encoded object without the given fields, or an empty string if no field is left. */
  toString(...except: string[]): string {
    if (this.#unchanged !== undefined && except.length === 0) {
      return this.#unchanged;
    }
    const fields: string[] = [];
    for (const [name, value] of this.#fields) {
      if (!except.includes(name)) {
        fields.push(`${JSON.stringify(name)}:${value.toString()}`);
      }
    }
    return fields.length === 0 ? "" : `{${fields.join(",")}}`;
  }
}

/** A JSON value that arrives in pieces. */
class Value {
  /** The encoded value unless it is merged. A string lacks its closing quote, so that appending does not copy it. */
  #text = "";
  #merged: Extra | List | undefined;
  readonly #depth: number;

  constructor(text: string, depth: number) {
    this.#depth = depth;
    this.#replace(text);
  }

  add(piece: string, replaces: boolean): void {
    const kind = piece.charAt(0);
    if (kind === "n") {
      return; // null adds nothing
    }
    if (kind !== this.#text.charAt(0) || (replaces && kind === '"')) {
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
 * A JSON list that arrives in pieces. An item continues the item with the same
 * `index` and type. A text item without an index continues a text item immediately
 * before it. All other items are appended.
 */
export class List {
  readonly #items: { value: Value; type: string | undefined; isText: boolean }[] = [];
  readonly #positions = new Map<string, number>();
  readonly #depth: number;

  constructor(depth = 0) {
    this.#depth = depth;
  }

  /** Adds the items of an encoded list. */
  add(json: string): void {
    for (const item of items(json)) {
      this.#add(item);
    }
  }

  #add(piece: string): void {
    let index: string | undefined;
    let type: string | undefined;
    let isText = true;
    for (const [name, value] of fields(piece)) {
      if (name === "index") {
        index = value;
      } else if (name === "type") {
        type = value;
      }
      isText &&= name === "type" || name === "text" || name === "thinking" || name === "refusal";
    }
    let position = this.#position(index, type, isText);
    const existing = this.#items[position];
    if (existing) {
      existing.value.add(piece, false);
      existing.type ??= type;
      existing.isText &&= isText;
    } else {
      position = this.#items.push({ value: new Value(piece, this.#depth), type, isText }) - 1;
    }
    if (index !== undefined) {
      this.#positions.set(index, position).set(index + type, position);
    }
  }

  /** Returns the position of the item that a piece continues, or -1. */
  #position(index: string | undefined, type: string | undefined, isText: boolean): number {
    if (index === undefined) {
      const last = this.#items.at(-1);
      return last && last.isText && isText && last.type === type && textTypes.has(type) ? this.#items.length - 1 : -1;
    }
    const untyped = this.#positions.get(index);
    const isUntyped = type === undefined || (untyped !== undefined && this.#items[untyped]?.type === undefined);
    return this.#positions.get(index + type) ?? (isUntyped ? untyped : undefined) ?? -1;
  }

  /** Returns the encoded items. */
  encodedItems(): string[] {
    return this.#items.map(({ value }) => value.toString());
  }

  toString(): string {
    return `[${this.encodedItems().join(",")}]`;
  }
}

/** A token of valid JSON: a string, a delimiter, a number or a literal. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** Returns the names and encoded values of an encoded object. Other values yield nothing. */
export function* fields(object: string): Generator<[name: string, value: string], void, undefined> {
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

/** Returns the encoded items of an encoded list. */
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

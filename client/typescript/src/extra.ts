/** Members that are said whole each time: they are among the unknown where their value is. */
const statements: ReadonlySet<string> = new Set(["role", "type"]);

/**
 * The members of an `extra_json`, from the pieces of a stream. Values are
 * joined as text and not parsed, since JavaScript's numbers and objects lose
 * digits and order.
 */
export class Extra {
  readonly #members = new Map<string, string>();
  readonly #joins: boolean;
  #only: string | undefined;

  /** With `joins`, a string is appended to the string before it. Else the last value wins, as it does for all that are no strings. */
  constructor(joins: boolean) {
    this.#joins = joins;
  }

  /** Adds the text of a JSON object, or nothing if that is empty. */
  add(json: string): void {
    if (json === "") {
      return;
    }
    this.#only = this.#members.size === 0 ? json : undefined;
    for (const [name, value] of members(json)) {
      const before = this.#members.get(name);
      // What comes later says null where it has nothing to add.
      if (before !== undefined && value === "null") {
        continue;
      }
      // A string is kept without the quote at its end.
      if (value.startsWith('"')) {
        const joins = this.#joins && !statements.has(name) && before?.startsWith('"');
        this.#members.set(name, joins ? before + value.slice(1, -1) : value.slice(0, -1));
      } else {
        this.#members.set(name, value);
      }
    }
  }

  /** The text of a member's value. */
  get(name: string): string | undefined {
    const value = this.#members.get(name);
    return value === undefined ? undefined : closed(value);
  }

  /** Takes a member out. */
  delete(name: string): void {
    this.#members.delete(name);
    this.#only = undefined;
  }

  /** The text of one JSON object, or nothing if there are no members. */
  toString(): string {
    if (this.#only !== undefined || this.#members.size === 0) {
      return this.#only ?? "";
    }
    const texts = Array.from(this.#members, ([name, value]) => `${JSON.stringify(name)}:${closed(value)}`);
    return `{${texts.join(",")}}`;
  }
}

/** A value's text, with the quote that a string lacks. */
function closed(value: string): string {
  return value.startsWith('"') ? `${value}"` : value;
}

/** A string, a bracket or separator, or a number or name, of a text that is valid JSON. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** The members of an object: names, and the texts of their values. */
function* members(object: string): Generator<[name: string, value: string], void, undefined> {
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

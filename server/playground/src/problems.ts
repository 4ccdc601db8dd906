/** What is wrong with what was written into a field, and where it is said. */

type Field = HTMLInputElement | HTMLTextAreaElement;

/** The fields that have a problem, in the order in which they were read. */
export class Problems {
  readonly fields: Field[] = [];

  /** @param show whether to say what is new; what is gone is taken back in any case */
  constructor(private readonly show: boolean) {}

  /** What a field means, or undefined if it is empty or parse throws. */
  read<T>(field: Field, parse: (text: string) => T): T | undefined {
    let result: T | undefined;
    let problem = "";
    const text = field.value.trim();
    if (text) {
      try {
        result = parse(text);
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
        this.fields.push(field);
      }
    }
    this.say(field, problem);
    return result;
  }

  /** What a field says, which has to be something. */
  need(field: Field, problem: string): string {
    const text = field.value.trim();
    if (!text) {
      this.fields.push(field);
    }
    this.say(field, text ? "" : problem);
    return text;
  }

  private say(field: Field, problem: string): void {
    const id = `${field.id}-problem`;
    const said = document.getElementById(id);
    if (!problem || (said === null && !this.show)) {
      said?.remove();
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      return;
    }
    const note = said ?? field.ownerDocument.createElement("p");
    note.id = id;
    note.className = "problem whole";
    note.textContent = problem;
    field.after(note);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
  }
}

/** Parses a number. Its range is the model's to judge. */
export function number(text: string): number {
  const result = Number(text);
  if (!Number.isFinite(result)) {
    throw new Error("This has to be a number, such as 0.7.");
  }
  return result;
}

/** Parses an integer of 32 bits. */
export function int32(text: string): number {
  if (!/^[+-]?\d+$/.test(text) || Number(text) !== (Number(text) | 0)) {
    throw new Error("This has to be a whole number of up to 32 bits.");
  }
  return Number(text);
}

/** Parses an integer of 64 bits. */
export function int64(text: string): bigint {
  if (!/^-?\d+$/.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw new Error("This has to be a whole number of up to 64 bits.");
  }
  return BigInt(text);
}

/** Checks that a text is one JSON object, and returns it as it is. */
export function jsonObject(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("This has to be a JSON object: {…}.");
  }
  return text;
}

/** Parses lines of `name: value`, as HTTP has them (RFC 9110 §5). */
export function headerLines(text: string): [string, string][] {
  return text.split("\n").filter((line) => line.trim()).map((line) => {
    const [, name, value] = /^\s*([!#$%&'*+\-.^_`|~\w]+)\s*:\s*([\x20-\x7e\t]*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Error(`“${line.trim()}” is no header: write name: value.`);
    }
    return [name.toLowerCase(), value];
  });
}

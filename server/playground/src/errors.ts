/** Validation of the page's fields. */

type Field = HTMLInputElement | HTMLTextAreaElement;

/** The errors found while reading the fields. */
export class FieldErrors {
  /** The invalid fields, in reading order. */
  readonly fields: Field[] = [];

  /** @param show whether to show new errors; errors already shown are always updated */
  constructor(private readonly show: boolean) {}

  /** Returns a field's parsed value, or undefined if the field is empty or `parse` throws. */
  read<T>(field: Field, parse: (text: string) => T): T | undefined {
    let result: T | undefined;
    let message = "";
    const text = field.value.trim();
    if (text) {
      try {
        result = parse(text);
      } catch (error) {
        message = error instanceof Error ? error.message : String(error);
        this.fields.push(field);
      }
    }
    this.update(field, message);
    return result;
  }

  /** Returns the text of a required field. */
  require(field: Field, message: string): string {
    const text = field.value.trim();
    if (!text) {
      this.fields.push(field);
    }
    this.update(field, text ? "" : message);
    return text;
  }

  private update(field: Field, message: string): void {
    const id = `${field.id}-error`;
    const shown = document.getElementById(id);
    if (!message || (shown === null && !this.show)) {
      shown?.remove();
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      return;
    }
    const note = shown ?? field.ownerDocument.createElement("p");
    note.id = id;
    note.className = "field-error whole";
    note.textContent = message;
    field.after(note);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
  }
}

/** Parses a number. The API checks its range. */
export function number(text: string): number {
  const result = Number(text);
  if (!Number.isFinite(result)) {
    throw new Error("Enter a number, such as 0.7.");
  }
  return result;
}

/** Parses a 32-bit integer. */
export function int32(text: string): number {
  if (!/^[+-]?\d+$/.test(text) || Number(text) !== (Number(text) | 0)) {
    throw new Error("Enter a 32-bit integer.");
  }
  return Number(text);
}

/** Parses a 64-bit integer. */
export function int64(text: string): bigint {
  if (!/^-?\d+$/.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) {
    throw new Error("Enter a 64-bit integer.");
  }
  return BigInt(text);
}

/** Checks that a string is a JSON object, and returns it unchanged. */
export function jsonObject(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Invalid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("Enter a JSON object: {…}.");
  }
  return text;
}

/** Parses header lines of the form `name: value` (RFC 9110 §5). */
export function headerLines(text: string): [string, string][] {
  return text.split("\n").filter((line) => line.trim()).map((line) => {
    const [, name, value] = /^\s*([!#$%&'*+\-.^_`|~\w]+)\s*:\s*([\x20-\x7e\t]*?)\s*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Error(`Invalid header “${line.trim()}”: use name: value.`);
    }
    return [name.toLowerCase(), value];
  });
}

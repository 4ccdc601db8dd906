/**
 * Returns an encoded JSON Schema. It throws a TypeError that names the option for an
 * object of a schema library such as Zod, at any depth: its JSON would be the
 * library's internals.
 */
export function schemaText(option: string, schema: unknown): string {
  if (typeof schema !== "function" && (!isObject(schema) || Array.isArray(schema))) {
    throw new TypeError(`${option} is ${Array.isArray(schema) ? "an array" : String(schema)}: want a JSON Schema as a plain object`);
  }
  return JSON.stringify(schema, function (this: Record<string, unknown>, key, value: unknown) {
    const original = this[key]; // before toJSON
    if (typeof original === "function" || (isObject(original) && !isPlain(original))) {
      const place = key === "" ? option : `${option} at ${JSON.stringify(key)}`;
      throw new TypeError(`${place} is an object of a schema library: pass its JSON Schema, with Zod z.toJSONSchema(schema)`);
    }
    return value;
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Whether an object is a literal or an array of any realm, and not of a Standard Schema library (https://standardschema.dev). */
function isPlain(object: object): boolean {
  if ("~standard" in object && isObject(object["~standard"])) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === null || Array.isArray(object) || Object.getPrototypeOf(prototype) === null;
}

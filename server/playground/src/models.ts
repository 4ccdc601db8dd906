/** Suggestions for the model field. */
import { h, html, input } from "./dom.js";

/** Suggests the upstream's models. A single model is entered into an empty field. */
export async function suggestModels(onChange: () => void): Promise<void> {
  const key = input("key").value.trim();
  let ids: string[];
  try {
    const response = await fetch(new URL("../v1/models", location.href), { headers: key ? { authorization: `Bearer ${key}` } : {} });
    const { data } = (await response.json()) as { data?: { id: string }[] };
    ids = (data ?? []).map(({ id }) => id).sort();
  } catch {
    return; // A model can be entered without suggestions.
  }
  html("models").replaceChildren(...ids.map((id) => h("option", { value: id })));
  const model = input("model");
  if (!model.value && ids[0] && ids.length === 1) {
    model.value = ids[0];
    onChange();
  }
}

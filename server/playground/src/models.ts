/** The models that the upstream has, to choose from. */
import { h, html, input } from "./dom.js";

/** Offers the upstream's models. If none is chosen and there is but one, it is that. */
export async function suggestModels(changed: () => void): Promise<void> {
  const key = input("key").value.trim();
  let ids: string[];
  try {
    const response = await fetch(new URL("../v1/models", location.href), { headers: key ? { authorization: `Bearer ${key}` } : {} });
    const { data } = (await response.json()) as { data?: { id: string }[] };
    ids = (data ?? []).map(({ id }) => id).sort();
  } catch {
    return; // They are suggestions: a model can be written without.
  }
  html("models").replaceChildren(...ids.map((id) => h("option", { value: id })));
  const model = input("model");
  if (!model.value && ids[0] && ids.length === 1) {
    model.value = ids[0];
    changed();
  }
}

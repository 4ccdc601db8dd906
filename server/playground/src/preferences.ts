/** What the page remembers, in this browser alone: the theme, and the key if it is asked to. */
import { input, select } from "./dom.js";

const themeName = "openai-connect.theme";
const keyName = "openai-connect.key";

/** Follows the switch of the theme, which else is the system's. */
export function rememberTheme(): void {
  const theme = select("theme");
  theme.value = storage()?.getItem(themeName) ?? "";
  const apply = (): void => {
    if (theme.value) {
      document.documentElement.dataset["theme"] = theme.value;
      storage()?.setItem(themeName, theme.value);
    } else {
      delete document.documentElement.dataset["theme"];
      storage()?.removeItem(themeName);
    }
  };
  theme.addEventListener("change", apply);
  apply();
}

/** Keeps the key while the box is checked. Without it the key ends with the page. */
export function rememberKey(changed: () => void): void {
  const key = input("key");
  const keep = input("keep-key");
  const kept = storage()?.getItem(keyName);
  key.value = kept ?? "";
  keep.checked = typeof kept === "string";
  const store = (): void => {
    if (keep.checked) {
      storage()?.setItem(keyName, key.value);
    } else {
      storage()?.removeItem(keyName);
    }
  };
  keep.addEventListener("change", store);
  key.addEventListener("input", store);
  key.addEventListener("change", changed);
}

/** The browser's storage, where the user allows it one. */
function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

/** Preferences saved in the browser: the theme and, on request, the API key. */
import { input, select } from "./dom.js";

const themeItem = "openai-connect.theme";
const keyItem = "openai-connect.key";

/** Applies and saves the theme. The default is the theme of the system. */
export function rememberTheme(): void {
  const theme = select("theme");
  theme.value = storage()?.getItem(themeItem) ?? "";
  const apply = (): void => {
    if (theme.value) {
      document.documentElement.dataset["theme"] = theme.value;
      storage()?.setItem(themeItem, theme.value);
    } else {
      delete document.documentElement.dataset["theme"];
      storage()?.removeItem(themeItem);
    }
  };
  theme.addEventListener("change", apply);
  apply();
}

/** Saves the API key while the checkbox is checked. Otherwise the key is lost with the page. */
export function rememberKey(onChange: () => void): void {
  const key = input("key");
  const remember = input("remember-key");
  const saved = storage()?.getItem(keyItem);
  key.value = saved ?? "";
  remember.checked = typeof saved === "string";
  const save = (): void => {
    if (remember.checked) {
      storage()?.setItem(keyItem, key.value);
    } else {
      storage()?.removeItem(keyItem);
    }
  };
  remember.addEventListener("change", save);
  key.addEventListener("input", save);
  key.addEventListener("change", onChange);
}

/** The browser's storage, unless the user disabled it. */
function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}

/** The call as code, in the language that is chosen, and what of it is shown and copied. */
import { button, html } from "./dom.js";
import { go } from "./code/go.js";
import { curl, grpcurl } from "./code/shell.js";
import { typescript } from "./code/typescript.js";
import type { Call } from "./settings.js";

/** A language, or a tool, that a call can be written for. */
interface Language {
  write: (call: Call) => string;
  /** What one has to know to run it. */
  note: (call: Call) => string;
}

const languages: Record<string, Language> = {
  "tab-curl": {
    write: curl,
    note: ({ stream }) => (stream
      ? "Connect frames its streams in binary, so curl asks for the same stream in OpenAI's own form."
      : "The typed call, as Connect JSON."),
  },
  "tab-grpcurl": { write: grpcurl, note: () => "The typed call over gRPC. The server describes the service by reflection." },
  "tab-go": { write: go, note: () => "Save it as main.go, then: go mod init example && go mod tidy && go run ." },
  "tab-typescript": { write: typescript, note: () => "Save it as main.mjs, then: npm install @openai-connect/client && node main.mjs" },
};

/** Shows the call as the code of a tab. */
export function showCode(call: Call, tab: string): void {
  const language = languages[tab];
  if (language) {
    html("code-note").textContent = `${language.note(call)}${call.hasKey ? " It takes the key from the environment: export API_KEY=…" : ""}`;
    show("code", language.write(call));
  }
}

/** What stands in a block, whole. On the page, a file in it is cut short. */
const texts = new Map<string, string>();

/** Puts a text into the block of an id. */
export function show(id: string, text: string): void {
  texts.set(id, text);
  html(id).textContent = text.replace(/(data:[\w/+.-]+;base64,[\w+/]{24})[\w+/=]{64,}/g, (whole, start: string) =>
    `${start}… (${Math.ceil(whole.length / 1024)} KB, copied whole)`);
}

/** Lets a block be copied by its button. */
export function makeCopyable(id: string): void {
  const copy = button(`copy-${id}`);
  let timer: ReturnType<typeof setTimeout> | undefined;
  copy.addEventListener("click", () => {
    void write(texts.get(id) ?? "").then(() => {
      copy.textContent = "Copied";
      html("status").textContent = "Copied to the clipboard.";
      clearTimeout(timer);
      timer = setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
  });
}

/** Writes to the clipboard, which pages without TLS can only by a selection. */
async function write(text: string): Promise<void> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text);
  }
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) {
    focused.focus();
  }
}

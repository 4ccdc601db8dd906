/** The code tabs and the copy buttons. */
import { button, html } from "./dom.js";
import { go } from "./code/go.js";
import { curl, grpcurl } from "./code/shell.js";
import { typescript } from "./code/typescript.js";
import type { Call } from "./settings.js";

/** The generator of a code tab. */
interface Generator {
  generate: (call: Call) => string;
  /** The instructions to run the code. */
  note: (call: Call) => string;
}

const generators: Record<string, Generator> = {
  "tab-curl": {
    generate: curl,
    note: ({ stream }) => (stream
      ? "curl can't decode Connect's binary stream, so this request uses OpenAI's REST API."
      : "The typed call with Connect JSON."),
  },
  "tab-grpcurl": { generate: grpcurl, note: () => "The typed call over gRPC. The server supports reflection." },
  "tab-go": { generate: go, note: () => "Save as main.go, then run: go mod init example && go mod tidy && go run ." },
  "tab-typescript": { generate: typescript, note: () => "Save as main.mjs, then run: npm install @openai-connect/client && node main.mjs" },
};

/** Shows the code of a tab for a call. */
export function showCode(call: Call, tab: string): void {
  const generator = generators[tab];
  if (generator) {
    html("code-note").textContent = `${generator.note(call)}${call.hasKey ? " Set the API key first: export API_KEY=…" : ""}`;
    show("code", generator.generate(call));
  }
}

/** The full text of each block. The page shows embedded files shortened. */
const texts = new Map<string, string>();

/** Shows text in a block. */
export function show(id: string, text: string): void {
  texts.set(id, text);
  html(id).textContent = text.replace(/(data:[\w/+.-]+;base64,[\w+/]{24})[\w+/=]{64,}/g, (url, start: string) =>
    `${start}… (${Math.ceil(url.length / 1024)} KB, copied in full)`);
}

/** Initializes the copy button of a block. */
export function initCopyButton(id: string): void {
  const copy = button(`copy-${id}`);
  let timer: ReturnType<typeof setTimeout> | undefined;
  copy.addEventListener("click", () => {
    void copyText(texts.get(id) ?? "").then(() => {
      copy.textContent = "Copied";
      html("status").textContent = "Copied to the clipboard.";
      clearTimeout(timer);
      timer = setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
  });
}

/** Writes to the clipboard. A page without TLS has to copy a selection. */
async function copyText(text: string): Promise<void> {
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

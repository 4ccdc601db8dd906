/** The page: what stands on it at first, and what its buttons and keys do. */
import { create } from "@bufbuild/protobuf";

import { type Message, MessageSchema, Role } from "../../../client/typescript/src/index.js";
import { run } from "./call.js";
import { makeCopyable, show, showCode } from "./code.js";
import { connectJSON } from "./code/shell.js";
import { Conversation } from "./conversation.js";
import { button, html } from "./dom.js";
import { suggestModels } from "./models.js";
import { rememberKey, rememberTheme } from "./preferences.js";
import { prepareSettings, readCall } from "./settings.js";
import { makeTabs } from "./tabs.js";
import { Tools } from "./tools.js";

const conversation = new Conversation(html("messages"), edited);
const tools = new Tools(html("tools"), edited);
let running: AbortController | undefined;
let language = "";
let pending = 0;

rememberTheme();
rememberKey(() => void suggestModels(edited));
prepareSettings();
conversation.add(say(Role.USER, "Hello!"));
makeTabs("views");
makeTabs("languages", (tab) => {
  language = tab.id;
  edited();
});
makeCopyable("request");
makeCopyable("code");
for (const event of ["input", "change"]) {
  document.addEventListener(event, edited);
}
button("add-message").addEventListener("click", () => conversation.add(say(Role.USER)).focus());
button("add-tool").addEventListener("click", () => tools.add());
button("send").addEventListener("click", () => void send());
button("cancel").addEventListener("click", cancel);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void send();
  } else if (event.key === "Escape" && running) {
    cancel();
  }
});
void suggestModels(edited);

/** Shows the call as it is now, once a frame. */
function edited(): void {
  pending ||= requestAnimationFrame(() => {
    pending = 0;
    const { call } = readCall(conversation.read(), tools, false);
    show("request", connectJSON(call.request));
    showCode(call, language);
  });
}

async function send(): Promise<void> {
  if (running) {
    return;
  }
  const { call, problems } = readCall(conversation.read(), tools, true);
  const [wrong] = problems.fields;
  if (wrong) {
    html("status").textContent = "Not sent: a field has to be put right first.";
    const details = wrong.closest("details");
    if (details) {
      details.open = true;
    }
    wrong.focus();
    return;
  }
  running = new AbortController();
  button("send").disabled = true;
  button("cancel").hidden = false;
  try {
    await run(call, running.signal, proceed);
  } finally {
    running = undefined;
    button("send").disabled = false;
    if (document.activeElement === button("cancel")) {
      button("send").focus();
    }
    button("cancel").hidden = true;
  }
}

function cancel(): void {
  running?.abort();
}

/** Goes on from an answer: with the results of the tools it calls, or the user's next word. */
function proceed(message: Message): void {
  html("answers").replaceChildren();
  html("status").textContent = "";
  conversation.add(message);
  const next = message.toolCalls.length > 0
    ? message.toolCalls.map(({ id }) => create(MessageSchema, { role: Role.TOOL, toolCallId: id }))
    : [say(Role.USER)];
  const [first] = next.map((each) => conversation.add(each));
  first?.focus();
}

function say(role: Role, content = ""): Message {
  return create(MessageSchema, { role, content });
}

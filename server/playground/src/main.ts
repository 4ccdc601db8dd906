/** The page: its initial content, its buttons and its keyboard shortcuts. */
import { create } from "@bufbuild/protobuf";

import { type Message, MessageSchema, Role } from "../../../client/typescript/src/index.js";
import { run } from "./call.js";
import { initCopyButton, show, showCode } from "./code.js";
import { connectJSON } from "./code/shell.js";
import { Conversation } from "./conversation.js";
import { button, html } from "./dom.js";
import { suggestModels } from "./models.js";
import { rememberKey, rememberTheme } from "./preferences.js";
import { prepareSettings, readCall } from "./settings.js";
import { initTabs } from "./tabs.js";
import { Tools } from "./tools.js";

const conversation = new Conversation(html("messages"), update);
const tools = new Tools(html("tools"), update);
let running: AbortController | undefined;
let language = "";
let pendingFrame = 0;

rememberTheme();
rememberKey(() => void suggestModels(update));
prepareSettings();
conversation.add(newMessage(Role.USER, "Hello!"));
initTabs("views");
initTabs("languages", (tab) => {
  language = tab.id;
  update();
});
initCopyButton("request");
initCopyButton("code");
for (const event of ["input", "change"]) {
  document.addEventListener(event, update);
}
button("add-message").addEventListener("click", () => conversation.add(newMessage(Role.USER)).focus());
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
void suggestModels(update);

/** Updates the request and its code, at most once per frame. */
function update(): void {
  pendingFrame ||= requestAnimationFrame(() => {
    pendingFrame = 0;
    const { call } = readCall(conversation.read(), tools, false);
    show("request", connectJSON(call.request));
    showCode(call, language);
  });
}

async function send(): Promise<void> {
  if (running) {
    return;
  }
  const { call, errors } = readCall(conversation.read(), tools, true);
  const [invalid] = errors.fields;
  if (invalid) {
    html("status").textContent = "Not sent: correct the highlighted field.";
    const details = invalid.closest("details");
    if (details) {
      details.open = true;
    }
    invalid.focus();
    return;
  }
  running = new AbortController();
  button("send").disabled = true;
  button("cancel").hidden = false;
  try {
    await run(call, running.signal, continueFrom);
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

/** Continues the conversation from a response, with the results of its tool calls or a user message. */
function continueFrom(message: Message): void {
  html("choices").replaceChildren();
  html("status").textContent = "";
  conversation.add(message);
  const next = message.toolCalls.length > 0
    ? message.toolCalls.map(({ id }) => create(MessageSchema, { role: Role.TOOL, toolCallId: id }))
    : [newMessage(Role.USER)];
  const [first] = next.map((each) => conversation.add(each));
  first?.focus();
}

function newMessage(role: Role, content = ""): Message {
  return create(MessageSchema, { role, content });
}

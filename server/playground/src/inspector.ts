/** The list of received messages. */
import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";

import { h, html } from "./dom.js";
import { duration } from "./stats.js";

/** The maximum number of messages shown. A long stream has thousands. */
const maxShown = 500;

/** Lists the messages of one response. */
export class Inspector {
  private readonly list = html("response");
  private count = 0;

  constructor() {
    this.list.replaceChildren();
    html("response-count").textContent = "";
    html("response-note").textContent = "Waiting for the first message.";
  }

  /** Adds a message received `at` milliseconds after the request. */
  add<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>, at: number): void {
    const isAtEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(h("li", {}, h("time", {}, duration(at)), h("span", {}, toJsonString(schema, message, { useProtoFieldName: true }))));
    this.count += 1;
    if (this.count > maxShown) {
      this.list.firstElementChild?.remove();
    }
    if (isAtEnd) {
      this.list.scrollTop = this.list.scrollHeight;
    }
    html("response-count").textContent = String(this.count);
    html("response-note").textContent = this.count > maxShown
      ? `Connect JSON, with the time since the request. Only the last ${maxShown} messages are shown.`
      : "Connect JSON, with the time since the request.";
  }

  /** Reports the end of a failed request. */
  end(): void {
    if (this.count === 0) {
      html("response-note").textContent = "No messages received.";
    }
  }
}

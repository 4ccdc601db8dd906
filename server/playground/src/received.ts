/** The messages of an answer, listed as they arrive. */
import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";

import { h, html } from "./dom.js";
import { duration } from "./meter.js";

/** How many messages are kept on the page: a long answer has thousands. */
const maxShown = 500;

/** The list of one answer's messages. */
export class Received {
  private readonly list = html("received");
  private count = 0;

  constructor() {
    this.list.replaceChildren();
    html("received-count").textContent = "";
    html("received-note").textContent = "Waiting for the first message.";
  }

  /** Lists a message that came at a time, in ms from the call. */
  add<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>, at: number): void {
    const follows = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(h("li", {}, h("time", {}, duration(at)), h("span", {}, toJsonString(schema, message, { useProtoFieldName: true }))));
    this.count += 1;
    if (this.count > maxShown) {
      this.list.firstElementChild?.remove();
    }
    if (follows) {
      this.list.scrollTop = this.list.scrollHeight;
    }
    html("received-count").textContent = String(this.count);
    html("received-note").textContent = this.count > maxShown
      ? `Each as Connect JSON, with the time since the call. The last ${maxShown} are listed.`
      : "Each as Connect JSON, with the time since the call.";
  }

  /** Says that the call has ended without one. */
  end(): void {
    if (this.count === 0) {
      html("received-note").textContent = "No message came.";
    }
  }
}

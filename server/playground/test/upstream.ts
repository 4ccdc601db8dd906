/** An upstream that keeps what it is asked, and has one answer to all of it. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** What it says. */
export const said = "Said by the upstream.";

/** A call as it has received it. */
export interface Received {
  body: { stream?: boolean; tools?: unknown[]; messages: { role: string }[] };
  /** The body's own text: numbers lose digits when they are parsed. */
  text: string;
  headers: IncomingHttpHeaders;
}

/** An upstream that runs. */
export interface Upstream {
  readonly url: string;
  /** The calls that it has received since it was last asked. */
  take(): Received[];
  close(): void;
}

/** Starts one. Where it is offered tools, and none has answered yet, it calls one. */
export async function startUpstream(): Promise<Upstream> {
  let received: Received[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      if (request.method !== "POST") {
        response.writeHead(404).end();
        return;
      }
      const text = Buffer.concat(pieces).toString();
      const body = JSON.parse(text) as Received["body"];
      received.push({ body, text, headers: request.headers });
      const calls = body.tools && !body.messages.some(({ role }) => role === "tool");
      const tool_calls = [{ id: "call_1", index: 0, type: "function", function: { name: "get_weather", arguments: '{"city":"Köln"}' } }];
      const message = { role: "assistant", ...(calls ? { tool_calls } : { content: said }) };
      const whole = { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m" };
      if (body.stream) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        const choices = [{ index: 0, delta: message, finish_reason: calls ? "tool_calls" : "stop" }];
        response.end(`data: ${JSON.stringify({ ...whole, object: "chat.completion.chunk", choices })}\n\ndata: [DONE]\n\n`);
      } else {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ ...whole, choices: [{ index: 0, message, finish_reason: "stop" }] }));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = received;
      received = [];
      return taken;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

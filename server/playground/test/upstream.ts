/** An upstream that records requests and sends a fixed reply. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** The content of the reply. */
export const reply = "Reply from the upstream.";

/** A received request. */
export interface Received {
  body: { stream?: boolean; tools?: unknown[]; messages: { role: string }[] };
  /** The body's text. Parsed numbers lose digits. */
  text: string;
  headers: IncomingHttpHeaders;
}

/** A running upstream. */
export interface Upstream {
  readonly url: string;
  /** Returns and forgets the received requests. */
  take(): Received[];
  close(): void;
}

/** Starts an upstream. It calls a tool if the request has tools and no tool result. */
export async function startUpstream(): Promise<Upstream> {
  let received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (request.method !== "POST") {
        response.writeHead(404).end();
        return;
      }
      const text = Buffer.concat(chunks).toString();
      const body = JSON.parse(text) as Received["body"];
      received.push({ body, text, headers: request.headers });
      const calls = body.tools && !body.messages.some(({ role }) => role === "tool");
      const tool_calls = [{ id: "call_1", index: 0, type: "function", function: { name: "get_weather", arguments: '{"city":"Köln"}' } }];
      const message = { role: "assistant", ...(calls ? { tool_calls } : { content: reply }) };
      const base = { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m" };
      if (body.stream) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        const choices = [{ index: 0, delta: message, finish_reason: calls ? "tool_calls" : "stop" }];
        response.end(`data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices })}\n\ndata: [DONE]\n\n`);
      } else {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ ...base, choices: [{ index: 0, message, finish_reason: "stop" }] }));
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

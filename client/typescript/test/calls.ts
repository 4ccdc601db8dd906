import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";

import { APIError, ChatService, Role } from "../src/index.js";

/** The outcome of a call, as a JSON value that a browser page can return. */
export interface Outcome {
  /** The error's code. Undefined after success. */
  code?: string;
  /** The error's message. */
  message?: string;
  /** The headers of the response or of the error. */
  headers: Record<string, string>;
}

/** The calls made by the header tests. */
export type Call = "unary" | "stream" | "read";

/** Makes a call with additional request headers. */
export async function makeCall(transport: Transport, call: Call, headers: Record<string, string>): Promise<Outcome> {
  const client = createClient(ChatService, transport);
  const request = { model: "sandbox", messages: [{ role: Role.USER, content: "Hello!" }] };
  let received = new Headers();
  const options = { headers, onHeader: (header: Headers) => void (received = header) };
  try {
    switch (call) {
      case "unary":
        await client.createChatCompletion(request, options);
        break;
      case "stream":
        for await (const chunk of client.streamChatCompletion(request, options)) {
          void chunk;
        }
        break;
      case "read":
        await client.listChatCompletions({}, options);
        break;
    }
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return { code: Code[error.code] ?? String(error.code), message: error.rawMessage, headers: Object.fromEntries(APIError.from(error).headers) };
  }
  return { headers: Object.fromEntries(received) };
}

/** The call as commands of a shell, with the request as a here-document, which takes any size and no escapes. */
import { toJsonString } from "@bufbuild/protobuf";

import { type CreateChatCompletionRequest, CreateChatCompletionRequestSchema } from "../../../../client/typescript/src/index.js";
import type { Call } from "../settings.js";
import { restBody } from "./rest.js";

/** The request as Connect JSON, with the names of OpenAI. */
export function connectJSON(request: CreateChatCompletionRequest): string {
  return toJsonString(CreateChatCompletionRequestSchema, request, { useProtoFieldName: true, prettySpaces: 2 });
}

/** A curl command. Connect's streams are framed in binary, so that a stream is asked for in OpenAI's own form. */
export function curl(call: Call): string {
  const [path, body] = call.stream
    ? ["/v1/chat/completions", restBody(call.request)]
    : ["/openaiconnect.chat.v1.ChatService/CreateChatCompletion", connectJSON(call.request)];
  return here([
    `curl ${call.stream ? "-N " : ""}${word(call.baseUrl + path)}`,
    "-H 'content-type: application/json'",
    ...headers(call),
    "-d @-",
  ], body);
}

/** A grpcurl command. The server tells it the service by reflection. */
export function grpcurl(call: Call): string {
  const { protocol, hostname, port } = new URL(call.baseUrl);
  const plain = protocol === "http:";
  return here([
    `grpcurl${plain ? " -plaintext" : ""}`,
    ...headers(call),
    `-d @ ${word(`${hostname}:${port || (plain ? "80" : "443")}`)} openaiconnect.chat.v1.ChatService/${call.stream ? "StreamChatCompletion" : "CreateChatCompletion"}`,
  ], connectJSON(call.request));
}

/** The key is in a variable of the environment. */
function headers({ headers, hasKey }: Call): string[] {
  return [
    ...(hasKey ? ['-H "authorization: Bearer $API_KEY"'] : []),
    ...headers.map(([name, value]) => `-H ${word(`${name}: ${value}`)}`),
  ];
}

function here(lines: string[], body: string): string {
  return `${lines.join(" \\\n  ")} <<'JSON'\n${body}\nJSON\n`;
}

/** A word of the shell, in quotes if it needs them. */
function word(text: string): string {
  return /^[\w./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

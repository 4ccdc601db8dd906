/** Generates shell commands. The request is a here-document, which has no size limit and needs no escapes. */
import { toJsonString } from "@bufbuild/protobuf";

import { type CreateChatCompletionRequest, CreateChatCompletionRequestSchema } from "../../../../client/typescript/src/index.js";
import type { Call } from "../settings.js";
import { restBody } from "./rest.js";

/** Returns the request as Connect JSON, with OpenAI's field names. */
export function connectJSON(request: CreateChatCompletionRequest): string {
  return toJsonString(CreateChatCompletionRequestSchema, request, { useProtoFieldName: true, prettySpaces: 2 });
}

/** Returns a curl command. Streams use OpenAI's REST API, because Connect streams have binary frames. */
export function curl(call: Call): string {
  const [path, body] = call.stream
    ? ["/v1/chat/completions", restBody(call.request)]
    : ["/openaiconnect.chat.v1.ChatService/CreateChatCompletion", connectJSON(call.request)];
  return heredoc([
    `curl ${call.stream ? "-N " : ""}${quote(call.baseUrl + path)}`,
    "-H 'content-type: application/json'",
    ...headers(call),
    "-d @-",
  ], body);
}

/** Returns a grpcurl command, which uses server reflection. */
export function grpcurl(call: Call): string {
  const { protocol, hostname, port } = new URL(call.baseUrl);
  const plain = protocol === "http:";
  return heredoc([
    `grpcurl${plain ? " -plaintext" : ""}`,
    ...headers(call),
    `-d @ ${quote(`${hostname}:${port || (plain ? "80" : "443")}`)} openaiconnect.chat.v1.ChatService/${call.stream ? "StreamChatCompletion" : "CreateChatCompletion"}`,
  ], connectJSON(call.request));
}

/** Returns the header flags. The API key comes from an environment variable. */
function headers({ headers, hasKey }: Call): string[] {
  return [
    ...(hasKey ? ['-H "authorization: Bearer $API_KEY"'] : []),
    ...headers.map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
  ];
}

function heredoc(lines: string[], body: string): string {
  return `${lines.join(" \\\n  ")} <<'JSON'\n${body}\nJSON\n`;
}

/** Quotes a shell word if necessary. */
function quote(text: string): string {
  return /^[\w./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

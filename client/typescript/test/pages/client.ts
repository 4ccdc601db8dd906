import { APIError, ChatCompletionSchema, OpenAIConnect, tool, user } from "../../src/index.js";
import { toJsonString } from "@bufbuild/protobuf";

/** The protocols of the client with the fetch transport. */
export type Protocol = "connect" | "grpc-web";

/** The fields of an error that a page can return. */
export interface Failure {
  status: number | undefined;
  code: string | undefined;
  requestId: string | undefined;
  retryAfterMs: number | undefined;
  isCanceled: boolean;
}

const hello = { model: "sandbox", messages: [user("Hello!")] };

/** The text of a response. */
export async function create(baseUrl: string, protocol: Protocol): Promise<string | undefined> {
  const completion = await new OpenAIConnect({ baseUrl, protocol, apiKey: "sk-test" }).chat.create(hello);
  return completion.choices[0]?.message?.content;
}

/** The chunks of a stream, and whether they add up to the unary completion. */
export async function stream(baseUrl: string, protocol: Protocol): Promise<{ pieces: string[]; equal: boolean }> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  const pieces: string[] = [];
  const stream = chat.stream({ ...hello, streamOptions: { includeUsage: true } });
  for await (const chunk of stream) {
    pieces.push(chunk.choices[0]?.delta?.content ?? "");
  }
  const [whole, unary] = [await stream.completion(), await chat.create(hello)];
  delete whole.created;
  delete unary.created;
  return { pieces, equal: toJsonString(ChatCompletionSchema, whole) === toJsonString(ChatCompletionSchema, unary) };
}

/** The number of chunks received by a loop that breaks after the first chunk of a stalling stream. */
export async function leave(baseUrl: string, protocol: Protocol): Promise<number> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  let pieces = 0;
  for await (const chunk of chat.stream(hello, { headers: { "x-sandbox-fault": "stall", "x-sandbox-after": "1" } })) {
    pieces += chunk.choices.length;
    break;
  }
  return pieces;
}

/** The error of a call rejected by the API. */
export function refused(baseUrl: string, protocol: Protocol): Promise<Failure> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol, maxRetries: 0 });
  return failure(chat.create(hello, { headers: { "x-sandbox-status": "429" } }));
}

/** The error messages of a call and a stream that exceed the client's limit. */
export async function limited(baseUrl: string, protocol: Protocol): Promise<string[]> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol, maxMessageBytes: 10 });
  const calls = await Promise.allSettled([chat.create(hello), chat.stream(hello).completion()]);
  return calls.map((call) => (call.status === "rejected" ? String(call.reason) : "no error"));
}

/** The error of a call aborted by its signal. */
export function canceled(baseUrl: string, protocol: Protocol): Promise<Failure> {
  const controller = new AbortController();
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  const call = chat.create(hello, { signal: controller.signal, headers: { "x-sandbox-fault": "hang" } });
  controller.abort();
  return failure(call);
}

/** The number of attempts of a call to an unreachable server. */
export async function unreachable(protocol: Protocol): Promise<number> {
  let tries = 0;
  const counting: typeof fetch = (input, init) => {
    tries++;
    return fetch(input, init);
  };
  const { chat } = new OpenAIConnect({ baseUrl: "http://127.0.0.1:1", protocol, fetch: counting, maxRetries: 1 });
  await failure(chat.create(hello));
  return tries;
}

/** The text of a response that needs a tool. */
export async function tools(baseUrl: string, protocol: Protocol): Promise<string | undefined> {
  const weather = tool({ name: "get_weather", run: () => ({ celsius: 21 }) });
  const { completion } = await new OpenAIConnect({ baseUrl, protocol }).chat.runTools(hello, [weather]);
  return completion.choices[0]?.message?.content;
}

async function failure(call: Promise<unknown>): Promise<Failure> {
  try {
    await call;
  } catch (error) {
    if (error instanceof APIError) {
      const { status, code, requestId, retryAfterMs, isCanceled } = error;
      return { status, code, requestId, retryAfterMs, isCanceled };
    }
    throw error;
  }
  throw new Error("the call succeeded");
}

import { APIError, ChatCompletionSchema, OpenAIConnect, tool, user } from "../../src/index.js";
import { toJsonString } from "@bufbuild/protobuf";

/** The protocols of the client with fetch. */
export type Protocol = "connect" | "grpc-web";

/** The fields of an error, as a JSON value. */
export interface Failure {
  status: number | undefined;
  code: string | undefined;
  requestId: string | undefined;
  retryAfterMs: number | undefined;
  isCanceled: boolean;
}

const hello = { model: "sandbox", messages: [user("Hello!")] };

/** Returns the content of a completion. */
export async function create(baseUrl: string, protocol: Protocol): Promise<string | undefined> {
  const completion = await new OpenAIConnect({ baseUrl, protocol, apiKey: "sk-test" }).chat.create(hello);
  return completion.choices[0]?.message?.content;
}

/** Returns the content of each chunk, and whether the accumulated completion equals the unary one. */
export async function stream(baseUrl: string, protocol: Protocol): Promise<{ contents: string[]; equal: boolean }> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  const contents: string[] = [];
  const stream = chat.stream({ ...hello, streamOptions: { includeUsage: true } });
  for await (const chunk of stream) {
    contents.push(chunk.choices[0]?.delta?.content ?? "");
  }
  const [streamed, unary] = [await stream.completion(), await chat.create(hello)];
  delete streamed.created;
  delete unary.created;
  return { contents, equal: toJsonString(ChatCompletionSchema, streamed) === toJsonString(ChatCompletionSchema, unary) };
}

/** Leaves a stalled stream after its first chunk. Returns the number of choices received. */
export async function breakOut(baseUrl: string, protocol: Protocol): Promise<number> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  let choices = 0;
  for await (const chunk of chat.stream(hello, { headers: { "x-sandbox-fault": "stall", "x-sandbox-after": "1" } })) {
    choices += chunk.choices.length;
    break;
  }
  return choices;
}

/** Returns the error of a rate-limited call. */
export function rateLimited(baseUrl: string, protocol: Protocol): Promise<Failure> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol, maxRetries: 0 });
  return failure(chat.create(hello, { headers: { "x-sandbox-status": "429" } }));
}

/** Returns the error messages of a unary response and a stream above maxMessageBytes. */
export async function limited(baseUrl: string, protocol: Protocol): Promise<string[]> {
  const { chat } = new OpenAIConnect({ baseUrl, protocol, maxMessageBytes: 10 });
  const calls = await Promise.allSettled([chat.create(hello), chat.stream(hello).completion()]);
  return calls.map((call) => (call.status === "rejected" ? String(call.reason) : "no error"));
}

/** Returns the error of an aborted call. */
export function canceled(baseUrl: string, protocol: Protocol): Promise<Failure> {
  const controller = new AbortController();
  const { chat } = new OpenAIConnect({ baseUrl, protocol });
  const call = chat.create(hello, { signal: controller.signal, headers: { "x-sandbox-fault": "hang" } });
  controller.abort();
  return failure(call);
}

/** Returns the number of attempts to call an unreachable server. */
export async function unreachable(protocol: Protocol): Promise<number> {
  let attempts = 0;
  const counting: typeof fetch = (input, init) => {
    attempts++;
    return fetch(input, init);
  };
  const { chat } = new OpenAIConnect({ baseUrl: "http://127.0.0.1:1", protocol, fetch: counting, maxRetries: 1 });
  await failure(chat.create(hello));
  return attempts;
}

/** Returns the content of a completion after a tool call. */
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

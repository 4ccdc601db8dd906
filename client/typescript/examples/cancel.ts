import { APIError, OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const controller = new AbortController();
const completion = client.chat.create(
  { model: "sandbox", messages: [user("Hello!")] },
  { signal: controller.signal, headers: { "x-sandbox-delay": "1h" } },
);
controller.abort();
await completion.catch((error) => console.log(error instanceof APIError && error.isCanceled));

import OpenAI, { APIUserAbortError } from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const controller = new AbortController();
const completion = client.chat.completions.create(
  { model: "sandbox", messages: [{ role: "user", content: "Hello!" }] },
  { signal: controller.signal, headers: { "x-sandbox-delay": "1h" } },
);
controller.abort();
await completion.catch((error) => console.log(error instanceof APIUserAbortError));

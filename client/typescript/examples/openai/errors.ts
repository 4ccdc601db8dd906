import OpenAI, { APIError } from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none", maxRetries: 1 });
const headers = { "x-sandbox-status": "500" }; // the sandbox fails each time
try {
  const messages = [{ role: "user" as const, content: "Hello!" }];
  await client.chat.completions.create({ model: "sandbox", messages }, { headers });
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  console.log(error.status, error.type, error.code ?? undefined, error.requestID?.slice(0, 4));
}

import { APIError, OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080", maxRetries: 1 });
const headers = { "x-sandbox-status": "500" }; // the sandbox fails each time
try {
  await client.chat.create({ model: "sandbox", messages: [user("Hello!")] }, { headers });
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  console.log(error.status, error.type, error.code, error.requestId?.slice(0, 4));
}

import { OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const completion = await client.chat.create(
  { model: "sandbox", messages: [user("Hello!")], extraJson: JSON.stringify({ top_k: 40 }) },
  { headers: { "x-sandbox-unknown": "accept" } }, // the sandbox returns the parameter
);
console.log(JSON.parse(completion.extraJson).top_k);

import { OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const completion = await client.chat.create({
  model: "sandbox",
  messages: [user("Hello!")],
});
console.log(completion.choices[0]?.message?.content);

import { OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
for (const question of ["One?", "Two?", "Three?"]) {
  await client.chat.create({ model: "sandbox", messages: [user(question)], store: true });
}
for await (const completion of client.chat.list({ limit: 2 })) {
  console.log(completion.choices[0]?.message?.content);
}

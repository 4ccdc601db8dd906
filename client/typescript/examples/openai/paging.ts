import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
for (const question of ["One?", "Two?", "Three?"]) {
  const messages = [{ role: "user" as const, content: question }];
  await client.chat.completions.create({ model: "sandbox", messages, store: true });
}
for await (const completion of client.chat.completions.list({ limit: 2 })) {
  console.log(completion.choices[0]?.message.content);
}

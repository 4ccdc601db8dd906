import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "system", content: "Be brief." }];
for (const question of ["Who are you?", "And who am I?"]) {
  messages.push({ role: "user", content: question });
  const completion = await client.chat.completions.create({ model: "sandbox", messages });
  const reply = completion.choices[0]!.message;
  messages.push(reply);
  console.log(reply.content);
}

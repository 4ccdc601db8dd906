import { OpenAIConnect, system, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const messages = [system("Be brief.")];
for (const question of ["Who are you?", "And who am I?"]) {
  messages.push(user(question));
  const completion = await client.chat.create({ model: "sandbox", messages });
  const reply = completion.choices[0]!.message!;
  messages.push(reply);
  console.log(reply.content);
}

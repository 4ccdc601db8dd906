import { readFile } from "node:fs/promises";
import { image, OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const picture = await readFile("picture.png");
const completion = await client.chat.create({
  model: "sandbox",
  messages: [user("What is this?", image(picture, "image/png"))],
});
console.log(completion.choices[0]?.message?.content, completion.usage?.promptTokens);

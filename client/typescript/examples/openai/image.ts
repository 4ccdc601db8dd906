import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const picture = await readFile("picture.png");
const url = `data:image/png;base64,${picture.toString("base64")}`;
const completion = await client.chat.completions.create({
  model: "sandbox",
  messages: [
    {
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url } },
      ],
    },
  ],
});
console.log(completion.choices[0]?.message.content, completion.usage?.prompt_tokens);

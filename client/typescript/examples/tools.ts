import { OpenAIConnect, tool, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const weather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  run: ({ city }: { city: string }) => ({ city, celsius: 21 }),
});
const { completion } = await client.chat.runTools(
  { model: "sandbox", messages: [user("How is the weather in Lisbon?")] },
  [weather],
);
console.log(completion.choices[0]?.message?.content);

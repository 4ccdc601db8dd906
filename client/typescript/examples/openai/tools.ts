import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const runner = client.chat.completions.runTools({
  model: "sandbox",
  messages: [{ role: "user", content: "How is the weather in Lisbon?" }],
  tools: [
    {
      type: "function",
      function: {
        name: "get_weather",
        description: "The weather in a city.",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        parse: JSON.parse as (args: string) => { city: string },
        function: ({ city }: { city: string }) => ({ city, celsius: 21 }),
      },
    },
  ],
});
console.log(await runner.finalContent());

import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const completion = await client.chat.completions.create(
  // @ts-expect-error: the types don't know it
  { model: "sandbox", messages: [{ role: "user", content: "Hello!" }], top_k: 40 },
  { headers: { "x-sandbox-unknown": "accept" } }, // the sandbox returns the parameter
);
console.log((completion as unknown as { top_k: number }).top_k);

import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://127.0.0.1:8080/v1", apiKey: "none" });
const schema = {
  type: "object",
  properties: { name: { type: "string" }, guests: { type: "integer" } },
  required: ["name", "guests"],
  additionalProperties: false,
};
const completion = await client.chat.completions.create({
  model: "sandbox",
  messages: [{ role: "user", content: "A party for ten." }],
  response_format: { type: "json_schema", json_schema: { name: "event", schema, strict: true } },
});
const { content, refusal } = completion.choices[0]!.message;
if (refusal || !content) throw new Error(refusal ?? "no output");
const value = JSON.parse(content) as { name: string; guests: number };
console.log(value.name, value.guests);

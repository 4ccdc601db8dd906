import { OpenAIConnect, user } from "@openai-connect/client";

const client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });
const schema = {
  type: "object",
  properties: { name: { type: "string" }, guests: { type: "integer" } },
  required: ["name", "guests"],
  additionalProperties: false,
};
const { value } = await client.chat.createAs<{ name: string; guests: number }>(
  { model: "sandbox", messages: [user("A party for ten.")] },
  { name: "event", schema },
);
console.log(value.name, value.guests);

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { Code, ConnectError, createClient } from "@connectrpc/connect";

import { APIError, ChatService, ErrorSchema, FinishReason, Role } from "../src/index.js";
import { noServer, type Server, startServer } from "./server.js";
import { transports } from "./transports.js";

suite("ChatService with the sandbox", { skip: noServer }, () => {
  let server: Server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  for (const [name, transport] of transports) {
    suite(name, () => {
      const hello = { model: "sandbox", messages: [{ role: Role.USER, content: "Hello!" }] };
      const client = () => createClient(ChatService, transport(server.url));

      test("continues a conversation with the returned message", async () => {
        const first = await client().createChatCompletion(hello);
        const message = first.choices[0]?.message;
        assert.ok(message);
        assert.match(message.content ?? "", /Hello!/);
        assert.equal(first.choices[0]?.finishReason, FinishReason.STOP);

        const second = await client().createChatCompletion({
          model: "sandbox",
          messages: [...hello.messages, message, { role: Role.USER, content: "And goodbye!" }],
        });
        assert.match(second.choices[0]?.message?.content ?? "", /goodbye!/);
      });

      test("a stream has the text of the completion", async () => {
        const completion = await client().createChatCompletion(hello);
        let text = "";
        for await (const chunk of client().streamChatCompletion(hello)) {
          text += chunk.choices[0]?.delta?.content ?? "";
        }
        assert.equal(text, completion.choices[0]?.message?.content);
      });

      test("an error contains OpenAI's error", async () => {
        const call = client().createChatCompletion(hello, { headers: { "x-sandbox-status": "429" } });
        await assert.rejects(call, (thrown) => {
          const error = ConnectError.from(thrown);
          assert.equal(error.code, Code.ResourceExhausted);
          assert.equal(APIError.from(error).headers.get("retry-after"), "1");
          const [detail] = error.findDetails(ErrorSchema);
          assert.equal(detail?.code, "rate_limit_exceeded");
          assert.equal(detail?.httpStatus, 429);
          return true;
        });
      });
    });
  }
});

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, suite, test } from "node:test";

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

import { ChatService, ErrorSchema, FinishReason, Role } from "../src/index.js";

/** The server's command, which `make test` builds. */
const command = process.env["OPENAI_CONNECT_COMMAND"];

suite("ChatService over the sandbox", { skip: command ? false : "OPENAI_CONNECT_COMMAND names no server to run: use make test" }, () => {
  let server: ChildProcess;
  let baseUrl: string;

  before(async () => {
    server = spawn(command ?? "", ["--upstream", "sandbox", "--listen", "127.0.0.1:0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    baseUrl = await listening(server);
  });

  after(async () => {
    const exited = new Promise((resolve) => server.once("exit", resolve));
    server.kill();
    await exited;
  });

  const transports: [string, (baseUrl: string) => Transport][] = [
    ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
    ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
    ["Connect JSON", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
    ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
    ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ];
  for (const [name, transport] of transports) {
    suite(name, () => {
      const hello = { model: "sandbox", messages: [{ role: Role.USER, content: "Hello!" }] };
      const client = () => createClient(ChatService, transport(baseUrl));

      test("a completion continues the conversation as it is", async () => {
        const first = await client().createChatCompletion(hello);
        const reply = first.choices[0]?.message;
        assert.ok(reply);
        assert.match(reply.content ?? "", /Hello!/);
        assert.equal(first.choices[0]?.finishReason, FinishReason.STOP);

        const second = await client().createChatCompletion({
          model: "sandbox",
          messages: [...hello.messages, reply, { role: Role.USER, content: "And goodbye!" }],
        });
        assert.match(second.choices[0]?.message?.content ?? "", /goodbye!/);
      });

      test("a stream's pieces make the completion's text", async () => {
        const whole = await client().createChatCompletion(hello);
        let text = "";
        for await (const chunk of client().streamChatCompletion(hello)) {
          text += chunk.choices[0]?.delta?.content ?? "";
        }
        assert.equal(text, whole.choices[0]?.message?.content);
      });

      test("an error carries OpenAI's own", async () => {
        const call = client().createChatCompletion(hello, { headers: { "x-sandbox-status": "429" } });
        await assert.rejects(call, (thrown) => {
          const error = ConnectError.from(thrown);
          assert.equal(error.code, Code.ResourceExhausted);
          assert.equal(error.metadata.get("retry-after"), "1");
          const [detail] = error.findDetails(ErrorSchema);
          assert.equal(detail?.code, "rate_limit_exceeded");
          assert.equal(detail?.httpStatus, 429);
          return true;
        });
      });
    });
  }
});

/** The base URL that a server prints at its start. */
async function listening(server: ChildProcess): Promise<string> {
  assert.ok(server.stdout);
  for await (const line of createInterface(server.stdout)) {
    const url = /listens on (http:\S+)/.exec(line)?.[1];
    if (url) {
      server.stdout.resume();
      return url;
    }
  }
  throw new Error("the server ended before it listened");
}

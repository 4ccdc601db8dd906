import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type NetConnectOpts } from "node:net";
import { after, before, suite, test } from "node:test";

import OpenAI from "openai";
import type { OpenAIRealtimeEmitter } from "openai/realtime/internal-base";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { type ClientOptions, WebSocket, WebSocketServer } from "ws";

import { noServer, type Server, startServer } from "./server.js";

const key = "ek_test";

/** The SDK always connects with wss://. The tested server has no TLS. */
const withoutTLS: ClientOptions = {
  createConnection: (options: NetConnectOpts) => connect(options),
} as ClientOptions;

/** A WebSocket with the constructor of browsers. */
class BrowserWebSocket extends WebSocket {
  constructor(url: string, protocols: string[]) {
    super(url, protocols, withoutTLS);
  }
}

/** A session of the upstream. */
interface Session {
  readonly upgrade: IncomingMessage;
  readonly closed: Promise<unknown[]>;
}

/** Creates an upstream with a few events of the Realtime API. */
function createRealtime(): { upstream: ReturnType<typeof createServer>; sessions: Session[] } {
  const upstream = createServer();
  const sessions: Session[] = [];
  const sockets = new WebSocketServer({
    server: upstream,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => (offered.has("realtime") ? "realtime" : false),
  });
  sockets.on("connection", (socket, request) => {
    const send = (event: object) => socket.send(JSON.stringify(event));
    sessions.push({ upgrade: request, closed: once(socket, "close") });
    socket.on("message", (message) => {
      const event = JSON.parse(message.toString()) as { type: string; session?: object };
      switch (event.type) {
        case "session.update":
          return send({ type: "session.updated", session: event.session });
        case "response.create":
          for (const delta of ["Hel", "lo", "!"]) {
            send({ type: "response.output_text.delta", delta });
          }
          return send({ type: "response.done", response: { status: "completed" } });
        case "response.cancel":
          return socket.close(4000, "session_expired");
        default:
          return send({ type: "error", error: { type: "invalid_request_error", code: "unknown_event", message: event.type } });
      }
    });
    send({ type: "session.created", session: { type: "realtime" } });
  });
  return { upstream, sessions };
}

suite("the official SDK's Realtime client", { skip: noServer }, () => {
  const { upstream, sessions } = createRealtime();
  let server: Server;
  let client: OpenAI;

  before(async () => {
    upstream.listen(0, "127.0.0.1").unref();
    await once(upstream, "listening");
    server = await startServer("--upstream", `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: key });
    Object.assign(globalThis, { WebSocket: BrowserWebSocket });
  });

  after(async () => {
    await server.stop();
    upstream.close();
  });

  const model = "gpt-realtime";
  const variants: [name: string, open: () => OpenAIRealtimeEmitter & { socket: unknown; close: OpenAIRealtimeWS["close"]; send: OpenAIRealtimeWS["send"] }][] = [
    ["on Node.js", () => new OpenAIRealtimeWS({ model, options: withoutTLS }, client)],
    ["in a browser", () => new OpenAIRealtimeWebSocket({ model }, client)],
  ];
  for (const [name, open] of variants) {
    test(`exchanges events ${name}`, async () => {
      const realtime = open();
      const next = (type: Parameters<typeof realtime.once>[0]) => realtime.emitted(type);
      await next("session.created");
      const session = sessions.pop();
      assert.ok(session);
      const { upgrade } = session;
      assert.equal(upgrade.url, `/v1/realtime?model=${model}`);
      assert.match(upgrade.headers["sec-websocket-extensions"] ?? "", /permessage-deflate/);
      if (name === "on Node.js") {
        assert.equal(upgrade.headers.authorization, `Bearer ${key}`);
      } else {
        assert.equal(upgrade.headers["sec-websocket-protocol"], `realtime,openai-insecure-api-key.${key}`);
        assert.equal((realtime.socket as WebSocket).protocol, "realtime");
      }

      const instructions = "Be brief. ".repeat(10_000);
      const updated = next("session.updated");
      realtime.send({ type: "session.update", session: { type: "realtime", instructions } });
      assert.deepEqual(await updated, { type: "session.updated", session: { type: "realtime", instructions } });

      const deltas: string[] = [];
      realtime.on("response.output_text.delta", (event) => deltas.push(event.delta));
      const done = next("response.done");
      realtime.send({ type: "response.create" });
      await done;
      assert.equal(deltas.join(""), "Hello!");

      const failed = next("error");
      realtime.send({ type: "input_audio_buffer.clear" });
      assert.match(String(await failed), /code=unknown_event/);

      const closed = once(realtime.socket as WebSocket, "close");
      realtime.close({ code: 1000, reason: "that's all" });
      assert.equal((await closed)[0], 1000);
      assert.deepEqual((await session.closed).map(String), ["1000", "that's all"]);
    });

    test(`receives the upstream's close code ${name}`, async () => {
      const realtime = open();
      await realtime.emitted("session.created");
      const closed = once(realtime.socket as WebSocket, "close");
      realtime.send({ type: "response.cancel" });
      assert.deepEqual((await closed).map(String), ["4000", "session_expired"]);
    });
  }

  test("receives close code 1001 when the server shuts down", async () => {
    const realtime = new OpenAIRealtimeWS({ model, options: withoutTLS }, client);
    await realtime.emitted("session.created");
    const closed = once(realtime.socket, "close");
    await server.stop();
    assert.deepEqual((await closed).map(String), ["1001", "the server is shutting down"]);
  });
});

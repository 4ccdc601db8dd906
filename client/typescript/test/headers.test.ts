import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, suite, test } from "node:test";

import { type Call, makeCall } from "./calls.js";
import { assertRateLimited, assertReadable } from "./expect.js";
import { noServer, type Server, startServer } from "./server.js";
import { http1, transports } from "./transports.js";

suite("response headers on Node.js", { skip: noServer }, () => {
  let server: Server;

  before(async () => {
    server = await startServer();
  });

  after(() => server.stop());

  for (const [name, transport] of transports) {
    for (const call of ["unary", "stream", "read"] satisfies Call[]) {
      test(`${name}: ${call}`, async () => {
        const outcome = await makeCall(transport(server.url), call, {});
        assert.equal(outcome.code, undefined);
        assertReadable(outcome);
      });

      test(`${name}: error to ${call}`, async () => {
        assertRateLimited(await makeCall(transport(server.url), call, { "x-sandbox-status": "429" }));
      });
    }
  }
});

suite("a large response header on Node.js", { skip: noServer }, () => {
  const upstream = createServer((request, response) => {
    response.setHeader("x-large", "x".repeat(Number(request.headers["x-size"])));
    response.setHeader("content-type", "application/json");
    response.end('{"object": "list", "data": []}');
  });
  let server: Server;

  before(async () => {
    upstream.listen(0, "127.0.0.1").unref();
    await once(upstream, "listening");
    server = await startServer("--upstream", `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  });

  after(async () => {
    await server.stop();
    upstream.close();
  });

  for (const [name, transport] of transports) {
    test(`${name}: 8 KB`, async () => {
      const outcome = await makeCall(transport(server.url), "read", { "x-size": "8192" });
      assert.equal(outcome.code, undefined);
      assert.equal(outcome.headers["x-large"]?.length, 8192);
    });

    // The default limit of Node.js for HTTP/1.1 headers is 16 KB (--max-http-header-size).
    test(`${name}: 60 KB`, async () => {
      const outcome = await makeCall(transport(server.url), "read", { "x-size": "60000" });
      if (http1.has(name)) {
        assert.equal(outcome.code, "Internal");
        assert.match(outcome.message ?? "", /header overflow/i);
      } else {
        assert.equal(outcome.code, undefined);
        assert.equal(outcome.headers["x-large"]?.length, 60000);
      }
    });
  }
});

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { type Browser, noBrowser, type Page, startBrowser } from "./browser.js";
import type { Protocol } from "./pages/client.js";
import { noServer, type Server, startServer } from "./server.js";

const reply = 'This is the sandbox: no model, no key, no network. You said: "Hello!"';

suite("the client in a page of another origin", { skip: noServer || noBrowser }, () => {
  let server: Server;
  let browser: Browser;
  let page: Page<typeof import("./pages/client.js")>;

  before(async () => {
    [server, browser] = await Promise.all([startServer(), startBrowser()]);
    page = await browser.open(new URL("./pages/client.js", import.meta.url));
  });

  after(() => Promise.all([browser.close(), server.stop()]));

  for (const protocol of ["connect", "grpc-web"] satisfies Protocol[]) {
    suite(protocol, () => {
      test("creates a completion", async () => {
        assert.equal(await page.call("create", server.url, protocol), reply);
      });

      test("streams a completion equal to the unary one", async () => {
        const { contents, equal } = await page.call("stream", server.url, protocol);
        assert.equal(contents.join(""), reply);
        assert.ok(contents.length > 10);
        assert.ok(equal);
      });

      test("can leave a stream early", async () => {
        assert.equal(await page.call("breakOut", server.url, protocol), 1);
      });

      test("throws an API error", async () => {
        const { requestId, ...failure } = await page.call("rateLimited", server.url, protocol);
        assert.deepEqual(failure, { status: 429, code: "rate_limit_exceeded", retryAfterMs: 1000, isCanceled: false });
        assert.match(requestId ?? "", /^req_/);
      });

      test("rejects responses above maxMessageBytes", async () => {
        for (const message of await page.call("limited", server.url, protocol)) {
          assert.match(message, /^APIError: .* the client's limit of 10 bytes: raise maxMessageBytes$/);
        }
      });

      test("a signal aborts a call", async () => {
        assert.equal((await page.call("canceled", server.url, protocol)).isCanceled, true);
      });

      test("retries an unreachable server", async () => {
        assert.equal(await page.call("unreachable", protocol), 2);
      });

      test("runs tools", async () => {
        assert.match((await page.call("tools", server.url, protocol)) ?? "", /celsius/);
      });
    });
  }
});

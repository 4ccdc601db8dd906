import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { type Browser, noBrowser, type Page, startBrowser } from "./browser.js";
import type { Protocol } from "./pages/client.js";
import { noServer, type Server, startServer } from "./server.js";

const said = 'This is the sandbox: no model, no key, no network. You said: "Hello!"';

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
      test("a completion", async () => {
        assert.equal(await page.call("create", server.url, protocol), said);
      });

      test("a stream, equal to the completion", async () => {
        const { pieces, equal } = await page.call("stream", server.url, protocol);
        assert.equal(pieces.join(""), said);
        assert.ok(pieces.length > 10);
        assert.ok(equal);
      });

      test("breaking out of a loop", async () => {
        assert.equal(await page.call("leave", server.url, protocol), 1);
      });

      test("an error", async () => {
        const { requestId, ...failure } = await page.call("refused", server.url, protocol);
        assert.deepEqual(failure, { status: 429, code: "rate_limit_exceeded", retryAfterMs: 1000, isCanceled: false });
        assert.match(requestId ?? "", /^req_/);
      });

      test("responses beyond the client's limit", async () => {
        for (const message of await page.call("limited", server.url, protocol)) {
          assert.match(message, /^APIError: .* the client's limit of 10 bytes: raise maxMessageBytes$/);
        }
      });

      test("a call aborted by its signal", async () => {
        assert.equal((await page.call("canceled", server.url, protocol)).isCanceled, true);
      });

      test("an unreachable server", async () => {
        assert.equal(await page.call("unreachable", protocol), 2);
      });

      test("tools", async () => {
        assert.match((await page.call("tools", server.url, protocol)) ?? "", /celsius/);
      });
    });
  }
});

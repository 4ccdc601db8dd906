import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { type Browser, noBrowser, type Page, startBrowser } from "./browser.js";
import type { Call } from "./calls.js";
import { assertRateLimited, assertReadable } from "./expect.js";
import { noServer, type Server, startServer } from "./server.js";
import type { TransportName } from "./pages/headers.js";

type Headers = Page<typeof import("./pages/headers.js")>;

const rateLimited = { "x-sandbox-status": "429" };
const body = { model: "sandbox", messages: [{ role: "user", content: "Hello!" }] };

suite("a page of another origin", { skip: noServer || noBrowser }, () => {
  let browser: Browser;
  let page: Headers;

  before(async () => {
    browser = await startBrowser();
    page = await browser.open(new URL("./pages/headers.js", import.meta.url));
  });

  after(() => browser.close());

  for (const [name, flags] of [
    ["any origin", () => []],
    ["its own origin", () => ["--cors-origin", `http://localhost:1,${page.origin}`]],
  ] satisfies [string, () => string[]][]) {
    suite(`on a server that allows ${name}`, () => {
      let server: Server;

      before(async () => {
        server = await startServer(...flags());
      });

      after(() => server.stop());

      for (const transport of ["Connect", "Connect JSON", "Connect GET", "gRPC-Web"] satisfies TransportName[]) {
        for (const call of ["unary", "stream", "read"] satisfies Call[]) {
          test(`reads the headers of a response: ${transport}, ${call}`, async () => {
            const outcome = await page.call("typed", transport, server.url, call, { authorization: "Bearer sk-test" });
            assert.equal(outcome.code, undefined, outcome.message);
            assertReadable(outcome);
          });

          test(`reads the headers of an error: ${transport}, ${call}`, async () => {
            assertRateLimited(await page.call("typed", transport, server.url, call, rateLimited));
          });
        }
      }

      for (const stream of [false, true]) {
        test(`reads the headers of a raw ${stream ? "stream" : "completion"}`, async () => {
          const response = await page.call("raw", server.url, { ...body, stream }, { "x-stainless-lang": "js" });
          assert.equal(response.status, 200);
          assert.match(response.text, stream ? /\[DONE\]\n\n$/ : /Hello!/);
          assertReadable(response);
        });

        test(`reads the headers of an error to a raw ${stream ? "stream" : "completion"}`, async () => {
          const response = await page.call("raw", server.url, { ...body, stream }, rateLimited);
          assert.equal(response.status, 429);
          assertRateLimited({ code: "ResourceExhausted", ...response });
        });
      }
    });
  }

  suite("on a server with an unreachable upstream", () => {
    let server: Server;

    before(async () => {
      server = await startServer("--upstream", "http://127.0.0.1:1");
    });

    after(() => server.stop());

    test("reads the error of a typed call", async () => {
      const outcome = await page.call("typed", "Connect", server.url, "unary", {});
      assert.equal(outcome.code, "Unavailable");
      assert.match(outcome.message ?? "", /could not connect/);
    });

    test("reads the error of a raw request", async () => {
      const response = await page.call("raw", server.url, body, {});
      assert.equal(response.status, 502);
      assert.match(response.text, /could not connect/);
    });
  });

  for (const origin of ["none", "http://localhost:1"]) {
    suite(`on a server with --cors-origin ${origin}`, () => {
      let server: Server;

      before(async () => {
        server = await startServer("--cors-origin", origin);
      });

      after(() => server.stop());

      test("can't read the response of a typed call", async () => {
        const outcome = await page.call("typed", "Connect", server.url, "unary", {});
        assert.match(outcome.message ?? "", /Failed to fetch/);
        assert.deepEqual(outcome.headers, {});
      });

      test("can't read the response of a raw request", async () => {
        await assert.rejects(page.call("raw", server.url, body, {}), /Failed to fetch/);
      });
    });
  }
});

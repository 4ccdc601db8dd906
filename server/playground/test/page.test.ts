import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";

import type { Browser, BrowserContextOptions } from "playwright-core";

import { noServer, type Server, startServer } from "../../../client/typescript/test/server.js";
import { noBrowser, openPlayground, type Playground, startBrowser } from "./browser.js";

suite("the playground's page", { skip: noServer || noBrowser }, () => {
  let server: Server;
  let browser: Browser;

  before(async () => {
    [server, browser] = await Promise.all([startServer(), startBrowser()]);
  });
  after(async () => {
    await browser.close();
    await server.stop();
  });

  /** Runs a test on a new page. */
  async function withPage(options: BrowserContextOptions, run: (playground: Playground) => Promise<void>): Promise<void> {
    const playground = await openPlayground(browser, server.url, options);
    try {
      await run(playground);
    } finally {
      await playground.close();
    }
  }

  test("contacts no other host and violates no policy", () =>
    withPage({}, async ({ page, urls, errors, send, copy }) => {
      await page.getByLabel("Attach image to message 1").setInputFiles({ name: "a.gif", mimeType: "image/gif", buffer: Buffer.from("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=", "base64") });
      await page.locator("#theme").selectOption("dark");
      await send();
      await page.locator("#tab-code").click();
      await copy("#copy-code");
      assert.deepEqual(errors, []);
      assert.deepEqual(urls.filter((url) => !url.startsWith(`${server.url}/`) && !url.startsWith("data:")), []);
      assert.ok(!urls.some((url) => url.endsWith("/favicon.ico")), "the browser requested the default icon");
    }));

  test("runs no script or style from message text", () =>
    withPage({}, async ({ page, errors, message, send, choices }) => {
      const text = `<img src=x onerror="document.title='bad'"><style>body{display:none}</style>`;
      await message(1).fill(text);
      await send();
      assert.ok((await choices().textContent())?.includes(text));
      assert.match(await page.title(), /^Playground/);
      assert.deepEqual(errors, []);
      // The policy also blocks an injected script.
      await page.evaluate(() => {
        const script = document.createElement("script");
        script.setAttribute("src", "data:text/javascript,document.title='bad'");
        document.body.append(script);
      }).catch(() => undefined);
      assert.match(await page.title(), /^Playground/);
      assert.ok(errors.length > 0);
    }));

  const background = (playground: Playground): Promise<string> => playground.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

  for (const scheme of ["light", "dark"] as const) {
    const other = scheme === "dark" ? "light" : "dark";
    test(`follows a ${scheme} system theme until the user selects and saves ${other}`, () =>
      withPage({ colorScheme: scheme }, async (playground) => {
        const dark = (color: string): boolean => Number(/\d+/.exec(color)?.[0]) < 128;
        assert.equal(dark(await background(playground)), scheme === "dark");
        await playground.page.getByLabel("Theme").selectOption(other);
        assert.equal(dark(await background(playground)), other === "dark");
        await playground.page.reload();
        assert.equal(dark(await background(playground)), other === "dark");
        await playground.page.getByLabel("Theme").selectOption("System");
        assert.equal(dark(await background(playground)), scheme === "dark");
      }));
  }

  test("fits a 360-pixel phone with all sections open", () =>
    withPage({ viewport: { width: 360, height: 740 }, hasTouch: true }, async ({ page, setHeaders, send }) => {
      for (const summary of ["Parameters", "Response format", "Tools"]) {
        await page.getByText(summary, { exact: true }).click();
      }
      await page.locator("#format").selectOption("jsonSchema");
      await page.getByRole("button", { name: "Add tool" }).click();
      await setHeaders("x-sandbox-status: 400");
      await send();
      await page.locator("#tab-code").click();
      for (const language of ["curl", "grpcurl", "go", "typescript"]) {
        await page.locator(`#tab-${language}`).click();
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, language);
      }
    }));

  test("keeps the API key in memory unless told to remember it", () =>
    withPage({}, async ({ page, urls }) => {
      const stored = (): Promise<string> => page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
      await page.getByLabel("API key").fill("sk-secret");
      assert.doesNotMatch(await stored(), /sk-secret/);
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "");

      await page.getByLabel("API key").fill("sk-secret");
      await page.getByLabel("Remember in this browser").check();
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "sk-secret");
      assert.equal(await page.getByLabel("Remember in this browser").isChecked(), true);

      await page.getByLabel("Remember in this browser").uncheck();
      assert.doesNotMatch(await stored(), /sk-secret/);
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "");
      assert.ok(!urls.some((url) => url.includes("sk-secret")));
    }));

  test("sends the API key without displaying it", () =>
    withPage({}, async ({ page, send, copy }) => {
      await page.getByLabel("API key").fill("sk-secret");
      const call = page.waitForRequest(/ChatService/);
      await send();
      assert.equal((await call).headers()["authorization"], "Bearer sk-secret");
      await page.locator("#tab-code").click();
      for (const language of ["curl", "grpcurl", "go", "typescript"]) {
        await page.locator(`#tab-${language}`).click();
        assert.match(await copy("#copy-code"), /API_KEY/, language);
      }
      assert.doesNotMatch(await page.content(), /sk-secret/);
    }));

  test("every control has an accessible name, and the Tab key follows the layout", () =>
    withPage({}, async ({ page }) => {
      for (const summary of ["Response format", "Tools", "Advanced"]) {
        await page.getByText(summary, { exact: true }).click();
      }
      await page.getByRole("button", { name: "Add tool" }).click();
      const unnamed = await page.locator("input, select, textarea, button").evaluateAll((elements) =>
        (elements as HTMLInputElement[]).filter((element) => !element.ariaLabel && !element.labels?.length && !element.textContent).map((element) => element.outerHTML));
      assert.deepEqual(unnamed, []);

      await page.getByLabel("API key").focus();
      const order: string[] = [];
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        order.push(await page.evaluate(() => document.activeElement?.id ?? ""));
      }
      const positions = ["remember-key", "theme", "model", "temperature", "add-tool", "headers", "add-message", "send", "tab-request", "request"].map((id) => order.indexOf(id));
      assert.ok(positions.every((position, i) => position > (positions[i - 1] ?? -1)), order.join(" "));
      assert.ok(!order.includes("tab-response"), "Tab reached a second tab of the list");
      await page.locator("#tab-request").focus();
      await page.keyboard.press("ArrowRight");
      assert.equal(await page.locator("#tab-response").getAttribute("aria-selected"), "true");
      assert.notEqual(await page.locator("#tab-response").evaluate((tab) => getComputedStyle(tab).outlineStyle), "none");
    }));
});

suite("the playground of a server with an upstream key", { skip: noServer || noBrowser }, () => {
  let directory: string;
  let browser: Browser;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "playground-"));
    await writeFile(join(directory, "client-key"), "the-client-key", { mode: 0o600 });
    await writeFile(join(directory, "upstream-key"), "the-upstream-key", { mode: 0o600 });
    browser = await startBrowser();
  });
  after(async () => {
    await browser.close();
    await rm(directory, { recursive: true });
  });

  test("is public, but its requests need the client key", async () => {
    const server = await startServer("--upstream-key-file", join(directory, "upstream-key"), "--client-key-file", join(directory, "client-key"));
    try {
      const { page, send } = await openPlayground(browser, server.url, {}, "ROLE_USER");
      await page.getByLabel("Model").fill("sandbox");
      assert.match(await send(), /^Failed/);
      assert.match((await page.locator(".failure").textContent()) ?? "", /requires an API key/);
      await page.getByLabel("API key").fill("the-client-key");
      assert.match(await send(), /^Done/);
    } finally {
      await server.stop();
    }
  });

  test("needs no key if the server allows anonymous clients", async () => {
    const server = await startServer("--upstream-key-file", join(directory, "upstream-key"), "--allow-anonymous");
    try {
      const { send } = await openPlayground(browser, server.url);
      assert.match(await send(), /^Done/);
    } finally {
      await server.stop();
    }
  });
});

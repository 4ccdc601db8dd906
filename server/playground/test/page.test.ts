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

  /** Runs a test on a page of its own. */
  async function withPage(options: BrowserContextOptions, run: (playground: Playground) => Promise<void>): Promise<void> {
    const playground = await openPlayground(browser, server.url, options);
    try {
      await run(playground);
    } finally {
      await playground.close();
    }
  }

  test("asks no other host, and breaks no rule of its policy", () =>
    withPage({}, async ({ page, asked, complaints, send, copied }) => {
      await page.getByLabel("Attach an image to message 1").setInputFiles({ name: "a.gif", mimeType: "image/gif", buffer: Buffer.from("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=", "base64") });
      await page.locator("#theme").selectOption("dark");
      await send();
      await page.locator("#tab-code").click();
      await copied("#copy-code");
      assert.deepEqual(complaints, []);
      assert.deepEqual(asked.filter((url) => !url.startsWith(`${server.url}/`) && !url.startsWith("data:")), []);
      assert.ok(!asked.some((url) => url.endsWith("/favicon.ico")), "the icon is the page's own");
    }));

  test("runs no script and no style that a text brings along", () =>
    withPage({}, async ({ page, complaints, message, send, answers }) => {
      const text = `<img src=x onerror="document.title='bad'"><style>body{display:none}</style>`;
      await message(1).fill(text);
      await send();
      assert.ok((await answers().textContent())?.includes(text));
      assert.match(await page.title(), /^Playground/);
      assert.deepEqual(complaints, []);
      // The policy is in force, and not by luck: a script that is put in does not run.
      await page.evaluate(() => {
        const script = document.createElement("script");
        script.setAttribute("src", "data:text/javascript,document.title='bad'");
        document.body.append(script);
      }).catch(() => undefined);
      assert.match(await page.title(), /^Playground/);
      assert.ok(complaints.length > 0);
    }));

  const background = (playground: Playground): Promise<string> => playground.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

  for (const scheme of ["light", "dark"] as const) {
    const other = scheme === "dark" ? "light" : "dark";
    test(`is ${scheme} where the system is, unless the switch says ${other}, which is remembered`, () =>
      withPage({ colorScheme: scheme }, async (playground) => {
        const dark = (color: string): boolean => Number(/\d+/.exec(color)?.[0]) < 128;
        assert.equal(dark(await background(playground)), scheme === "dark");
        await playground.page.getByLabel("Theme").selectOption(other);
        assert.equal(dark(await background(playground)), other === "dark");
        await playground.page.reload();
        assert.equal(dark(await background(playground)), other === "dark");
        await playground.page.getByLabel("Theme").selectOption("Automatic");
        assert.equal(dark(await background(playground)), scheme === "dark");
      }));
  }

  test("fits a phone of 360 px with all of it open", () =>
    withPage({ viewport: { width: 360, height: 740 }, hasTouch: true }, async ({ page, control, send }) => {
      for (const summary of ["Parameters", "Form of the answer", "Tools"]) {
        await page.getByText(summary, { exact: true }).click();
      }
      await page.locator("#format").selectOption("jsonSchema");
      await page.getByRole("button", { name: "Add a tool" }).click();
      await control("x-sandbox-status: 400");
      await send();
      await page.locator("#tab-code").click();
      for (const language of ["curl", "grpcurl", "go", "typescript"]) {
        await page.locator(`#tab-${language}`).click();
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, language);
      }
    }));

  test("keeps the key in memory unless it is asked to", () =>
    withPage({}, async ({ page, asked }) => {
      const stored = (): Promise<string> => page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
      await page.getByLabel("API key").fill("sk-secret");
      assert.doesNotMatch(await stored(), /sk-secret/);
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "");

      await page.getByLabel("API key").fill("sk-secret");
      await page.getByLabel("Keep in this browser").check();
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "sk-secret");
      assert.equal(await page.getByLabel("Keep in this browser").isChecked(), true);

      await page.getByLabel("Keep in this browser").uncheck();
      assert.doesNotMatch(await stored(), /sk-secret/);
      await page.reload();
      assert.equal(await page.getByLabel("API key").inputValue(), "");
      assert.ok(!asked.some((url) => url.includes("sk-secret")));
    }));

  test("sends the key, and shows it nowhere", () =>
    withPage({}, async ({ page, send, copied }) => {
      await page.getByLabel("API key").fill("sk-secret");
      const call = page.waitForRequest(/ChatService/);
      await send();
      assert.equal((await call).headers()["authorization"], "Bearer sk-secret");
      await page.locator("#tab-code").click();
      for (const language of ["curl", "grpcurl", "go", "typescript"]) {
        await page.locator(`#tab-${language}`).click();
        assert.match(await copied("#copy-code"), /API_KEY/, language);
      }
      assert.doesNotMatch(await page.content(), /sk-secret/);
    }));

  test("every field and button has a name, and the keyboard reaches them in their order", () =>
    withPage({}, async ({ page }) => {
      for (const summary of ["Form of the answer", "Tools", "More"]) {
        await page.getByText(summary, { exact: true }).click();
      }
      await page.getByRole("button", { name: "Add a tool" }).click();
      const nameless = await page.locator("input, select, textarea, button").evaluateAll((elements) =>
        (elements as HTMLInputElement[]).filter((element) => !element.ariaLabel && !element.labels?.length && !element.textContent).map((element) => element.outerHTML));
      assert.deepEqual(nameless, []);

      await page.getByLabel("API key").focus();
      const order: string[] = [];
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        order.push(await page.evaluate(() => document.activeElement?.id ?? ""));
      }
      const places = ["keep-key", "theme", "model", "temperature", "add-tool", "headers", "add-message", "send", "tab-request", "request"].map((id) => order.indexOf(id));
      assert.ok(places.every((place, i) => place > (places[i - 1] ?? -1)), order.join(" "));
      assert.ok(!order.includes("tab-received"), "the tabs are one stop");
      await page.locator("#tab-request").focus();
      await page.keyboard.press("ArrowRight");
      assert.equal(await page.locator("#tab-received").getAttribute("aria-selected"), "true");
      assert.notEqual(await page.locator("#tab-received").evaluate((tab) => getComputedStyle(tab).outlineStyle), "none");
    }));
});

suite("the playground of a server that holds the key", { skip: noServer || noBrowser }, () => {
  let directory: string;
  let browser: Browser;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "playground-"));
    await writeFile(join(directory, "token"), "the-clients-token", { mode: 0o600 });
    await writeFile(join(directory, "key"), "the-upstreams-key", { mode: 0o600 });
    browser = await startBrowser();
  });
  after(async () => {
    await browser.close();
    await rm(directory, { recursive: true });
  });

  test("is open, and its calls need the token", async () => {
    const server = await startServer("--upstream-key-file", join(directory, "key"), "--client-key-file", join(directory, "token"));
    try {
      const { page, send } = await openPlayground(browser, server.url, {}, "ROLE_USER");
      await page.getByLabel("Model").fill("sandbox");
      assert.match(await send(), /^Failed/);
      assert.match((await page.locator(".failure").textContent()) ?? "", /requires an API key/);
      await page.getByLabel("API key").fill("the-clients-token");
      assert.match(await send(), /^Done/);
    } finally {
      await server.stop();
    }
  });

  test("serves everyone where the server does", async () => {
    const server = await startServer("--upstream-key-file", join(directory, "key"), "--allow-anonymous");
    try {
      const { send } = await openPlayground(browser, server.url);
      assert.match(await send(), /^Done/);
    } finally {
      await server.stop();
    }
  });
});

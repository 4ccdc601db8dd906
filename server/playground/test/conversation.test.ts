import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, suite, test } from "node:test";

import type { Browser } from "playwright-core";

import { noServer, type Server, startServer } from "../../../client/typescript/test/server.js";
import { noBrowser, openPlayground, type Playground, startBrowser } from "./browser.js";

/** A one-pixel PNG. */
const pixel = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==", "base64");

suite("a conversation in the playground", { skip: noServer || noBrowser }, () => {
  let server: Server;
  let browser: Browser;
  let playground: Playground;

  before(async () => {
    [server, browser] = await Promise.all([startServer(), startBrowser()]);
  });
  after(async () => {
    await browser.close();
    await server.stop();
  });
  beforeEach(async () => {
    playground = await openPlayground(browser, server.url);
  });
  afterEach(() => playground.close());

  test("the initial message can be sent", async () => {
    assert.match(await playground.send(), /^Done in /);
    assert.equal(await playground.choices().locator(".text").textContent(), 'This is the sandbox: no model, no key, no network. You said: "Hello!"');
    assert.equal(await playground.choices().locator(".finish").textContent(), "stop");
  });

  test("the inspector lists the messages of a stream and shows its statistics", async () => {
    await playground.setHeaders("x-sandbox-chunk-delay: 5ms");
    await playground.send();
    const { page } = playground;
    await page.getByRole("tab", { name: /^Response/ }).click();
    const lines = page.locator("#response li");
    const count = await lines.count();
    assert.ok(count > 10, `got ${count} messages`);
    assert.equal(await page.locator("#response-count").textContent(), String(count));
    const first = JSON.parse((await lines.first().locator("span").textContent()) ?? "") as { choices: unknown[]; id: string };
    assert.equal(first.choices.length, 1);
    const last = JSON.parse((await lines.last().locator("span").textContent()) ?? "") as { usage: { completion_tokens: number } };
    assert.equal(await page.locator("#usage").textContent(), `6 in, ${last.usage.completion_tokens} out`);
    assert.match((await page.locator("#first-token").textContent()) ?? "", /^\d+ ms$/);
    assert.match((await page.locator("#rate").textContent()) ?? "", /^[\d.]+\/s$/);
    assert.match((await page.locator("#plot").getAttribute("aria-label")) ?? "", /^\d+ chunks in /);
    assert.equal(await page.locator("#plot polyline").count(), 1);
  });

  test("a response appears while it streams, and screen readers wait for its end", async () => {
    await playground.setHeaders("x-sandbox-fault: stall\nx-sandbox-after: 6");
    await playground.page.getByRole("button", { name: "Send" }).click();
    await playground.choices().getByText("This is the sandbox").waitFor();
    assert.equal(await playground.page.locator("#choices").getAttribute("aria-busy"), "true");
    assert.equal(await playground.page.getByRole("button", { name: "Send" }).isDisabled(), true);
  });

  for (const control of ["the button", "the Escape key"]) {
    test(`${control} cancels a stream and keeps the received text`, async () => {
      const { page } = playground;
      await playground.setHeaders("x-sandbox-fault: stall\nx-sandbox-after: 6");
      await page.getByRole("button", { name: "Send" }).click();
      await playground.choices().getByText("This is the sandbox").waitFor();
      await (control === "the button" ? page.getByRole("button", { name: "Cancel" }).click() : page.keyboard.press("Escape"));
      await playground.status().filter({ hasText: /^Canceled after / }).waitFor();
      await page.getByRole("button", { name: "Cancel" }).waitFor({ state: "hidden" });
      assert.equal(await page.locator(".failure").count(), 0);
      await page.locator("#headers").fill("");
      assert.match(await playground.send(), /^Done in /, "the request can't be sent again");
    });
  }

  test("Ctrl+Enter sends, and a response without streaming is one message", async () => {
    const { page } = playground;
    await page.getByLabel("Stream", { exact: true }).uncheck();
    await playground.message(1).fill("Without streaming.");
    await playground.message(1).press("Control+Enter");
    await playground.choices().getByText('You said: "Without streaming."').waitFor();
    assert.equal(await page.locator("#response-count").textContent(), "1");
    assert.equal(playground.urls.filter((url) => url.endsWith("/CreateChatCompletion")).length, 1);
  });

  test("several choices are numbered", async () => {
    await playground.page.getByLabel("Choices (n)", { exact: true }).fill("3");
    await playground.send();
    assert.equal(await playground.choices().count(), 3);
    assert.match((await playground.choices().nth(2).getByRole("heading").textContent()) ?? "", /^Choice 3 of 3/);
  });

  test("messages can be added, edited, moved and removed", async () => {
    const { page } = playground;
    await page.getByRole("button", { name: "Add message" }).click();
    await playground.message(2).fill("Be brief.");
    await page.getByLabel("Role of message 2").selectOption("system");
    await page.getByRole("button", { name: "Move message 2 up" }).click();
    assert.equal(await playground.message(1).inputValue(), "Be brief.");
    await page.locator("#request").getByText("ROLE_SYSTEM").waitFor();
    assert.deepEqual(JSON.parse(await playground.copy("#copy-request")).messages, [
      { role: "ROLE_SYSTEM", content: "Be brief." },
      { role: "ROLE_USER", content: "Hello!" },
    ]);
    await page.getByRole("button", { name: "Remove message 1" }).click();
    assert.equal(await playground.message(1).inputValue(), "Hello!");
    assert.equal(await playground.message(2).count(), 0);
  });

  test("a tool is called, and its result is sent", async () => {
    const { page } = playground;
    await page.getByText("Tools", { exact: true }).click();
    await page.getByRole("button", { name: "Add tool" }).click();
    await page.locator(".tools").getByLabel("Name").fill("get_time");
    await playground.send();
    const call = playground.choices().locator(".calls");
    assert.equal(await call.locator("strong").textContent(), "get_time");
    assert.ok("city" in (JSON.parse((await call.locator("pre").textContent()) ?? "") as object));
    assert.equal(await playground.choices().locator(".finish").textContent(), "tool_calls");

    await page.getByRole("button", { name: "Add tool result" }).click();
    assert.equal(await playground.message(3).evaluate((field) => field === document.activeElement), true);
    await page.keyboard.type("Noon.");
    assert.match(await playground.send(), /^Done in /);
    await playground.choices().locator(".text").waitFor();
    const { messages } = JSON.parse(await playground.copy("#copy-request")) as { messages: Record<string, string>[] & { 1: { tool_calls: { id: string }[] } } };
    assert.equal(messages.length, 3);
    assert.equal(messages[2]?.["tool_call_id"], messages[1].tool_calls[0]?.id);
    assert.equal(messages[2]?.["content"], "Noon.");
  });

  test("a conversation continues from a response", async () => {
    await playground.send();
    await playground.page.getByRole("button", { name: "Continue" }).click();
    assert.equal(await playground.page.getByLabel("Role of message 2").locator("option:checked").textContent(), "assistant");
    await playground.message(3).fill("And now?");
    await playground.send();
    assert.match((await playground.choices().locator(".text").textContent()) ?? "", /You said: "And now\?"/);
  });

  test("an image is shown, sent as a data URL, and can be removed", async () => {
    const { page } = playground;
    await page.getByLabel("Attach image to message 1").setInputFiles({ name: "pixel.png", mimeType: "image/png", buffer: pixel });
    const image = page.getByRole("img", { name: "pixel.png" });
    await image.waitFor();
    assert.equal(await image.evaluate((element: HTMLImageElement) => element.decode().then(() => element.naturalWidth)), 1);
    assert.match(await playground.send(), /^Done in /);
    assert.deepEqual(JSON.parse(await playground.copy("#copy-request")).messages[0].content_parts, [
      { text: "Hello!" },
      { image_url: { url: `data:image/png;base64,${pixel.toString("base64")}` } },
    ]);
    await page.getByRole("button", { name: "Remove image pixel.png" }).click();
    await page.locator("#request").getByText('"content": "Hello!"').waitFor();
  });

  test("structured output is shown as JSON", async () => {
    const { page } = playground;
    await page.getByText("Response format").click();
    await page.getByLabel("Format", { exact: true }).selectOption("JSON Schema");
    await playground.send();
    assert.deepEqual(Object.keys(JSON.parse((await playground.choices().locator(".text").textContent()) ?? "") as object), ["answer", "sure"]);
  });

  test("an API error is shown with all its fields", async () => {
    await playground.setHeaders("x-sandbox-status: 429");
    assert.match(await playground.send(), /^Failed after /);
    const shown = playground.page.locator(".failure");
    assert.match((await shown.locator(".text").textContent()) ?? "", /status 429/);
    const details = Object.fromEntries(
      await shown.locator("dl div").evaluateAll((rows) => rows.map((row) => [row.querySelector("dt")?.textContent, row.querySelector("dd")?.textContent])),
    ) as Record<string, string>;
    assert.match(details["request ID"] ?? "", /^req_/);
    assert.equal(details["code"], "rate_limit_exceeded");
    assert.equal(details["HTTP status"], "429");
    assert.equal(details["retry-after"], "1.00 s");
    assert.equal(details["RPC code"], "resource_exhausted");
    assert.ok(details["type"]);
  });

  test("an error names the invalid parameter", async () => {
    await playground.page.getByLabel("Temperature").fill("9");
    await playground.send();
    assert.match((await playground.page.locator(".failure").textContent()) ?? "", /paramtemperature/);
  });

  test("an interrupted stream keeps the received text and shows the error", async () => {
    await playground.setHeaders("x-sandbox-fault: cut\nx-sandbox-after: 6");
    assert.match(await playground.send(), /^Failed after /);
    assert.match((await playground.choices().textContent()) ?? "", /This is the sandbox/);
    assert.equal(await playground.page.getByRole("button", { name: "Continue" }).count(), 0);
    await playground.page.locator(".failure").getByText("unavailable").waitFor();
  });

  test("a request without a model is not sent", async () => {
    const model = playground.page.getByLabel("Model");
    await model.fill("");
    assert.match(await playground.send(), /^Not sent/);
    await playground.page.getByText("Enter a model.").waitFor();
    await model.fill("sandbox");
    assert.match(await playground.send(), /^Done in /);
  });

  for (const [label, text, error] of [
    ["Temperature", "warm", /Enter a number/],
    ["Seed", "1.5", /Enter a 64-bit integer/],
    ["Additional parameters", "[1]", /Enter a JSON object/],
    ["Headers", "no header", /Invalid header/],
  ] as const) {
    test(`an invalid value for ${label} is not sent, and the field shows the error`, async () => {
      const { page } = playground;
      await page.getByText("Advanced", { exact: true }).click();
      const field = page.getByLabel(label);
      await field.fill(text);
      assert.match(await playground.send(), /^Not sent/);
      assert.equal(await field.getAttribute("aria-invalid"), "true");
      assert.match((await page.locator(`#${await field.getAttribute("aria-describedby")}`).textContent()) ?? "", error);
      assert.equal(await field.evaluate((element) => element === document.activeElement), true);
      await field.fill("");
      assert.match(await playground.send(), /^Done in /);
    });
  }
});

/** The playground in Chromium, for tests. */
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";

import { skipReason } from "../../../client/typescript/test/skip.js";

const { chromium } = createRequire(new URL("../../../client/typescript/package.json", import.meta.url))("playwright-core") as typeof import("playwright-core");

/** The path of Chromium, found in PATH. */
const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, name)))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** The reason to skip browser tests, or false. */
export const noBrowser = executablePath ? false : skipReason("Chromium is not in PATH: install it, for example with apt-get install chromium");

/** Starts headless Chromium. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath && { executablePath }),
    // Chromium's sandbox is unavailable to root, the user of containers. The browser
    // only loads pages of this test.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
}

/** An open playground. */
export interface Playground {
  readonly page: Page;
  /** The requested URLs. */
  readonly urls: string[];
  /** The page's exceptions, and the console's errors and warnings, including policy violations. */
  readonly errors: string[];
  /** Fills in the request headers. Tests use them to control the sandbox. */
  setHeaders(headers: string): Promise<void>;
  /** Sends the request and waits for its end. Returns the final status. */
  send(): Promise<string>;
  status(): Locator;
  choices(): Locator;
  message(index: number): Locator;
  /** Clicks a copy button. Returns the text that it copies to the clipboard. */
  copy(button: string): Promise<string>;
  close(): Promise<void>;
}

/**
 * Opens the page of a server in a new profile, and waits until the displayed
 * request contains a string. The default is the model suggested by the sandbox.
 */
export async function openPlayground(browser: Browser, url: string, options: BrowserContextOptions = {}, content = '"model": "sandbox"'): Promise<Playground> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const urls: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => urls.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      errors.push(message.text());
    }
  });
  await page.goto(`${url}/playground/`);
  await page.locator("#request").filter({ hasText: content }).waitFor();
  const status = (): Locator => page.getByRole("status");
  return {
    page,
    urls,
    errors,
    async setHeaders(headers) {
      await page.getByText("Advanced", { exact: true }).click();
      await page.locator("#headers").fill(headers);
    },
    async send() {
      await page.getByRole("button", { name: "Send" }).click();
      const ended = status().filter({ hasText: /^(Done|Failed|Canceled|Not sent)/ });
      await ended.waitFor();
      return (await ended.textContent()) ?? "";
    },
    status,
    choices: () => page.locator(".choice"),
    message: (index) => page.getByLabel(`Text of message ${index}`, { exact: true }),
    async copy(button) {
      await page.evaluate(() => navigator.clipboard.writeText(""));
      await page.locator(button).click();
      return page.evaluate(async () => {
        const until = performance.now() + 15_000;
        let text = "";
        while (!text && performance.now() < until) {
          text = await navigator.clipboard.readText();
        }
        return text;
      });
    },
    close: () => context.close(),
  };
}

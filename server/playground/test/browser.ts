/** The playground in Chromium, as its tests use it. */
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";

import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";

import { lacking } from "../../../client/typescript/test/skip.js";

const { chromium } = createRequire(new URL("../../../client/typescript/package.json", import.meta.url))("playwright-core") as typeof import("playwright-core");

/** Where Chromium is, by one of its names in PATH. */
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

/** Why no browser can be started, or false. */
export const noBrowser = executablePath ? false : lacking("Chromium is not in PATH: install it, as by apt-get install chromium");

/** Starts Chromium without a window. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath && { executablePath }),
    // As root, which a container runs tests as, its sandbox can't be had. It
    // loads pages of this test alone.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
}

/** A playground that is open. */
export interface Playground {
  readonly page: Page;
  /** The URLs that were asked for, and what the console and the page's policy complained of. */
  readonly asked: string[];
  readonly complaints: string[];
  /** Writes the request's headers, by which a test tells the sandbox what to do. */
  control(headers: string): Promise<void>;
  /** Presses Send, and waits until the call has ended. Returns what the status then says. */
  send(): Promise<string>;
  status(): Locator;
  answers(): Locator;
  message(index: number): Locator;
  /** Reads what a copy button writes to the clipboard. */
  copied(button: string): Promise<string>;
  close(): Promise<void>;
}

/**
 * Opens the page of a server, in a profile of its own, and waits until the
 * request that it shows has a text: the model of the sandbox, which it asks for.
 */
export async function openPlayground(browser: Browser, url: string, options: BrowserContextOptions = {}, shows = '"model": "sandbox"'): Promise<Playground> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const asked: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      complaints.push(message.text());
    }
  });
  await page.goto(`${url}/playground/`);
  await page.locator("#request").filter({ hasText: shows }).waitFor();
  const status = (): Locator => page.getByRole("status");
  return {
    page,
    asked,
    complaints,
    async control(headers) {
      await page.getByText("More", { exact: true }).click();
      await page.locator("#headers").fill(headers);
    },
    async send() {
      await page.getByRole("button", { name: "Send" }).click();
      const ended = status().filter({ hasText: /^(Done|Failed|Cancelled|Not sent)/ });
      await ended.waitFor();
      return (await ended.textContent()) ?? "";
    },
    status,
    answers: () => page.locator(".answer"),
    message: (index) => page.getByLabel(`Text of message ${index}`, { exact: true }),
    async copied(button) {
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

import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { lacking } from "./skip.js";

/** Where Chromium is, by one of its names in PATH. */
const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, name)))
  .find(isExecutable);

/** Why no browser can be started, or false. */
export const noBrowser = executablePath ? false : lacking("Chromium is not in PATH: install it, as by apt-get install chromium");

/** A browser that runs. */
export interface Browser {
  /** Opens a page with the exports of a module, which is bundled with all that it imports. */
  open<Exports>(module: URL): Promise<Page<Exports>>;
  /** Closes the browser, and with it all pages. */
  close(): Promise<void>;
}

/** A page on an origin of its own, which is not the server's. */
export interface Page<Exports> {
  /** Its origin. */
  readonly origin: string;
  /** Calls one of the module's exports in the page. What goes in and out has to be JSON. */
  call<Name extends keyof Exports & string>(name: Name, ...args: ArgumentsOf<Exports[Name]>): Promise<ResultOf<Exports[Name]>>;
}

type ArgumentsOf<F> = F extends (...args: infer Arguments) => unknown ? Arguments : never;
type ResultOf<F> = F extends (...args: never[]) => infer Result ? Awaited<Result> : never;

/** Starts Chromium without a window. */
export async function startBrowser(): Promise<Browser> {
  const site = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>test</title>");
  });
  site.listen(0, "127.0.0.1").unref();
  await once(site, "listening");
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const browser = await chromium.launch({
    ...(executablePath && { executablePath }),
    // Chromium's sandbox is unavailable to root, the user of containers. The browser
    // only loads pages of this test.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  return {
    async open(module) {
      const page = await browser.newPage();
      await page.goto(origin);
      await page.addScriptTag({ content: await bundle(module) });
      return {
        origin,
        call: (name, ...args) =>
          page.evaluate(({ name, args }) => (globalThis as unknown as PageGlobals).test[name]?.(...args), { name, args }) as never,
      };
    },
    async close() {
      await browser.close();
      site.close();
    },
  };
}

/** What {@link bundle} puts into a page. */
interface PageGlobals {
  test: Record<string, (...args: unknown[]) => unknown>;
}

/** A script that makes a module's exports the global `test`. */
async function bundle(module: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(module)],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "test",
    platform: "browser",
    target: "es2022",
  });
  return outputFiles.map(({ text }) => text).join("\n");
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

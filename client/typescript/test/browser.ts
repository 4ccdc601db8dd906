import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium } from "playwright-core";

import { skipReason } from "./skip.js";

/** The path of Chromium, found in PATH. */
const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, name)))
  .find(isExecutable);

/** The reason to skip browser tests, or false. */
export const noBrowser = executablePath ? false : skipReason("Chromium is not in PATH: install it, for example with apt-get install chromium");

/** A running browser. */
export interface Browser {
  /** Opens a page with the exports of a module, bundled with its imports. */
  open<Exports>(module: URL): Promise<Page<Exports>>;
  /** Closes the browser and all its pages. */
  close(): Promise<void>;
}

/** A page of another origin than the server's. */
export interface Page<Exports> {
  /** The page's origin. */
  readonly origin: string;
  /** Calls an export of the module in the page. Arguments and result must be JSON values. */
  call<Name extends keyof Exports & string>(name: Name, ...args: ArgumentsOf<Exports[Name]>): Promise<ResultOf<Exports[Name]>>;
}

type ArgumentsOf<F> = F extends (...args: infer Arguments) => unknown ? Arguments : never;
type ResultOf<F> = F extends (...args: never[]) => infer Result ? Awaited<Result> : never;

/** Starts headless Chromium. */
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

/** The globals defined by {@link bundle}. */
interface PageGlobals {
  test: Record<string, (...args: unknown[]) => unknown>;
}

/** Returns a script that assigns a module's exports to the global variable `test`. */
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

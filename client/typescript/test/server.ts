import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { skipReason } from "./skip.js";

/** The path of the server, built by `make test`. */
const command = process.env["OPENAI_CONNECT_COMMAND"];

/** The reason to skip tests that need a server, or false. */
export const noServer = command ? false : skipReason("OPENAI_CONNECT_COMMAND is not set: use make test");

/** A running server. */
export interface Server {
  /** The base URL, without a trailing slash. */
  readonly url: string;
  /** Stops the server and waits for it to exit. */
  stop(): Promise<void>;
}

/** Starts a server on a free port. Its upstream is the sandbox unless the flags name another. */
export async function startServer(...flags: string[]): Promise<Server> {
  const child = spawn(command ?? "", ["--upstream", "sandbox", "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  return {
    url: await printedURL(child),
    async stop() {
      child.kill();
      await exited;
    },
  };
}

/** Returns the base URL printed by a starting server. */
async function printedURL(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) {
    const url = /listens on (http:\S+)/.exec(line)?.[1];
    if (url) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error("the server exited without printing its URL");
}

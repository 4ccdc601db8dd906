import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { lacking } from "./skip.js";

/** The server's command, which `make test` builds. */
const command = process.env["OPENAI_CONNECT_COMMAND"];

/** Why no server can be started, or false. */
export const noServer = command ? false : lacking("OPENAI_CONNECT_COMMAND names no server to run: use make test");

/** A server that runs. */
export interface Server {
  /** Its base URL, without a slash at the end. */
  readonly url: string;
  /** Stops it, and waits until it has ended. */
  stop(): Promise<void>;
}

/** Starts a server on a free port, on the sandbox unless the flags say otherwise. */
export async function startServer(...flags: string[]): Promise<Server> {
  const child = spawn(command ?? "", ["--upstream", "sandbox", "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  return {
    url: await listening(child),
    async stop() {
      child.kill();
      await exited;
    },
  };
}

/** The base URL that a server prints at its start. */
async function listening(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  for await (const line of createInterface(child.stdout)) {
    const url = /listens on (http:\S+)/.exec(line)?.[1];
    if (url) {
      child.stdout.resume();
      return url;
    }
  }
  throw new Error("the server ended before it listened");
}

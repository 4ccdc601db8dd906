import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { startServer } from "./server.js";

const run = promisify(execFile);

/** The server's base URL in the documentation's programs. */
const documented = "http://127.0.0.1:8080";

/** A one-pixel image. */
const picture = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

/**
 * Runs a program from the documentation with a server on the sandbox and returns
 * its output. The program runs in a new directory in `parent`, so that its imports
 * are found. The directory contains `picture.png`.
 */
export async function runProgram(parent: string, program: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  const [folder, server] = await Promise.all([mkdtemp(join(parent, "run-")), startServer()]);
  try {
    await writeFile(join(folder, "picture.png"), picture);
    await writeFile(join(folder, "main.mjs"), program.replaceAll(documented, server.url));
    const { stdout } = await run(process.execPath, ["main.mjs"], { cwd: folder });
    return stdout;
  } finally {
    await Promise.all([rm(folder, { recursive: true }), server.stop()]);
  }
}

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { startServer } from "./server.js";

const run = promisify(execFile);

/** The server URL in the documentation's programs. */
const documentedURL = "http://127.0.0.1:8080";

/** A one-pixel PNG. */
const picture = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

/**
 * Runs a program from the documentation with a new server on the sandbox, and
 * returns the output. The working directory is a new directory in `parent`, so
 * that Node.js finds the imports. It contains a `picture.png`.
 */
export async function runProgram(parent: string, program: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  const [directory, server] = await Promise.all([mkdtemp(join(parent, "run-")), startServer()]);
  try {
    await writeFile(join(directory, "picture.png"), picture);
    await writeFile(join(directory, "main.mjs"), program.replaceAll(documentedURL, server.url));
    const { stdout } = await run(process.execPath, ["main.mjs"], { cwd: directory });
    return stdout;
  } finally {
    await Promise.all([rm(directory, { recursive: true }), server.stop()]);
  }
}

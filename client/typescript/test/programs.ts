import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { startServer } from "./server.js";

const run = promisify(execFile);

/** Where the documentation's programs find their server. */
const documented = "http://127.0.0.1:8080";

/** A picture of one pixel. */
const picture = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

/**
 * Runs a program as it stands in the documentation, but for its server, which
 * is one of its own, on the sandbox. It is run in a new folder within `parent`,
 * by which its imports are found, with a `picture.png`. What it writes is
 * returned.
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

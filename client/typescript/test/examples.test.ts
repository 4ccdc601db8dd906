import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

import { runProgram } from "./programs.js";
import { noServer } from "./server.js";

/** Returns the path of a file in the package. */
function path(relative: string): string {
  return fileURLToPath(new URL(`../../${relative}`, import.meta.url));
}

const names = readdirSync(path("examples"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.slice(0, -".ts".length));

/** Returns the output of an example. */
async function output(name: string): Promise<string> {
  return runProgram(path("dist/examples"), await readFile(path(`dist/examples/${name}.js`), "utf8"));
}

/** Returns the number of lines of code of an example. */
async function lines(name: string): Promise<number> {
  const source = await readFile(path(`examples/${name}.ts`), "utf8");
  assert.ok(source.split("\n").every((line) => line.length <= 101), "a line is too long to compare two examples next to each other");
  return source.split("\n").filter((line) => line.trim() !== "").length;
}

suite("each example needs no more lines than with OpenAI's SDK, and prints the same", { skip: noServer }, () => {
  test("the package has ten examples", () => assert.equal(names.length, 10));

  for (const name of names) {
    test(name, async () => {
      const [ours, theirs] = [await output(name), await output(`openai/${name}`)];
      assert.notEqual(ours, "");
      assert.equal(ours, theirs);
      assert.ok((await lines(name)) <= (await lines(`openai/${name}`)));
    });
  }
});

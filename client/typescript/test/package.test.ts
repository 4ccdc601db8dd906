import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import ts from "typescript";

import { runProgram } from "./programs.js";
import { noServer } from "./server.js";

const run = promisify(execFile);

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = await readFile(join(root, "README.md"), "utf8");
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { dependencies: Record<string, string> };
const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as { packages: Record<string, { version: string }> };

/** Returns the version of a package in the lock file. */
function locked(name: string): string {
  return lock.packages[`node_modules/${name}`]?.version ?? "";
}

/** The programs in the README, with their headings. */
const programs = readme.split(/^## /m).flatMap((section) => {
  const heading = section.slice(0, section.indexOf("\n"));
  return Array.from(section.matchAll(/^```ts\n(.*?)^```$/gms), ([, code = ""]) => ({ heading, code: complete(code) }));
});

/** Adds the client to a program that reuses the client of the first one. */
function complete(code: string): string {
  const client = 'import { OpenAIConnect } from "@openai-connect/client";\nconst client = new OpenAIConnect({ baseUrl: "http://127.0.0.1:8080" });\n';
  return code.includes("new OpenAIConnect(") ? code : client + code;
}

/** The strictest compiler settings. */
const strict: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
  skipDefaultLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  noEmitOnError: true,
  types: ["node"],
};

suite("the package in an empty project", () => {
  let project: string;
  let files: string[];

  before(async () => {
    project = await mkdtemp(join(tmpdir(), "package-"));
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", project], { cwd: root });
    const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
    files = packed.files.map(({ path }) => path);
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const others = ["@bufbuild/protobuf", "@connectrpc/connect-node", "@types/node"].map((name) => `${name}@${locked(name)}`);
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", `./${packed.filename}`, ...others], { cwd: project });
  });

  after(() => rm(project, { recursive: true }));

  test("contains only the built sources and documents", () => {
    const others = files.filter((path) => !/^dist\/src\/.*\.(js|js\.map|d\.ts)$/.test(path));
    assert.deepEqual(others.sort(), ["LICENSE", "README.md", "package.json"]);
    assert.ok(files.includes("dist/src/index.js") && files.includes("dist/src/index.d.ts"));
  });

  // Two copies of the Protobuf runtime reject each other's messages. Connect and
  // this package accept a range of versions, so npm installs one for both.
  test("depends only on Protobuf and Connect, each installed once", async () => {
    assert.deepEqual(manifest.dependencies, { "@bufbuild/protobuf": "^2.13.0", "@connectrpc/connect": "2.1.2", "@connectrpc/connect-web": "2.1.2" });
    const { stdout } = await run("npm", ["ls", "--all", "--parseable", "--omit=dev"], { cwd: project });
    const installed = stdout.trim().split("\n").slice(1).map((path) => path.slice(project.length));
    assert.deepEqual(
      installed.sort().filter((path) => !path.includes("/@types/") && !path.includes("/undici-types")),
      ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node", "@connectrpc/connect-web", "@openai-connect/client"].map((name) => `/node_modules/${name}`),
    );
  });

  for (const [name, resolution] of [
    ["Node.js", { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"] }],
    ["a bundler", { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"] }],
  ] satisfies [string, ts.CompilerOptions][]) {
    test(`type-checks the README's programs with strict settings for ${name}`, async () => {
      const names = await Promise.all(
        programs.map(async ({ code }, index) => {
          const file = join(project, `${index}.ts`);
          await writeFile(file, code);
          return file;
        }),
      );
      const typeRoots = [join(project, "node_modules/@types")];
      const program = ts.createProgram(names, { ...strict, ...resolution, typeRoots, noEmit: true });
      const errors = ts.getPreEmitDiagnostics(program).map((each) => `${each.file?.fileName}: ${ts.flattenDiagnosticMessageText(each.messageText, "\n")}`);
      assert.deepEqual(errors, []);
    });
  }

  suite("runs the README's programs", { skip: noServer }, () => {
    test("the README has eight programs", () => assert.equal(programs.length, 8));

    for (const { heading, code } of programs) {
      test(heading, async () => {
        const { outputText } = ts.transpileModule(code, { compilerOptions: { ...strict, module: ts.ModuleKind.ESNext } });
        assert.notEqual(await runProgram(project, outputText), "");
      });
    }
  });
});

test("a browser bundle has the size stated in the README", async () => {
  const { outputFiles } = await build({
    stdin: { contents: 'export { OpenAIConnect, user } from "./dist/src/index.js";', resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
  });
  const stated = Number(/bundle is (\d+) kB larger/.exec(readme)?.[1]);
  const size = gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length / 1000;
  assert.ok(Math.abs(size - stated) < 1, `the bundle has ${size.toFixed(1)} kB, the README states ${stated}`);
});

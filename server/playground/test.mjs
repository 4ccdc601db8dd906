// Runs the page's tests in Chromium. Usage: node test.mjs [arguments of node --test]
// OPENAI_CONNECT_COMMAND is the path of the server. The tests use the packages and
// the built dist of ../../client/typescript.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const { buildSync } = createRequire(at("../../client/typescript/package.json"))("esbuild");

rmSync(at("build"), { recursive: true, force: true });
buildSync({
  absWorkingDir: at("."),
  entryPoints: ["test/*.test.ts"],
  outdir: "build",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  tsconfigRaw: "{}",
});
const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...process.argv.slice(2), at("build/")], { stdio: "inherit" });
process.exit(status ?? 1);

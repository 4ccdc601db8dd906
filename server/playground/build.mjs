// Builds the page into dist, which the server embeds. Usage: node build.mjs
// The build is reproducible. It uses the packages of ../../client/typescript.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const { buildSync } = createRequire(at("../../client/typescript/package.json"))("esbuild");

rmSync(at("dist"), { recursive: true, force: true });
mkdirSync(at("dist"));
buildSync({
  absWorkingDir: at("."),
  entryPoints: [{ in: "src/main.ts", out: "playground" }, { in: "src/style.css", out: "style" }],
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome123", "firefox120", "safari17.5"],
  charset: "utf8",
  legalComments: "none",
  nodePaths: [at("../../client/typescript/node_modules")],
  tsconfigRaw: "{}",
});
for (const file of ["index.html", "icon.svg"]) {
  copyFileSync(at(`src/${file}`), at(`dist/${file}`));
}

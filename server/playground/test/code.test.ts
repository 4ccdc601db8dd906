import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { Browser } from "playwright-core";

import { noServer, type Server, startServer } from "../../../client/typescript/test/server.js";
import { lacking } from "../../../client/typescript/test/skip.js";
import { noBrowser, openPlayground, type Playground, startBrowser } from "./browser.js";
import { type Received, said, startUpstream, type Upstream } from "./upstream.js";

const exec = promisify(execFile);
const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** A text that every language has to quote. */
const awkward = `It's "quoted" \\ \`back\` $HOME \${x} \n\tnext line: Köln 🙂 \u2028 <b>JSON</b>`;

/** What a page is set to before its call is made. */
const requests: Record<string, (playground: Playground) => Promise<void>> = {
  "the smallest request": async () => undefined,
  "a request with everything": async ({ page, message, control }) => {
    await page.getByLabel("API key").fill("sk-the-key");
    await message(1).fill(awkward);
    // Larger than an argument of a command may be.
    const buffer = Buffer.alloc(150_000, "an image, as far as anyone here knows; ");
    await page.getByLabel("Attach an image to message 1").setInputFiles({ name: "large.png", mimeType: "image/png", buffer });
    await page.getByRole("button", { name: "Add a message" }).click();
    await page.getByLabel("Role of message 2").selectOption("developer");
    await message(2).fill("Be brief.");
    for (const [label, text] of Object.entries({ Temperature: "1", "Top P": "0.25", "Most tokens": "300", Answers: "1", Seed: "9007199254740993" })) {
      await page.getByLabel(label, { exact: true }).fill(text);
    }
    await page.getByLabel("Reasoning").selectOption("xhigh");
    await page.getByLabel("Verbosity").selectOption("low");
    await page.getByLabel(/^Stop at/).fill("END\n###");
    await page.getByText("Form of the answer").click();
    await page.getByLabel("Form", { exact: true }).selectOption("JSON Schema");
    await page.getByText("Tools", { exact: true }).click();
    await page.getByRole("button", { name: "Add a tool" }).click();
    await page.getByLabel("Description").fill("What's the “weather”?");
    await page.getByLabel("Choice").selectOption("auto");
    await control("x-request-note: it's $5\nopenai-project: proj_1");
    await page.getByLabel("Other parameters").fill('{"metadata": {"b": "1", "a": "it\'s"}, "brand_new": [1, 2.50]}');
  },
  "the answer to a tool's call": async ({ page, send, message }) => {
    await page.getByText("Tools", { exact: true }).click();
    await page.getByRole("button", { name: "Add a tool" }).click();
    await send();
    await page.getByRole("button", { name: "Answer the call" }).click();
    await message(3).fill("It's raining.");
  },
};

/** The members of "a request with everything", beside those of a stream. */
const everything = [
  "brand_new", "max_completion_tokens", "messages", "metadata", "model", "n", "reasoning_effort", "response_format",
  "seed", "stop", "temperature", "tool_choice", "tools", "top_p", "verbosity",
];

/** How a copied text is run, in a directory of its own. */
const languages: Record<string, { tool: string; run(directory: string, text: string): Promise<string> }> = {
  curl: { tool: "curl", run: (directory, text) => shell(directory, text) },
  grpcurl: { tool: "grpcurl", run: (directory, text) => shell(directory, text) },
  go: {
    tool: "go",
    async run(directory, text) {
      const file = join(directory, "main.go");
      await writeFile(file, text);
      assert.equal((await exec("gofmt", ["-d", file])).stdout, "", "it is formatted");
      return (await exec("go", ["run", file], { cwd: repository, env })).stdout;
    },
  },
  typescript: {
    tool: "node",
    async run(directory, text) {
      const packages = join(directory, "node_modules", "@openai-connect");
      await mkdir(packages, { recursive: true });
      await symlink(join(repository, "client", "typescript"), join(packages, "client"));
      await writeFile(join(directory, "main.mjs"), text);
      return (await exec(process.execPath, ["main.mjs"], { cwd: directory, env })).stdout;
    },
  },
};

const env = { ...process.env, API_KEY: "sk-the-key" };

async function shell(directory: string, text: string): Promise<string> {
  await writeFile(join(directory, "call.sh"), text);
  return (await exec("sh", ["call.sh"], { cwd: directory, env })).stdout;
}

suite("the code that the playground gives", { skip: noServer || noBrowser }, () => {
  let upstream: Upstream;
  let server: Server;
  let browser: Browser;

  before(async () => {
    upstream = await startUpstream();
    [server, browser] = await Promise.all([startServer("--upstream", upstream.url), startBrowser()]);
  });
  after(async () => {
    await browser.close();
    await server.stop();
    upstream.close();
  });

  for (const [name, prepare] of Object.entries(requests)) {
    for (const stream of [true, false]) {
      suite(`for ${name}, ${stream ? "as a stream" : "in one piece"}`, () => {
        let playground: Playground;
        let want: ReturnType<typeof essence>;

        before(async () => {
          playground = await openPlayground(browser, server.url, {}, "ROLE_USER");
          const { page, send, status } = playground;
          await page.getByLabel("Model").fill("m");
          await page.getByLabel("Stream the answer").setChecked(stream);
          await prepare(playground);
          upstream.take();
          assert.match(await send(), /^Done/, (await status().textContent()) ?? "");
          const received = upstream.take();
          assert.equal(received.length, 1);
          if (name === "a request with everything") {
            const members = Object.keys(received[0]?.body ?? {}).filter((member) => !member.startsWith("stream"));
            assert.deepEqual(members.sort(), everything);
          }
          want = essence(received);
          await page.locator("#tab-code").click();
        });
        after(() => playground.close());

        for (const [language, { tool, run }] of Object.entries(languages)) {
          test(`makes the same call by ${language}`, { skip: absent(tool) }, async () => {
            await playground.page.locator(`#tab-${language}`).click();
            const text = await playground.copied("#copy-code");
            assert.doesNotMatch(text, /sk-the-key/);
            const directory = await mkdtemp(join(tmpdir(), "playground-"));
            try {
              const printed = await run(directory, text);
              assert.deepEqual(essence(upstream.take()), want);
              assert.ok(printed.includes(name === "a request with everything" ? "get_weather" : said), printed);
            } finally {
              await rm(directory, { recursive: true });
            }
          });
        }
      });
    }
  }
});

/** What has to be the same of a call, however it is made. */
function essence(received: Received[]): unknown {
  return received.map(({ body, text, headers }) => ({
    body,
    seed: /"seed":\s*(\d+)/.exec(text)?.[1],
    headers: ["authorization", "x-request-note", "openai-project"].map((name) => headers[name]),
  }));
}

/** Why a tool can't be run, or false. */
function absent(tool: string): string | false {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? false : lacking(`${tool} is not in PATH: install it, or run make tools`);
}

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
import { skipReason } from "../../../client/typescript/test/skip.js";
import { noBrowser, openPlayground, type Playground, startBrowser } from "./browser.js";
import { type Received, reply, startUpstream, type Upstream } from "./upstream.js";

const exec = promisify(execFile);
const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** A string that every language has to quote. */
const specialCharacters = `It's "quoted" \\ \`back\` $HOME \${x} \n\tnext line: Köln 🙂 \u2028 <b>JSON</b>`;

/** The steps that fill in each request. */
const requests: Record<string, (playground: Playground) => Promise<void>> = {
  "a minimal request": async () => undefined,
  "a request with all fields": async ({ page, message, setHeaders }) => {
    await page.getByLabel("API key").fill("sk-the-key");
    await message(1).fill(specialCharacters);
    // Larger than the limit for a command-line argument.
    const buffer = Buffer.alloc(150_000, "a fake image; ");
    await page.getByLabel("Attach image to message 1").setInputFiles({ name: "large.png", mimeType: "image/png", buffer });
    await page.getByRole("button", { name: "Add message" }).click();
    await page.getByLabel("Role of message 2").selectOption("developer");
    await message(2).fill("Be brief.");
    for (const [label, text] of Object.entries({ Temperature: "1", "Top P": "0.25", "Max tokens": "300", "Choices (n)": "1", Seed: "9007199254740993" })) {
      await page.getByLabel(label, { exact: true }).fill(text);
    }
    await page.getByLabel("Reasoning effort").selectOption("xhigh");
    await page.getByLabel("Verbosity").selectOption("low");
    await page.getByLabel(/^Stop sequences/).fill("END\n###");
    await page.getByText("Response format").click();
    await page.getByLabel("Format", { exact: true }).selectOption("JSON Schema");
    await page.getByText("Tools", { exact: true }).click();
    await page.getByRole("button", { name: "Add tool" }).click();
    await page.getByLabel("Description").fill("What's the “weather”?");
    await page.getByLabel("Tool choice").selectOption("auto");
    await setHeaders("x-request-note: it's $5\nopenai-project: proj_1");
    await page.getByLabel("Additional parameters").fill('{"metadata": {"b": "1", "a": "it\'s"}, "brand_new": [1, 2.50]}');
  },
  "a tool result": async ({ page, send, message }) => {
    await page.getByText("Tools", { exact: true }).click();
    await page.getByRole("button", { name: "Add tool" }).click();
    await send();
    await page.getByRole("button", { name: "Add tool result" }).click();
    await message(3).fill("It's raining.");
  },
};

/** The JSON members of "a request with all fields", except for the stream's. */
const allMembers = [
  "brand_new", "max_completion_tokens", "messages", "metadata", "model", "n", "reasoning_effort", "response_format",
  "seed", "stop", "temperature", "tool_choice", "tools", "top_p", "verbosity",
];

/** The tool and the function to run each language's code in a new directory. */
const languages: Record<string, { tool: string; run(directory: string, text: string): Promise<string> }> = {
  curl: { tool: "curl", run: (directory, text) => shell(directory, text) },
  grpcurl: { tool: "grpcurl", run: (directory, text) => shell(directory, text) },
  go: {
    tool: "go",
    async run(directory, text) {
      const file = join(directory, "main.go");
      await writeFile(file, text);
      assert.equal((await exec("gofmt", ["-d", file])).stdout, "", "the code is not formatted");
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

suite("the playground's code", { skip: noServer || noBrowser }, () => {
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
      suite(`for ${name}, ${stream ? "streamed" : "not streamed"}`, () => {
        let playground: Playground;
        let want: ReturnType<typeof summarize>;

        before(async () => {
          playground = await openPlayground(browser, server.url, {}, "ROLE_USER");
          const { page, send, status } = playground;
          await page.getByLabel("Model").fill("m");
          await page.getByLabel("Stream", { exact: true }).setChecked(stream);
          await prepare(playground);
          upstream.take();
          assert.match(await send(), /^Done/, (await status().textContent()) ?? "");
          const received = upstream.take();
          assert.equal(received.length, 1);
          if (name === "a request with all fields") {
            const members = Object.keys(received[0]?.body ?? {}).filter((member) => !member.startsWith("stream"));
            assert.deepEqual(members.sort(), allMembers);
          }
          want = summarize(received);
          await page.locator("#tab-code").click();
        });
        after(() => playground.close());

        for (const [language, { tool, run }] of Object.entries(languages)) {
          test(`${language} sends the same request`, { skip: missing(tool) }, async () => {
            await playground.page.locator(`#tab-${language}`).click();
            const text = await playground.copy("#copy-code");
            assert.doesNotMatch(text, /sk-the-key/);
            const directory = await mkdtemp(join(tmpdir(), "playground-"));
            try {
              const printed = await run(directory, text);
              assert.deepEqual(summarize(upstream.take()), want);
              assert.ok(printed.includes(name === "a request with all fields" ? "get_weather" : reply), printed);
            } finally {
              await rm(directory, { recursive: true });
            }
          });
        }
      });
    }
  }
});

/** The parts of requests that must be equal for every language. */
function summarize(received: Received[]): unknown {
  return received.map(({ body, text, headers }) => ({
    body,
    seed: /"seed":\s*(\d+)/.exec(text)?.[1],
    headers: ["authorization", "x-request-note", "openai-project"].map((name) => headers[name]),
  }));
}

/** The reason to skip tests of a tool, or false. */
function missing(tool: string): string | false {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? false : skipReason(`${tool} is not in PATH: install it, or run make tools`);
}

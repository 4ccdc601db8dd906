/** Sends the request and shows the response. */
import { Accumulator, APIError, ChatCompletionChunkSchema, ChatCompletionSchema, type Message, OpenAIConnect } from "../../../client/typescript/src/index.js";
import { Choices } from "./choices.js";
import { html, input } from "./dom.js";
import { Inspector } from "./inspector.js";
import type { Call } from "./settings.js";
import { duration, Stats } from "./stats.js";

/** Makes a call until it ends or the signal aborts it. It never throws. */
export async function run(call: Call, signal: AbortSignal, onContinue: (message: Message) => void): Promise<void> {
  const status = html("status");
  status.textContent = "Waiting for the response…";
  const stats = new Stats();
  const inspector = new Inspector();
  const choices = new Choices(html("choices"), onContinue);
  try {
    // Retries would hide errors and distort the times.
    const { chat } = new OpenAIConnect({ baseUrl: call.baseUrl, apiKey: input("key").value.trim(), maxRetries: 0 });
    const options = { signal, headers: call.headers };
    if (call.stream) {
      const accumulator = new Accumulator();
      for await (const chunk of chat.stream(call.request, options)) {
        const at = stats.elapsed();
        accumulator.add(chunk);
        inspector.add(ChatCompletionChunkSchema, chunk, at);
        if (chunk.usage) {
          stats.setUsage(chunk.usage);
        }
        if (choices.add(chunk)) {
          stats.addChunk(at);
          status.textContent = "Receiving the response…";
        }
      }
      choices.finish(accumulator.completion);
    } else {
      const completion = await chat.create(call.request, options);
      const at = stats.elapsed();
      inspector.add(ChatCompletionSchema, completion, at);
      stats.addChunk(at);
      if (completion.usage) {
        stats.setUsage(completion.usage);
      }
      choices.finish(completion);
    }
    status.textContent = `Done in ${duration(stats.end())}.`;
  } catch (thrown) {
    const elapsed = duration(stats.end());
    if (signal.aborted) {
      status.textContent = `Canceled after ${elapsed}.`;
      choices.end();
    } else {
      status.textContent = `Failed after ${elapsed}.`;
      choices.fail(APIError.from(thrown));
    }
    inspector.end();
  }
}

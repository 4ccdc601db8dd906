/** Makes the call, and shows what comes of it as it comes. */
import { Accumulator, APIError, ChatCompletionChunkSchema, ChatCompletionSchema, type Message, OpenAIConnect } from "../../../client/typescript/src/index.js";
import { Answers } from "./answers.js";
import { html, input } from "./dom.js";
import { duration, Meter } from "./meter.js";
import { Received } from "./received.js";
import type { Call } from "./settings.js";

/** Makes a call, until it ends or the signal ends it. It does not throw. */
export async function run(call: Call, signal: AbortSignal, proceed: (message: Message) => void): Promise<void> {
  const status = html("status");
  status.textContent = "Waiting for the answer.";
  const meter = new Meter();
  const received = new Received();
  const answers = new Answers(html("answers"), proceed);
  try {
    // Here one wants to see what goes wrong, and when.
    const { chat } = new OpenAIConnect({ baseUrl: call.baseUrl, apiKey: input("key").value.trim(), maxRetries: 0 });
    const options = { signal, headers: call.headers };
    if (call.stream) {
      const whole = new Accumulator();
      for await (const chunk of chat.stream(call.request, options)) {
        const at = meter.elapsed();
        whole.add(chunk);
        received.add(ChatCompletionChunkSchema, chunk, at);
        if (chunk.usage) {
          meter.count(chunk.usage);
        }
        if (answers.add(chunk)) {
          meter.token(at);
          status.textContent = "The answer arrives.";
        }
      }
      answers.finish(whole.completion);
    } else {
      const completion = await chat.create(call.request, options);
      const at = meter.elapsed();
      received.add(ChatCompletionSchema, completion, at);
      meter.token(at);
      if (completion.usage) {
        meter.count(completion.usage);
      }
      answers.finish(completion);
    }
    status.textContent = `Done in ${duration(meter.end())}.`;
  } catch (thrown) {
    const elapsed = duration(meter.end());
    if (signal.aborted) {
      status.textContent = `Cancelled after ${elapsed}.`;
      answers.end();
    } else {
      status.textContent = `Failed after ${elapsed}.`;
      answers.fail(APIError.from(thrown));
    }
    received.end();
  }
}

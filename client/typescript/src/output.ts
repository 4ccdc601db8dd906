import { OutputError } from "./error.js";
import { type ChatCompletion, FinishReason } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";

/**
 * Returns the parsed JSON of the first choice, or throws an OutputError if it has no
 * complete JSON output.
 */
export function readOutput(completion: ChatCompletion): unknown {
  const choice = completion.choices[0];
  const { content, contentParts, refusal } = choice?.message ?? {};
  if (refusal) {
    throw new OutputError(`the model refused: ${refusal}`, completion);
  }
  switch (choice?.finishReason) {
    case FinishReason.LENGTH:
      throw new OutputError("the output was truncated: raise maxCompletionTokens", completion);
    case FinishReason.CONTENT_FILTER:
      throw new OutputError("a content filter removed some of the output", completion);
  }
  try {
    // Some upstreams send the content as parts.
    return JSON.parse(content ?? contentParts?.map(({ part }) => (part.case === "text" ? part.value : "")).join("") ?? "");
  } catch (cause) {
    throw new OutputError("the output is not JSON: the model may not support structured outputs", completion, { cause });
  }
}

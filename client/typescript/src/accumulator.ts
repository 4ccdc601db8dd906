import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";

import { Extra } from "./extra.js";
import { type ChatCompletion, ChatCompletionSchema, type Choice, ChoiceSchema, LogprobsSchema } from "./gen/openai/chat/v1/chat_completion_pb.js";
import { type AudioDelta, type ChatCompletionChunk, type ChunkChoice, type Delta, type ToolCallDelta, ToolCallType } from "./gen/openai/chat/v1/chat_completion_chunk_pb.js";
import { type Annotation, AnnotationSchema, type Audio, AudioSchema, CustomToolCallSchema, FunctionCallSchema, type Message, MessageSchema, Role, type ToolCall, ToolCallSchema } from "./gen/openai/chat/v1/message_pb.js";

/**
 * Folds the chunks of a stream into the completion that the unary call would
 * have given. Of the members that have no field, a delta's strings are joined,
 * as the texts around them are; else the last value wins. Two things no stream
 * has: the request's metadata, and usage unless
 * `streamOptions: { includeUsage: true }` asks for it.
 */
export class Accumulator {
  readonly #completion = create(ChatCompletionSchema);
  readonly #choices = new Map<number, ChoiceState>();
  readonly #extra = new Extra(false);

  /** Adds the next chunk. */
  add(chunk: ChatCompletionChunk): void {
    const completion = this.#completion;
    // Some upstreams begin with a chunk that leaves these empty.
    completion.id = chunk.id || completion.id;
    completion.model = chunk.model || completion.model;
    if (chunk.created && (chunk.created.seconds !== 0n || !completion.created)) {
      completion.created = chunk.created;
    }
    completion.serviceTier = chunk.serviceTier || completion.serviceTier;
    assignSet(completion, { usage: chunk.usage, moderation: chunk.moderation, systemFingerprint: chunk.systemFingerprint });
    this.#extra.add(chunk.extraJson);
    for (const piece of chunk.choices) {
      this.#choice(piece.index).add(piece);
    }
  }

  /** The completion so far: the whole one after the last chunk. Chunks that are added later change it. */
  get completion(): ChatCompletion {
    this.#completion.extraJson = this.#extra.toString();
    for (const choice of this.#choices.values()) {
      choice.finish();
    }
    return this.#completion;
  }

  #choice(index: number): ChoiceState {
    let state = this.#choices.get(index);
    if (!state) {
      state = new ChoiceState(index);
      this.#choices.set(index, state);
      this.#completion.choices.push(state.choice);
      this.#completion.choices.sort((a, b) => a.index - b.index);
    }
    return state;
  }
}

/** One of the answers. */
class ChoiceState {
  readonly choice: Choice;
  readonly #message: Message;
  readonly #calls: CallState[] = [];
  readonly #audio = new AudioState();
  readonly #extra = new Extra(false);
  readonly #logprobsExtra = new Extra(false);
  readonly #messageExtra = new Extra(true);
  readonly #functionExtra = new Extra(true);

  constructor(index: number) {
    // Some upstreams don't say who speaks.
    this.#message = create(MessageSchema, { role: Role.ASSISTANT });
    this.choice = create(ChoiceSchema, { index, message: this.#message });
  }

  add(piece: ChunkChoice): void {
    this.choice.finishReason = piece.finishReason || this.choice.finishReason;
    this.#extra.add(piece.extraJson);
    if (piece.logprobs) {
      const logprobs = (this.choice.logprobs ??= create(LogprobsSchema));
      logprobs.content.push(...piece.logprobs.content);
      logprobs.refusal.push(...piece.logprobs.refusal);
      this.#logprobsExtra.add(piece.logprobs.extraJson);
    }
    if (piece.delta) {
      this.#addDelta(piece.delta);
    }
  }

  #addDelta(delta: Delta): void {
    const message = this.#message;
    message.role = delta.role || message.role;
    append(message, "content", delta.content);
    append(message, "refusal", delta.refusal);
    for (const call of delta.toolCalls) {
      this.#call(call).add(call);
    }
    if (delta.audio) {
      message.audio = this.#audio.add(delta.audio);
    }
    if (delta.functionCall) {
      const call = (message.functionCall ??= create(FunctionCallSchema));
      call.name = delta.functionCall.name || call.name;
      call.arguments += delta.functionCall.arguments ?? "";
      this.#functionExtra.add(delta.functionCall.extraJson);
    }
    if (delta.extraJson) {
      this.#addExtra(delta.extraJson);
    }
  }

  /** Annotations have a field in a message alone: the specification's deltas lack them. */
  #addExtra(json: string): void {
    this.#messageExtra.add(json);
    const annotations = asAnnotations(this.#messageExtra.get("annotations") ?? "[]");
    if (annotations?.length) {
      this.#message.annotations.push(...annotations);
      this.#messageExtra.delete("annotations");
    }
  }

  /** The call that a piece is of. Some upstreams send whole calls without an index. */
  #call(piece: ToolCallDelta): CallState {
    const same = ({ index, call }: CallState) =>
      piece.index === undefined ? index === undefined && (piece.id === undefined || call.id === piece.id) : index === piece.index;
    let state = this.#calls.filter(same).at(-1);
    if (!state) {
      state = new CallState(piece.index);
      this.#calls.push(state);
      this.#calls.sort((a, b) => (a.index ?? 0) - (b.index ?? 0));
      this.#message.toolCalls = this.#calls.map(({ call }) => call);
    }
    return state;
  }

  finish(): void {
    this.choice.extraJson = this.#extra.toString();
    this.#message.extraJson = this.#messageExtra.toString();
    if (this.choice.logprobs) {
      this.choice.logprobs.extraJson = this.#logprobsExtra.toString();
    }
    if (this.#message.functionCall) {
      this.#message.functionCall.extraJson = this.#functionExtra.toString();
    }
    this.#audio.finish();
    for (const call of this.#calls) {
      call.finish();
    }
  }
}

/** One of an answer's tool calls. */
class CallState {
  readonly call: ToolCall = create(ToolCallSchema);
  readonly index: number | undefined;
  readonly #extra = new Extra(true);
  readonly #payloadExtra = new Extra(true);

  constructor(index: number | undefined) {
    this.index = index;
  }

  add(piece: ToolCallDelta): void {
    this.call.id = piece.id || this.call.id;
    this.#extra.add(piece.extraJson);
    const { function: called, custom } = piece;
    if (piece.type === ToolCallType.CUSTOM || custom) {
      const payload = this.#custom();
      payload.name = custom?.name || payload.name;
      payload.input += custom?.input ?? "";
    } else if (piece.type === ToolCallType.FUNCTION || called) {
      const payload = this.#function();
      payload.name = called?.name || payload.name;
      payload.arguments += called?.arguments ?? "";
    }
    this.#payloadExtra.add((custom ?? called)?.extraJson ?? "");
  }

  #function() {
    if (this.call.tool.case !== "function") {
      this.call.tool = { case: "function", value: create(FunctionCallSchema) };
    }
    return this.call.tool.value;
  }

  #custom() {
    if (this.call.tool.case !== "custom") {
      this.call.tool = { case: "custom", value: create(CustomToolCallSchema) };
    }
    return this.call.tool.value;
  }

  finish(): void {
    this.call.extraJson = this.#extra.toString();
    if (this.call.tool.value) {
      this.call.tool.value.extraJson = this.#payloadExtra.toString();
    }
  }
}

/** An answer's speech. Its bytes grow by doubling: it may be minutes long. */
class AudioState {
  readonly #audio = create(AudioSchema);
  readonly #extra = new Extra(true);
  #buffer = new Uint8Array(0);

  add(piece: AudioDelta): Audio {
    this.#audio.id = piece.id || this.#audio.id;
    assignSet(this.#audio, { expiresAt: piece.expiresAt });
    append(this.#audio, "transcript", piece.transcript);
    if (piece.data) {
      this.#append(piece.data);
    }
    this.#extra.add(piece.extraJson);
    return this.#audio;
  }

  #append(data: Uint8Array): void {
    const before = this.#audio.data?.length ?? 0;
    const length = before + data.length;
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#buffer.subarray(0, before));
      this.#buffer = larger;
    }
    this.#buffer.set(data, before);
    this.#audio.data = this.#buffer.subarray(0, length);
  }

  finish(): void {
    this.#audio.extraJson = this.#extra.toString();
  }
}

/** Appends a text to an optional one: an empty text is not the same as none. */
function append<Field extends string>(target: { [Name in Field]?: string | undefined }, field: Field, text: string | undefined): void {
  if (text !== undefined) {
    target[field] = (target[field] ?? "") + text;
  }
}

/** Sets those fields that have a value. */
function assignSet<T extends object>(target: T, values: { [Field in keyof T]?: T[Field] | undefined }): void {
  Object.assign(target, Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)));
}

/** Annotations of OpenAI's JSON, or nothing if that isn't what it is. */
function asAnnotations(json: string): Annotation[] | undefined {
  try {
    return (JSON.parse(json) as Record<string, JsonValue>[]).map(({ type, ...rest }) => {
      if (type !== "url_citation") {
        throw new TypeError(`no type of an annotation: ${String(type)}`);
      }
      return fromJson(AnnotationSchema, rest);
    });
  } catch {
    return undefined;
  }
}

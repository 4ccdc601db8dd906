import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";

import { Extra, fields, items, List } from "./extra.js";
import { type ChatCompletion, ChatCompletionSchema, type Choice, ChoiceSchema, LogprobsSchema, type Usage } from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
import { type AudioDelta, type ChatCompletionChunk, type ChunkChoice, type Delta, CustomToolCallDeltaSchema, FunctionCallDeltaSchema, type ToolCallDelta, ToolCallDeltaSchema, ToolCallType } from "./gen/openaiconnect/chat/v1/chat_completion_chunk_pb.js";
import { type Annotation, AnnotationSchema, type Audio, AudioSchema, type ContentPart, ContentPartSchema, CustomToolCallSchema, FunctionCallSchema, type Message, MessageSchema, Role, type ToolCall, ToolCallSchema } from "./gen/openaiconnect/chat/v1/message_pb.js";

/**
 * Assembles the chunks of a stream into the completion that the unary call would
 * have returned. Its messages can be sent back as history. Text is concatenated,
 * including surrogate pairs split over two chunks, content in parts, and strings
 * without a field. Lists without a field are appended. A stream does not contain the
 * metadata of the request, and contains usage only with
 * `streamOptions: { includeUsage: true }`.
 */
export class Accumulator {
  readonly #completion = create(ChatCompletionSchema);
  readonly #choices = new Map<number, ChoiceBuilder>();
  readonly #extra = new Extra(false);

  /** Adds the next chunk. */
  add(chunk: ChatCompletionChunk): void {
    const completion = this.#completion;
    // Some upstreams leave these fields empty in the first or the last chunk.
    completion.id = chunk.id || completion.id;
    completion.model = chunk.model || completion.model;
    if (chunk.created?.seconds) {
      completion.created = chunk.created;
    }
    completion.serviceTier = chunk.serviceTier || completion.serviceTier;
    if (chunk.usage && (!completion.usage || !isZero(chunk.usage))) {
      completion.usage = chunk.usage;
    }
    assignSet(completion, { moderation: chunk.moderation, systemFingerprint: chunk.systemFingerprint || undefined });
    this.#extra.add(chunk.extraJson);
    for (const piece of chunk.choices) {
      this.#choice(piece.index).add(piece);
    }
  }

  /** The completion so far. Chunks added later modify it. */
  get completion(): ChatCompletion {
    this.#completion.extraJson = this.#extra.toString(...typedFields(this.#completion));
    const builders = Array.from(this.#choices.values()).sort((a, b) => a.choice.index - b.choice.index);
    this.#completion.choices = builders.map((builder) => builder.finish());
    return this.#completion;
  }

  #choice(index: number): ChoiceBuilder {
    let state = this.#choices.get(index);
    if (!state) {
      state = new ChoiceBuilder(index);
      this.#choices.set(index, state);
    }
    return state;
  }
}

/** Returns the names of the fields that are set. Values of the same name in extra_json are dropped. */
function typedFields({ id, created, model, usage, serviceTier, moderation, systemFingerprint }: ChatCompletion): string[] {
  const fields = { id, created, model, usage, service_tier: serviceTier, moderation, system_fingerprint: systemFingerprint };
  return Object.entries(fields).flatMap(([name, value]) => (value ? [name] : []));
}

/** Assembles a choice. */
class ChoiceBuilder {
  readonly choice: Choice;
  readonly #message: Message;
  readonly #content = new Content();
  readonly #refusal = new Text();
  readonly #calls = new Calls();
  readonly #extra = new Extra(false);
  readonly #logprobsExtra = new Extra(false);
  readonly #messageExtra = new Extra(true);
  #audio: AudioBuilder | undefined;
  #functionCall: FunctionBuilder<"arguments"> | undefined;

  constructor(index: number) {
    this.#message = create(MessageSchema);
    this.choice = create(ChoiceSchema, { index, message: this.#message });
  }

  add(piece: ChunkChoice): void {
    this.choice.finishReason = piece.finishReason || this.choice.finishReason;
    this.#extra.add(piece.extraJson);
    if (piece.logprobs) {
      const logprobs = (this.choice.logprobs ??= create(LogprobsSchema));
      for (const each of piece.logprobs.content) {
        logprobs.content.push(each);
      }
      for (const each of piece.logprobs.refusal) {
        logprobs.refusal.push(each);
      }
      this.#logprobsExtra.add(piece.logprobs.extraJson);
    }
    if (piece.delta) {
      this.#addDelta(piece.delta);
    }
  }

  #addDelta(delta: Delta): void {
    this.#message.role = delta.role || this.#message.role;
    this.#content.add(delta.content);
    this.#refusal.add(delta.refusal);
    for (const call of delta.toolCalls) {
      this.#calls.add(call);
    }
    if (delta.audio) {
      (this.#audio ??= new AudioBuilder()).add(delta.audio);
    }
    if (delta.functionCall) {
      const { name, arguments: text, extraJson } = delta.functionCall;
      (this.#functionCall ??= new FunctionBuilder("arguments")).add(name, text, extraJson);
    }
    this.#messageExtra.add(delta.extraJson, (name, value) => {
      switch (name) {
        case "content":
          return this.#content.addJson(value);
        case "refusal":
          return this.#refusal.addJson(value);
        case "tool_calls":
          return this.#calls.addJson(value);
        default:
          return false;
      }
    });
  }

  finish(): Choice {
    const message = this.#message;
    const extra = new Extra(true);
    extra.add(this.#messageExtra.toString());
    // Some upstreams send no role, or one that is not OpenAI's.
    message.role ||= extra.get("role") === undefined ? Role.ASSISTANT : Role.UNSPECIFIED;
    assignOrDelete(message, "content", this.#content.text(extra));
    message.contentParts = this.#content.parts();
    assignOrDelete(message, "refusal", this.#refusal.finish("refusal", extra));
    message.toolCalls = this.#calls.finish();
    assignOrDelete(message, "audio", this.#audio?.finish());
    const functionCall = this.#functionCall;
    assignOrDelete(message, "functionCall", functionCall && create(FunctionCallSchema, functionCall.finish()));
    // In the specification, messages have annotations, deltas do not.
    const annotations = asAnnotations(extra.get("annotations") ?? "[]");
    message.annotations = annotations ?? [];
    message.extraJson = extra.toString(...(annotations?.length ? ["annotations"] : []), ...(message.role ? ["role"] : []));
    this.choice.extraJson = this.#extra.toString();
    if (this.choice.logprobs) {
      this.choice.logprobs.extraJson = this.#logprobsExtra.toString();
    }
    return this.choice;
  }
}

/**
 * Text that arrives in pieces. Protobuf strings cannot contain half of a surrogate
 * pair, so such a piece arrives as JSON, and forms a character with the next one.
 */
class Text {
  #text: string | undefined;
  #other: string | undefined;

  get value(): string | undefined {
    return this.#text;
  }

  /** A value other than a string. */
  get other(): string | undefined {
    return this.#text ? undefined : this.#other;
  }

  add(piece: string | undefined): void {
    if (piece !== undefined) {
      this.#text = (this.#text ?? "") + piece;
    }
  }

  /** Adds a JSON value and returns true. */
  addJson(json: string): true {
    if (json.startsWith('"')) {
      this.add(JSON.parse(json) as string);
    } else if (json !== "null") {
      this.#other = json;
    }
    return true;
  }

  /** Returns the text, or adds it to `extra` if it is not valid Unicode. */
  finish(name: string, extra: Extra): string | undefined {
    if (this.other !== undefined) {
      extra.set(name, this.other);
      return undefined;
    }
    if (this.#text !== undefined && !isWellFormed(this.#text)) {
      extra.set(name, JSON.stringify(this.#text));
      return undefined;
    }
    return this.#text;
  }
}

/** Assembles the content of a message: a string, or a list of parts. */
class Content {
  readonly #text = new Text();
  #parts: List | undefined;

  add(piece: string | undefined): void {
    if (this.#parts && piece) {
      this.#parts.add(textPart(piece));
    } else {
      this.#text.add(piece);
    }
  }

  /** Adds a JSON value and returns true. */
  addJson(json: string): true {
    if (json.startsWith("[")) {
      for (const item of items(json)) {
        this.#addItem(item);
      }
    } else if (json.startsWith("{")) {
      this.#addItem(json);
    } else if (json !== "null") {
      this.add(asText(json));
    }
    return true;
  }

  /** Adds an item of a list: a part or a string. */
  #addItem(item: string): void {
    if (item === "null" || (item.startsWith("{") && [...fields(item)].every(([, value]) => value === "null"))) {
      return; // an empty item
    }
    if (!this.#parts) {
      this.#parts = new List();
      if (this.#text.value) {
        this.#parts.add(textPart(this.#text.value));
      }
    }
    this.#parts.add(item.startsWith("{") ? `[${item}]` : textPart(asText(item)));
  }

  text(extra: Extra): string | undefined {
    return this.#parts ? undefined : this.#text.finish("content", extra);
  }

  parts(): ContentPart[] {
    return this.#parts?.encodedItems().map(asContentPart) ?? [];
  }
}

/** Returns the text of a JSON string, or another value as JSON. */
function asText(json: string): string {
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

/** Returns a list with one text part in OpenAI's JSON. */
function textPart(text: string): string {
  return JSON.stringify([{ type: "text", text }]);
}

/** Converts a part in OpenAI's JSON. A part with unknown fields is kept in extraJson. */
function asContentPart(json: string): ContentPart {
  const [[first, type] = [], [second, value] = [], ...rest] = fields(json);
  if (first === "type" && rest.length === 0 && value !== undefined) {
    if ((type === '"text"' && second === "text") || (type === '"refusal"' && second === "refusal")) {
      const text: unknown = JSON.parse(value);
      if (typeof text === "string" && isWellFormed(text)) {
        return create(ContentPartSchema, { part: { case: second, value: text } });
      }
    }
    if (type === '"image_url"' && second === "image_url") {
      const [[name, url] = [], ...more] = fields(value);
      if (name === "url" && url?.startsWith('"') && more.length === 0) {
        return create(ContentPartSchema, { part: { case: "imageUrl", value: { url: JSON.parse(url) as string } } });
      }
    }
  }
  return create(ContentPartSchema, { extraJson: json });
}

/**
 * Assembles the tool calls of a message. A delta with an index belongs to a call at
 * that index: the one with the same ID, or else the latest one there. A delta without
 * an index belongs to the call with the same ID, or else to the latest call. Some
 * upstreams give parallel calls the same index or none, so a delta that starts a new
 * call starts one regardless of its index.
 */
class Calls {
  readonly #calls: CallBuilder[] = [];
  /** The latest call by index, by index and ID, and by ID alone. */
  readonly #byKey = new Map<string, CallBuilder>();
  #last: CallBuilder | undefined;
  #end = 0;

  add(piece: ToolCallDelta): void {
    const index = piece.index ?? "";
    let call = piece.id ? this.#byKey.get(`${index} ${piece.id}`) : undefined;
    if (!call) {
      const last = piece.index === undefined ? this.#last : this.#byKey.get(String(index));
      call = last && !last.isFollowedBy(piece) ? last : this.#start(piece.index ?? this.#end);
    }
    call.add(piece);
    this.#last = call;
    this.#byKey.set(String(call.index), call);
    if (piece.id) {
      this.#byKey.set(`${call.index} ${piece.id}`, call).set(` ${piece.id}`, call);
    }
  }

  /** Adds the calls of a list with other values, or a single call, and returns true. */
  addJson(json: string): true {
    for (const item of json.startsWith("[") ? items(json) : [json]) {
      if (item.startsWith("{")) {
        this.add(asToolCall(item));
      }
    }
    return true;
  }

  #start(index: number): CallBuilder {
    const call = new CallBuilder(index);
    this.#calls.push(call);
    this.#end = Math.max(this.#end, index + 1);
    return call;
  }

  finish(): ToolCall[] {
    return [...this.#calls].sort((a, b) => a.index - b.index).map((call) => call.finish());
  }
}

/** Converts a delta of a call in OpenAI's JSON. */
function asToolCall(json: string): ToolCallDelta {
  const call = create(ToolCallDeltaSchema);
  const extra = new Extra(false);
  for (const [name, value] of fields(json)) {
    const payload = value.startsWith("{") ? value : undefined;
    if (name === "index" && /^"?\d{1,9}"?$/.test(value)) {
      call.index = Number(asText(value));
    } else if (name === "id" && value.startsWith('"')) {
      call.id = asText(value);
    } else if (name === "type" && value === '"function"') {
      call.type = ToolCallType.FUNCTION;
    } else if (name === "type" && value === '"custom"') {
      call.type = ToolCallType.CUSTOM;
    } else if (name === "function" && payload) {
      call.function = create(FunctionCallDeltaSchema, splitName(payload));
    } else if (name === "custom" && payload) {
      call.custom = create(CustomToolCallDeltaSchema, splitName(payload));
    } else {
      extra.set(name, value);
    }
  }
  call.extraJson = extra.toString();
  return call;
}

/** Splits the name of a function or a custom tool from the other fields. */
function splitName(json: string): { name?: string; extraJson: string } {
  const extra = new Extra(false);
  extra.add(json);
  const name = extra.get("name");
  return name?.startsWith('"') ? { name: asText(name), extraJson: extra.toString("name") } : { extraJson: json };
}

/** Assembles a tool call. */
class CallBuilder {
  id = "";
  readonly index: number;
  readonly #call: ToolCall = create(ToolCallSchema);
  readonly #extra = new Extra(true);
  #type = ToolCallType.UNSPECIFIED;
  #function: FunctionBuilder<"arguments"> | undefined;
  #custom: FunctionBuilder<"input"> | undefined;

  constructor(index: number) {
    this.index = index;
  }

  /**
   * Whether a delta with the same key starts another call: it has a name and a
   * different ID. If one of them has no ID, the arguments decide: those of this call
   * are complete, and the delta starts new ones, or has a different name and none.
   */
  isFollowedBy(piece: ToolCallDelta): boolean {
    const name = piece.custom ? piece.custom.name : piece.function?.name;
    if (!name) {
      return false;
    }
    if (this.id && piece.id) {
      return this.id !== piece.id;
    }
    const call = piece.custom ? this.#custom : this.#function;
    if (!call) {
      return this.#function !== undefined || this.#custom !== undefined;
    }
    const text = (piece.custom ? piece.custom.input : piece.function?.arguments) ?? "";
    const start = text.trimStart().charAt(0);
    return call.isComplete && (start === "" ? call.name !== name : start === "{" || start === "[");
  }

  add(piece: ToolCallDelta): void {
    this.id = piece.id || this.id;
    this.#type ||= piece.type;
    if (piece.function) {
      (this.#function ??= new FunctionBuilder("arguments")).add(piece.function.name, piece.function.arguments, piece.function.extraJson);
    }
    if (piece.custom) {
      (this.#custom ??= new FunctionBuilder("input")).add(piece.custom.name, piece.custom.input, piece.custom.extraJson);
    }
    this.#extra.add(piece.extraJson, (name) => name === "index");
  }

  finish(): ToolCall {
    const call = this.#call;
    call.id = this.id;
    const extra = new Extra(true);
    extra.add(this.#extra.toString());
    if (extra.get("type") !== undefined) {
      // With a vendor's type, the payload is kept next to the type.
      call.tool = { case: undefined };
      for (const [name, payload] of [["function", this.#function], ["custom", this.#custom]] as const) {
        if (payload) {
          extra.set(name, payload.json());
        }
      }
    } else if (this.#custom || this.#type === ToolCallType.CUSTOM) {
      call.tool = { case: "custom", value: create(CustomToolCallSchema, (this.#custom ?? new FunctionBuilder("input")).finish()) };
    } else {
      call.tool = { case: "function", value: create(FunctionCallSchema, (this.#function ?? new FunctionBuilder("arguments")).finish()) };
    }
    call.extraJson = extra.toString(...(this.id ? ["id"] : []));
    return call;
  }
}

/** Assembles the call of a function, or of a custom tool, whose arguments are its input. */
class FunctionBuilder<Field extends "arguments" | "input"> {
  name = "";
  readonly #field: Field;
  readonly #text = new Text();
  readonly #progress = new Progress();
  readonly #extra = new Extra(true);

  constructor(field: Field) {
    this.#field = field;
  }

  add(name: string | undefined, text: string | undefined, extraJson: string): void {
    // Some upstreams repeat the name in each delta, or send a growing prefix.
    if (name) {
      this.name = name.startsWith(this.name) ? name : this.name + name;
    }
    this.#addText(text);
    this.#extra.add(extraJson, (member, value) => {
      if (member !== this.#field) {
        return false;
      }
      if (value.startsWith('"')) {
        this.#addText(JSON.parse(value) as string);
      } else {
        this.#text.addJson(value);
      }
      return true;
    });
  }

  #addText(piece: string | undefined): void {
    this.#text.add(piece);
    this.#progress.read(piece ?? "");
  }

  /** Whether the text is a complete object or list, or another value that is not a placeholder. */
  get isComplete(): boolean {
    return this.#progress.isComplete || (this.#text.other?.length ?? 0) > "{}".length;
  }

  /** Returns the fields. Without text, a value other than a string, such as {}, becomes the text. */
  finish(): { name: string; extraJson: string } & Record<Field, string> {
    const extra = new Extra(true);
    extra.add(this.#extra.toString());
    const text = this.#text.other ?? this.#text.finish(this.#field, extra) ?? "";
    return { name: this.name, [this.#field]: text, extraJson: extra.toString() } as { name: string; extraJson: string } & Record<Field, string>;
  }

  /** Returns the call in OpenAI's JSON. */
  json(): string {
    const text = this.#text.other ?? this.#text.value ?? "";
    const extra = new Extra(true);
    extra.set("name", JSON.stringify(this.name));
    extra.set(this.#field, JSON.stringify(text));
    extra.add(this.#extra.toString());
    return extra.toString();
  }
}

/** Detects the end of a JSON object or list that arrives in pieces. */
class Progress {
  #depth = 0;
  #started = false;
  #isInString = false;
  #isEscaped = false;

  read(piece: string): void {
    for (let i = 0; i < piece.length; i++) {
      const c = piece[i];
      if (this.#isEscaped) {
        this.#isEscaped = false;
      } else if (this.#isInString) {
        this.#isEscaped = c === "\\";
        this.#isInString = c !== '"';
      } else if (c === '"') {
        this.#isInString = true;
      } else if (c === "{" || c === "[") {
        this.#started = true;
        this.#depth++;
      } else if (c === "}" || c === "]") {
        this.#depth--;
      }
    }
  }

  get isComplete(): boolean {
    return this.#started && this.#depth === 0 && !this.#isInString;
  }
}

/** Assembles the audio of a message. The buffer doubles as it grows: audio may be minutes long. */
class AudioBuilder {
  readonly #audio = create(AudioSchema);
  readonly #transcript = new Text();
  readonly #extra = new Extra(true);
  #buffer = new Uint8Array(0);
  /** The filled part of the buffer. */
  #data: Uint8Array<ArrayBuffer> | undefined;
  /** Base64 that ends within a group of four characters. */
  #base64 = "";

  add(piece: AudioDelta): void {
    this.#audio.id = piece.id || this.#audio.id;
    assignSet(this.#audio, { expiresAt: piece.expiresAt });
    this.#transcript.add(piece.transcript);
    if (piece.data) {
      this.#decode();
      this.#append(piece.data);
    }
    this.#extra.add(piece.extraJson, (name, value) => {
      if (name === "data" && value.startsWith('"')) {
        this.#base64 += JSON.parse(value) as string;
        return true;
      }
      return name === "transcript" && this.#transcript.addJson(value);
    });
  }

  /** Decodes the base64 once it ends with a group. */
  #decode(): void {
    if (this.#base64 !== "" && this.#base64.length % 4 === 0) {
      const bytes = decodeBase64(this.#base64);
      if (bytes) {
        this.#append(bytes);
        this.#base64 = "";
      }
    }
  }

  #append(data: Uint8Array): void {
    const before = this.#data?.length ?? 0;
    const length = before + data.length;
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#buffer.subarray(0, before));
      this.#buffer = larger;
    }
    this.#buffer.set(data, before);
    this.#data = this.#buffer.subarray(0, length);
  }

  finish(): Audio {
    this.#decode();
    const extra = new Extra(true);
    extra.add(this.#extra.toString());
    assignOrDelete(this.#audio, "transcript", this.#transcript.finish("transcript", extra));
    const rest = decodeBase64(this.#base64); // without padding
    if (!rest) {
      extra.set("data", JSON.stringify(this.#base64));
    }
    assignOrDelete(this.#audio, "data", rest?.length ? new Uint8Array([...(this.#data ?? []), ...rest]) : this.#data);
    this.#audio.extraJson = extra.toString();
    return this.#audio;
  }
}

/** Decodes base64, or returns undefined if it is invalid. */
function decodeBase64(base64: string): Uint8Array | undefined {
  try {
    return base64Decode(base64);
  } catch {
    return undefined;
  }
}

/** Whether text has no unpaired surrogates. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

/** Whether all counts are zero: some upstreams send such a usage in every chunk, or after the real one. */
function isZero({ promptTokens, completionTokens, totalTokens, extraJson }: Usage): boolean {
  return !promptTokens && !completionTokens && !totalTokens && extraJson === "";
}

/** Sets the fields that have a value. */
function assignSet<T extends object>(target: T, values: { [Field in keyof T]?: T[Field] | undefined }): void {
  Object.assign(target, Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)));
}

/** Sets a field, or deletes it if there is no value. */
function assignOrDelete<Field extends string, Value>(target: { [Name in Field]?: Value }, field: Field, value: Value | undefined): void {
  if (value === undefined) {
    delete target[field];
  } else {
    target[field] = value;
  }
}

/** Converts annotations in OpenAI's JSON, or returns undefined if they are invalid. */
function asAnnotations(json: string): Annotation[] | undefined {
  try {
    return (JSON.parse(json) as Record<string, JsonValue>[]).map(({ type, ...rest }) => {
      if (type !== "url_citation") {
        throw new TypeError(`unknown type of annotation: ${String(type)}`);
      }
      return fromJson(AnnotationSchema, rest);
    });
  } catch {
    return undefined;
  }
}

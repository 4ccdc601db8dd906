import { create } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";

import { type ContentPart, ContentPartSchema, type ImageDetail, InputAudioFormat, type Message, MessageSchema, Role } from "./gen/openaiconnect/chat/v1/message_pb.js";

/** The content of a message: one string, or parts, where a string is a text part. */
type Content = (string | ContentPart)[];

/** Returns a user message: `user("Hello!")`, `user("What is this?", imageUrl(url))`. */
export function user(...content: Content): Message {
  return message(Role.USER, content);
}

/** Returns a system message with instructions, for models before o1. */
export function system(...content: Content): Message {
  return message(Role.SYSTEM, content);
}

/** Returns a developer message with instructions, which take precedence over user messages. */
export function developer(...content: Content): Message {
  return message(Role.DEVELOPER, content);
}

/** Returns an assistant message. To continue a conversation, append the message of a choice instead. */
export function assistant(...content: Content): Message {
  return message(Role.ASSISTANT, content);
}

/** Returns a tool message with the result of a tool call. */
export function toolResult(toolCallId: string, ...content: Content): Message {
  return Object.assign(message(Role.TOOL, content), { toolCallId });
}

/** Returns a text part. */
export function text(text: string): ContentPart {
  return part({ case: "text", value: text });
}

/** Returns an image part with a URL or data URL. */
export function imageUrl(url: string, detail?: ImageDetail): ContentPart {
  return create(ContentPartSchema, { part: { case: "imageUrl", value: { url, ...(detail !== undefined && { detail }) } } });
}

/** Returns an image part with the bytes of a file and its media type, such as `image/png`. */
export function image(bytes: Uint8Array, mediaType: string, detail?: ImageDetail): ContentPart {
  return imageUrl(dataUrl(bytes, mediaType), detail);
}

/** Returns an audio part with the bytes of a file. */
export function audio(data: Uint8Array, format: "wav" | "mp3"): ContentPart {
  return create(ContentPartSchema, {
    part: { case: "inputAudio", value: { data, format: format === "wav" ? InputAudioFormat.WAV : InputAudioFormat.MP3 } },
  });
}

/** Returns a file part with a name and the bytes of a file. */
export function file(filename: string, bytes: Uint8Array, mediaType = "application/pdf"): ContentPart {
  return create(ContentPartSchema, { part: { case: "file", value: { filename, fileData: dataUrl(bytes, mediaType) } } });
}

/** Returns a file part that refers to an uploaded file. */
export function fileId(fileId: string): ContentPart {
  return create(ContentPartSchema, { part: { case: "file", value: { fileId } } });
}

function message(role: Role, content: Content): Message {
  const [first] = content;
  return create(
    MessageSchema,
    content.length === 1 && typeof first === "string"
      ? { role, content: first }
      : { role, contentParts: content.map((each) => (typeof each === "string" ? text(each) : each)) },
  );
}

function part(part: ContentPart["part"]): ContentPart {
  return create(ContentPartSchema, { part });
}

function dataUrl(bytes: Uint8Array, mediaType: string): string {
  return `data:${mediaType};base64,${base64Encode(bytes)}`;
}

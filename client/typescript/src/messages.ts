import { create } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";

import { type ContentPart, ContentPartSchema, type ImageDetail, InputAudioFormat, type Message, MessageSchema, Role } from "./gen/openaiconnect/chat/v1/message_pb.js";

/** What a message says: one text, or parts, of which a string is a text part. */
type Content = (string | ContentPart)[];

/** A message of the user: `user("Hello!")`, `user("What is this?", imageUrl(url))`. */
export function user(...content: Content): Message {
  return message(Role.USER, content);
}

/** Instructions, for models before o1. */
export function system(...content: Content): Message {
  return message(Role.SYSTEM, content);
}

/** Instructions of the developer, which come before those of the user. */
export function developer(...content: Content): Message {
  return message(Role.DEVELOPER, content);
}

/** What the model said. An answer's own message needs none of this: it goes back as it is. */
export function assistant(...content: Content): Message {
  return message(Role.ASSISTANT, content);
}

/** The result of a tool call, by the call's id. */
export function toolResult(toolCallId: string, ...content: Content): Message {
  return Object.assign(message(Role.TOOL, content), { toolCallId });
}

/** A part of a message: text. */
export function text(text: string): ContentPart {
  return part({ case: "text", value: text });
}

/** A part of a message: an image, by its address or a data URL. */
export function imageUrl(url: string, detail?: ImageDetail): ContentPart {
  return create(ContentPartSchema, { part: { case: "imageUrl", value: { url, ...(detail !== undefined && { detail }) } } });
}

/** A part of a message: an image, by a file's bytes and its type, such as `image/png`. */
export function image(bytes: Uint8Array, mediaType: string, detail?: ImageDetail): ContentPart {
  return imageUrl(dataUrl(bytes, mediaType), detail);
}

/** A part of a message: speech or other sound, by a file's bytes. */
export function audio(data: Uint8Array, format: "wav" | "mp3"): ContentPart {
  return create(ContentPartSchema, {
    part: { case: "inputAudio", value: { data, format: format === "wav" ? InputAudioFormat.WAV : InputAudioFormat.MP3 } },
  });
}

/** A part of a message: a file for the model to read, by its name and bytes. */
export function file(filename: string, bytes: Uint8Array, mediaType = "application/pdf"): ContentPart {
  return create(ContentPartSchema, { part: { case: "file", value: { filename, fileData: dataUrl(bytes, mediaType) } } });
}

/** A part of a message: a file that was uploaded before. */
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

import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { toJson } from "@bufbuild/protobuf";

import { assistant, audio, type ContentPart, ContentPartSchema, developer, file, fileId, image, ImageDetail, imageUrl, type Message, MessageSchema, system, text, toolResult, user } from "../src/index.js";

const bytes = new Uint8Array([1, 2, 3]);

suite("message helpers create", () => {
  for (const [name, message, want] of [
    ["a user message", user("Hello!"), { role: "ROLE_USER", content: "Hello!" }],
    ["an empty user message", user(""), { role: "ROLE_USER", content: "" }],
    ["a system message", system("Be brief."), { role: "ROLE_SYSTEM", content: "Be brief." }],
    ["a developer message", developer("Be brief."), { role: "ROLE_DEVELOPER", content: "Be brief." }],
    ["an assistant message", assistant("Yes."), { role: "ROLE_ASSISTANT", content: "Yes." }],
    ["a tool message", toolResult("call_1", "21 °C"), { role: "ROLE_TOOL", toolCallId: "call_1", content: "21 °C" }],
    ["a user message with parts, where a string is a text part", user("What is this?", imageUrl("https://x.example/a.png")), {
      role: "ROLE_USER",
      contentParts: [{ text: "What is this?" }, { imageUrl: { url: "https://x.example/a.png" } }],
    }],
    ["a user message with one part", user(text("Hello!")), { role: "ROLE_USER", contentParts: [{ text: "Hello!" }] }],
  ] satisfies [string, Message, object][]) {
    test(name, () => assert.deepEqual(toJson(MessageSchema, message), want));
  }
});

suite("part helpers create", () => {
  for (const [name, part, want] of [
    ["an image URL with high detail", imageUrl("https://x.example/a.png", ImageDetail.HIGH), {
      imageUrl: { url: "https://x.example/a.png", detail: "IMAGE_DETAIL_HIGH" },
    }],
    ["an image from bytes", image(bytes, "image/png"), { imageUrl: { url: "data:image/png;base64,AQID" } }],
    ["an image from bytes with low detail", image(bytes, "image/png", ImageDetail.LOW), {
      imageUrl: { url: "data:image/png;base64,AQID", detail: "IMAGE_DETAIL_LOW" },
    }],
    ["WAV audio", audio(bytes, "wav"), { inputAudio: { data: "AQID", format: "INPUT_AUDIO_FORMAT_WAV" } }],
    ["MP3 audio", audio(bytes, "mp3"), { inputAudio: { data: "AQID", format: "INPUT_AUDIO_FORMAT_MP3" } }],
    ["a PDF file", file("a.pdf", bytes), { file: { filename: "a.pdf", fileData: "data:application/pdf;base64,AQID" } }],
    ["a file of another type", file("a.txt", bytes, "text/plain"), { file: { filename: "a.txt", fileData: "data:text/plain;base64,AQID" } }],
    ["a file ID", fileId("file-1"), { file: { fileId: "file-1" } }],
  ] satisfies [string, ContentPart, object][]) {
    test(name, () => assert.deepEqual(toJson(ContentPartSchema, part), want));
  }
});

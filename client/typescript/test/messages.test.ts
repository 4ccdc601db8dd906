import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { toJson } from "@bufbuild/protobuf";

import { assistant, audio, type ContentPart, ContentPartSchema, developer, file, fileId, image, ImageDetail, imageUrl, type Message, MessageSchema, system, text, toolResult, user } from "../src/index.js";

const bytes = new Uint8Array([1, 2, 3]);

suite("a message", () => {
  for (const [name, message, want] of [
    ["of the user", user("Hello!"), { role: "ROLE_USER", content: "Hello!" }],
    ["with an empty string", user(""), { role: "ROLE_USER", content: "" }],
    ["of the system", system("Be brief."), { role: "ROLE_SYSTEM", content: "Be brief." }],
    ["of the developer", developer("Be brief."), { role: "ROLE_DEVELOPER", content: "Be brief." }],
    ["of the model", assistant("Yes."), { role: "ROLE_ASSISTANT", content: "Yes." }],
    ["with a tool's result", toolResult("call_1", "21 °C"), { role: "ROLE_TOOL", toolCallId: "call_1", content: "21 °C" }],
    ["in parts, with a string as a text part", user("What is this?", imageUrl("https://x.example/a.png")), {
      role: "ROLE_USER",
      contentParts: [{ text: "What is this?" }, { imageUrl: { url: "https://x.example/a.png" } }],
    }],
    ["with one part", user(text("Hello!")), { role: "ROLE_USER", contentParts: [{ text: "Hello!" }] }],
  ] satisfies [string, Message, object][]) {
    test(name, () => assert.deepEqual(toJson(MessageSchema, message), want));
  }
});

suite("a part", () => {
  for (const [name, part, want] of [
    ["image URL with high detail", imageUrl("https://x.example/a.png", ImageDetail.HIGH), {
      imageUrl: { url: "https://x.example/a.png", detail: "IMAGE_DETAIL_HIGH" },
    }],
    ["image from bytes", image(bytes, "image/png"), { imageUrl: { url: "data:image/png;base64,AQID" } }],
    ["image from bytes with low detail", image(bytes, "image/png", ImageDetail.LOW), {
      imageUrl: { url: "data:image/png;base64,AQID", detail: "IMAGE_DETAIL_LOW" },
    }],
    ["audio as WAV", audio(bytes, "wav"), { inputAudio: { data: "AQID", format: "INPUT_AUDIO_FORMAT_WAV" } }],
    ["audio as MP3", audio(bytes, "mp3"), { inputAudio: { data: "AQID", format: "INPUT_AUDIO_FORMAT_MP3" } }],
    ["file", file("a.pdf", bytes), { file: { filename: "a.pdf", fileData: "data:application/pdf;base64,AQID" } }],
    ["file of another type", file("a.txt", bytes, "text/plain"), { file: { filename: "a.txt", fileData: "data:text/plain;base64,AQID" } }],
    ["file by ID", fileId("file-1"), { file: { fileId: "file-1" } }],
  ] satisfies [string, ContentPart, object][]) {
    test(name, () => assert.deepEqual(toJson(ContentPartSchema, part), want));
  }
});

/**
 * OpenAI's Chat Completions API, typed: a client with the conveniences of
 * OpenAI's own SDK, the messages and the service.
 *
 * @packageDocumentation
 */
export { Accumulator } from "./accumulator.js";
export { type CallOptions, Chat, type ChatRequest, type OutputFormat } from "./chat.js";
export { type ClientOptions, OpenAIConnect } from "./client.js";
export { APIError, OutputError } from "./error.js";
export { assistant, audio, developer, file, fileId, image, imageUrl, system, text, toolResult, user } from "./messages.js";
export { ChatStream } from "./stream.js";
export { type RunnableTool, tool, type ToolRun, type ToolRunOptions } from "./tools.js";

export * from "./gen/openaiconnect/chat/v1/chat_completion_pb.js";
export * from "./gen/openaiconnect/chat/v1/chat_completion_chunk_pb.js";
export * from "./gen/openaiconnect/chat/v1/chat_service_pb.js";
export * from "./gen/openaiconnect/chat/v1/create_chat_completion_pb.js";
export * from "./gen/openaiconnect/chat/v1/message_pb.js";
export * from "./gen/openaiconnect/chat/v1/moderation_pb.js";
export * from "./gen/openaiconnect/chat/v1/response_format_pb.js";
export * from "./gen/openaiconnect/chat/v1/stored_chat_completion_pb.js";
export * from "./gen/openaiconnect/chat/v1/tool_pb.js";
export * from "./gen/openaiconnect/rest/v1/error_pb.js";
export * from "./gen/openaiconnect/shared/v1/grammar_pb.js";
export * from "./gen/openaiconnect/shared/v1/list_order_pb.js";
export * from "./gen/openaiconnect/shared/v1/modality_pb.js";
export * from "./gen/openaiconnect/shared/v1/moderation_pb.js";
export * from "./gen/openaiconnect/shared/v1/prompt_cache_pb.js";
export * from "./gen/openaiconnect/shared/v1/reasoning_effort_pb.js";
export * from "./gen/openaiconnect/shared/v1/service_tier_pb.js";
export * from "./gen/openaiconnect/shared/v1/tool_choice_pb.js";
export * from "./gen/openaiconnect/shared/v1/verbosity_pb.js";
export * from "./gen/openaiconnect/shared/v1/voice_pb.js";
export * from "./gen/openaiconnect/shared/v1/web_search_pb.js";

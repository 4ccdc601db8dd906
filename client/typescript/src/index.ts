/**
 * OpenAI's Chat Completions API, typed: the messages and the service, for a
 * Connect client over a transport of your choice.
 *
 * @packageDocumentation
 */
export * from "./gen/openai/chat/v1/chat_completion_pb.js";
export * from "./gen/openai/chat/v1/chat_completion_chunk_pb.js";
export * from "./gen/openai/chat/v1/chat_service_pb.js";
export * from "./gen/openai/chat/v1/create_chat_completion_pb.js";
export * from "./gen/openai/chat/v1/message_pb.js";
export * from "./gen/openai/chat/v1/moderation_pb.js";
export * from "./gen/openai/chat/v1/prompt_cache_pb.js";
export * from "./gen/openai/chat/v1/response_format_pb.js";
export * from "./gen/openai/chat/v1/stored_chat_completion_pb.js";
export * from "./gen/openai/chat/v1/tool_pb.js";
export * from "./gen/openai/rest/v1/error_pb.js";

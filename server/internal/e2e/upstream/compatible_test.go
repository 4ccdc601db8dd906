package upstream_test

import (
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// The fixtures are in testdata/upstreams. Its README names the sources.

// Responses that OpenAI itself does not send.
func TestCompatible_ResponsesArriveCompletely(t *testing.T) {
	t.Parallel()
	rows := []struct {
		fixture string
		facts   facts
	}{
		{"vllm/unary.json", facts{
			"choices[0].message.content":    "Lyon has about half a million inhabitants.",
			"choices[0].message.extra_json": `{"reasoning":"The city proper, not the metropolis.","reasoning_content":"The city proper, not the metropolis."}`,
			"choices[0].finish_reason":      "FINISH_REASON_STOP",
			"choices[0].extra_json":         `{"stop_reason":151645,"token_ids":null,"routed_experts":null}`,
			"usage.completion_tokens":       "28",
			"extra_json":                    `{"prompt_logprobs":[null,{"2610":{"logprob":-0.0625,"rank":1,"decoded_token":"You"}}],"prompt_token_ids":null,"kv_transfer_params":null}`,
		}},
		{"ollama/unary.json", facts{
			"choices[0].message.content":                          "",
			"choices[0].message.extra_json":                       `{"reasoning":"I have to look at the sky."}`,
			"choices[0].message.tool_calls[1].function.arguments": `{"city":"Bergen"}`,
			"choices[0].message.tool_calls[1].extra_json":         `{"index":1}`,
			"choices[0].finish_reason":                            "FINISH_REASON_TOOL_CALLS",
			"system_fingerprint":                                  "fp_ollama",
			"usage.total_tokens":                                  "222",
		}},
		{"ollama/unary-load.json", facts{
			"choices[0].finish_reason": "",
			"choices[0].extra_json":    `{"finish_reason":"load"}`,
			"usage.prompt_tokens":      "0",
		}},
		{"llama.cpp/unary.json", facts{
			"choices[0].message.content":    "Because of Rayleigh",
			"choices[0].message.extra_json": `{"reasoning_content":"Short answer."}`,
			"choices[0].finish_reason":      "FINISH_REASON_LENGTH",
			"usage.prompt_tokens":           "70",
		}},
		{"localai/unary.json", facts{
			"choices[0].message.tool_calls[0].function.name":            "set_timer",
			"choices[0].message.tool_calls[0].extra_json":               `{"index":0}`,
			"choices[0].logprobs.content[0].bytes":                      "VGhl",
			"choices[0].logprobs.content[0].extra_json":                 `{"id":785}`,
			"choices[0].logprobs.content[0].top_logprobs[0].extra_json": `{"id":785}`,
			"choices[0].finish_reason":                                  "FINISH_REASON_TOOL_CALLS",
			"usage.total_tokens":                                        "121",
			"usage.extra_json":                                          `{"timing_prompt_processing":118.42,"timing_token_generation":905.7}`,
		}},
		{"deepseek/unary.json", facts{
			"choices[0].message.content":                       "9.8 is larger.",
			"choices[0].message.extra_json":                    `{"reasoning_content":"Compare 0.80 with 0.11."}`,
			"choices[0].finish_reason":                         "FINISH_REASON_STOP",
			"usage.prompt_tokens_details.cached_tokens":        "64",
			"usage.completion_tokens_details.reasoning_tokens": "32",
			"usage.extra_json":                                 `{"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":19}`,
		}},
		{"openrouter/unary.json", facts{
			"choices[0].message.content":                 "Seventeen.",
			"choices[0].message.extra_json":              `{"reasoning":"Add ten and seven.","reasoning_details":[{"type":"reasoning.text","text":"Add ten and seven.","signature":"EqQBCkYIBRgCKkA=","format":"anthropic-claude-v1","index":0}]}`,
			"choices[0].extra_json":                      `{"native_finish_reason":"end_turn"}`,
			"usage.completion_tokens_details.extra_json": `{"image_tokens":0}`,
			"usage.prompt_tokens_details.extra_json":     `{"video_tokens":0}`,
			"usage.extra_json":                           `{"cost":0.000447,"is_byok":false,"cost_details":{"upstream_inference_cost":null,"upstream_inference_prompt_cost":0.000132,"upstream_inference_completions_cost":0.000315}}`,
			"extra_json":                                 `{"provider":"Anthropic"}`,
		}},
		{"openrouter/unary-choice-error.json", facts{
			"choices[0].message.content": "The first",
			"choices[0].finish_reason":   "",
			"choices[0].extra_json":      `{"finish_reason":"error","native_finish_reason":"error","error":{"code":502,"message":"Upstream error from Chutes","metadata":{"provider_name":"Chutes"}}}`,
		}},
		{"azure/unary.json", facts{
			"choices[0].message.content": "A whale is a mammal.",
			"choices[0].finish_reason":   "FINISH_REASON_STOP",
			"choices[0].extra_json":      `{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"protected_material_code":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"low"}}}`,
			"usage.total_tokens":         "20",
			"extra_json":                 `{"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}}]}`,
		}},
		{"mistral/unary.json", facts{
			"choices[0].message.content_parts[0].extra_json": `{"type":"thinking","thinking":[{"type":"text","text":"Two trains meet "},{"type":"reference","reference_ids":[3]}],"closed":true}`,
			"choices[0].message.content_parts[1].text":       "They meet at noon.",
			"choices[0].message.extra_json":                  `{"prefix":false}`,
			"choices[0].finish_reason":                       "",
			"choices[0].extra_json":                          `{"finish_reason":"model_length"}`,
			"usage.completion_tokens":                        "40",
			"usage.extra_json":                               `{"prompt_audio_seconds":null,"num_cached_tokens":0}`,
		}},
		{"groq/unary.json", facts{
			"choices[0].message.content":    "Fast inference.",
			"choices[0].message.extra_json": `{"reasoning":"Be brief.","channel":"final"}`,
			"usage.total_tokens":            "24",
			"usage.extra_json":              `{"queue_time":0.037493756,"prompt_time":0.000680594,"completion_time":0.0463333,"total_time":0.047013894}`,
			"service_tier":                  "",
			"extra_json":                    `{"usage_breakdown":null,"x_groq":{"id":"req_01jbd6g2qdfw2adyrt2az8hz4w","seed":982013},"service_tier":"on_demand"}`,
		}},
		{"gemini/unary.json", facts{
			"choices[0].message.extra_json":                       `{"extra_content":{"google":{"thought":true}}}`,
			"choices[0].message.tool_calls[0].function.arguments": `{"location":"Sydney"}`,
			"choices[0].message.tool_calls[0].extra_json":         `{"extra_content":{"google":{"thought_signature":"EjQKMgEMOdbHJChLX75QUCJjyYlm"}}}`,
			"choices[0].finish_reason":                            "FINISH_REASON_TOOL_CALLS",
			"usage.total_tokens":                                  "225",
		}},
		{"quirks/unary-types.json", facts{
			"id":                                  "",
			"created":                             "",
			"usage":                               "",
			"choices[0].index":                    "",
			"choices[0].message.extra_json":       `{"role":""}`,
			"choices[0].message.tool_calls[0].id": "c1",
			"choices[0].message.tool_calls[0].function.name":       "f",
			"choices[0].message.tool_calls[0].function.extra_json": `{"arguments":{"deep": [1.0, {"a":null}]}}`,
			"choices[0].extra_json":                                `{"finish_reason":["stop"],"index":"0"}`,
			"extra_json":                                           `{"id":17,"object":"text_completion","created":1763800100.25,"usage":"unknown","error":null,"service_tier":"gold"}`,
		}},
		{"quirks/unary-nothing.json", facts{
			"id":         "x",
			"choices":    "",
			"usage":      "",
			"extra_json": `{"base_resp":{"status_code":0,"status_msg":""}}`,
		}},
	}
	scripts := make(map[string]e2etest.Script)
	for _, row := range rows {
		scripts[row.fixture] = e2etest.Reply(200, readFixture(t, row.fixture), e2etest.JSONType)
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for _, row := range rows {
				t.Run(row.fixture, func(t *testing.T) {
					got := new(chatv1.ChatCompletion)
					c := e2etest.Call{Method: e2etest.UnaryMethod, Request: e2etest.Hello(), Metadata: scripted(row.fixture)}
					if _, err := client.Unary(e2etest.Context(t), c, got); err != nil {
						t.Fatal(err)
					}
					checkComplete(t, readFixture(t, row.fixture), got)
					row.facts.check(t, e2etest.JSONTree(t, got))
				})
			}
		})
	}
}

// Streams that are complete, in various forms.
func TestCompatible_StreamsArriveCompletely(t *testing.T) {
	t.Parallel()
	rows := []struct {
		fixture string
		chunks  int
		text    string
		choices int32 // number of choices requested
		facts   facts
	}{
		{"vllm/stream.txt", 5, "Three letters.", 1, facts{
			"[0].extra_json":                           `{"prompt_token_ids":null}`,
			"[1].choices[0].delta.extra_json":          `{"reasoning_content":"Count the letters."}`,
			"[1].usage.completion_tokens":              "4",
			"[2].choices[0].logprobs.content[0].token": "token_id:19641",
			"[3].choices[0].finish_reason":             "FINISH_REASON_STOP",
			"[3].choices[0].extra_json":                `{"stop_reason":null,"token_ids":null}`,
			"[4].usage.total_tokens":                   "20",
		}},
		{"ollama/stream.txt", 6, "Good day!", 1, facts{
			"[0].choices[0].delta.extra_json":                       `{"reasoning":"Greet back."}`,
			"[2].choices[0].delta.role":                             "ROLE_ASSISTANT",
			"[3].choices[0].delta.tool_calls[0].function.arguments": `{"hand":"left"}`,
			"[4].choices[0].finish_reason":                          "FINISH_REASON_TOOL_CALLS",
			"[5].usage.total_tokens":                                "53",
		}},
		{"llama.cpp/stream.txt", 6, "Scattered light", 1, facts{
			"[1].choices[0].delta.extra_json": `{"reasoning_content":"Hm."}`,
			"[1].extra_json":                  `{"prompt_progress":{"total":70,"cache":0,"processed":70,"time_ms":201}}`,
			"[4].choices[0].finish_reason":    "FINISH_REASON_STOP",
			"[5].usage.completion_tokens":     "9",
			"[5].extra_json":                  `{"timings":{"prompt_n":0,"prompt_ms":0.0,"prompt_per_token_ms":null,"prompt_per_second":null,"predicted_n":9,"predicted_ms":933.63}}`,
		}},
		{"localai/stream.txt", 4, "Ok", 1, facts{
			"[0].choices[0].extra_json":    `{"finish_reason":""}`,
			"[1].choices[0].extra_json":    `{"finish_reason":""}`,
			"[2].choices[0].extra_json":    "",
			"[3].choices[0].finish_reason": "FINISH_REASON_STOP",
			"[3].choices[0].extra_json":    `{"text":""}`,
			"[3].usage.extra_json":         `{"timing_prompt_processing":12.5,"timing_token_generation":40.25}`,
		}},
		{"deepseek/stream.txt", 4, "It is 9.8", 1, facts{
			"[0].choices[0].delta.extra_json": `{"reasoning_content":""}`,
			"[1].choices[0].delta.extra_json": `{"reasoning_content":"Two digits"}`,
			"[2].choices[0].delta.extra_json": `{"reasoning_content":null}`,
			"[3].choices[0].extra_json":       `{"finish_reason":"insufficient_system_resource"}`,
			"[3].usage.extra_json":            `{"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":19}`,
		}},
		{"openrouter/stream.txt", 4, "Bonjour!", 1, facts{
			"[0].choices[0].delta.extra_json": `{"reasoning":"Say it in French.","reasoning_details":[{"type":"reasoning.encrypted","data":"CikB0e2Kb7c=","format":"google-gemini-v1","index":0}]}`,
			"[0].extra_json":                  `{"provider":"Google"}`,
			"[2].choices[0].finish_reason":    "FINISH_REASON_STOP",
			"[2].choices[0].extra_json":       `{"native_finish_reason":"STOP"}`,
			"[3].choices[0].extra_json":       `{"native_finish_reason":null}`,
			"[3].usage.extra_json":            `{"cost":7.68e-05,"is_byok":false,"cost_details":{"upstream_inference_cost":null}}`,
		}},
		{"azure/stream.txt", 7, "A mammal", 1, facts{
			"[0].choices":                  "",
			"[0].extra_json":               `{"object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"error":{"code":"","message":""},"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false}}}]}`,
			"[2].choices[0].extra_json":    `{"content_filter_results":{}}`,
			"[3].choices[0].delta":         "",
			"[3].choices[0].extra_json":    `{"content_filter_results":{"violence":{"filtered":false,"severity":"safe"}},"content_filter_offsets":{"check_offset":44,"start_offset":44,"end_offset":52}}`,
			"[4].choices[0].finish_reason": "FINISH_REASON_STOP",
			"[6].usage.total_tokens":       "16",
		}},
		{"mistral/stream.txt", 5, "At noon.", 1, facts{
			"[1].choices[0].delta.content":                           "",
			"[1].choices[0].delta.extra_json":                        `{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Noon?"}]}]}`,
			"[1].choices[0].extra_json":                              `{"p":"abcdefghij"}`,
			"[4].choices[0].delta.tool_calls[0].id":                  "null",
			"[4].choices[0].delta.tool_calls[0].function.extra_json": `{"arguments":{"times": 12}}`,
			"[4].choices[0].delta.tool_calls[1].index":               "1",
			"[4].choices[0].extra_json":                              `{"finish_reason":"model_length"}`,
			"[4].usage.total_tokens":                                 "31",
		}},
		{"groq/stream.txt", 3, "Fast.", 1, facts{
			"[0].extra_json":               `{"x_groq":{"id":"req_01jbd6g2qdfw2adyrt2az8hz4x"}}`,
			"[2].choices[0].finish_reason": "FINISH_REASON_STOP",
			"[2].usage":                    "",
			"[2].extra_json":               `{"x_groq":{"id":"req_01jbd6g2qdfw2adyrt2az8hz4x","usage":{"queue_time":0.0266,"prompt_tokens":18,"completion_tokens":3,"total_tokens":21,"total_time":0.0031}}}`,
		}},
		{"gemini/stream.txt", 3, "<thought>Look it up.", 1, facts{
			"[0].choices[0].delta.extra_json": `{"extra_content":{"google":{"thought":true}}}`,
			"[1].id":                          "",
			"[1].choices[0].delta.tool_calls[0].index":      "",
			"[1].choices[0].delta.tool_calls[0].id":         "call_297140",
			"[1].choices[0].delta.tool_calls[0].extra_json": `{"extra_content":{"google":{"thought_signature":"EjQK/+8="}}}`,
			"[1].choices[0].delta.tool_calls[1].id":         "",
			"[2].choices[0].finish_reason":                  "FINISH_REASON_STOP",
			"[2].usage.total_tokens":                        "225",
		}},
		// No space after `data:`, no index, choices that are null, and no [DONE]. The
		// stream is complete because of its finish_reason, which is unknown.
		{"quirks/stream-no-done.txt", 3, "no space", 1, facts{
			"[0].created":                     "",
			"[0].extra_json":                  `{"created":1763800101.5}`,
			"[0].choices[0].index":            "",
			"[0].choices[0].delta.extra_json": `{"role":""}`,
			"[1].choices":                     "",
			"[2].choices[0].extra_json":       `{"finish_reason":"eos_token"}`,
		}},
		// A byte order mark, CRLF, a named event, an id, two data lines, and a
		// finish_reason that is an object.
		{"quirks/stream-crlf.txt", 2, "ab", 1, facts{
			"[1].choices[0].delta.content": "b",
			"[1].choices[0].extra_json":    `{"finish_reason":{"type":"stop"}}`,
		}},
		{"quirks/stream-two-choices.txt", 3, "ba", 2, facts{
			"[0].choices[0].index":         "1",
			"[0].choices[0].finish_reason": "FINISH_REASON_STOP",
			"[1].choices[0].extra_json":    `{"finish_reason":""}`,
			"[2].choices[0].delta":         "",
			"[2].choices[0].extra_json":    `{"finish_reason":"done"}`,
		}},
	}
	scripts := make(map[string]e2etest.Script)
	for _, row := range rows {
		scripts[row.fixture] = e2etest.Stream(readFixture(t, row.fixture))
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for _, row := range rows {
				t.Run(row.fixture, func(t *testing.T) {
					sent := eventData(readFixture(t, row.fixture))
					if len(sent) != row.chunks {
						t.Fatalf("got %d events in the fixture, want %d", len(sent), row.chunks)
					}
					request := e2etest.Hello()
					request.N = &row.choices
					all, text, err := receiveAll(t, client, e2etest.Call{Method: e2etest.StreamMethod, Request: request, Metadata: scripted(row.fixture)}, sent)
					if err != nil {
						t.Error(err)
					}
					if len(all.Items) != row.chunks || text != row.text {
						t.Errorf("got %d chunks with text %[3]q, want %[2]d with %[4]q", len(all.Items), row.chunks, text, row.text)
					}
					row.facts.check(t, all)
				})
			}
		})
	}
}

// receiveAll receives a stream and compares its chunks with the events sent.
func receiveAll(t *testing.T, client e2etest.Client, c e2etest.Call, sent []string) (all jsontree.Value, text string, err error) {
	t.Helper()
	all.Kind = jsontree.Array
	var b strings.Builder
	_, err = client.Stream(e2etest.Context(t), c, func(chunk *chatv1.ChatCompletionChunk) {
		if len(all.Items) < len(sent) {
			checkComplete(t, sent[len(all.Items)], chunk)
		}
		all.Items = append(all.Items, e2etest.JSONTree(t, chunk))
		b.WriteString(e2etest.ChunkText(chunk))
	})
	return all, b.String(), err
}

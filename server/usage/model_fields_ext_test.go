package usage_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/usage"
)

func TestModelFields_FindsModelsInBody(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, target, body string
		model              string
		others             []string
	}{
		// OpenAI.
		{"a tool", "/v1/responses", `{"model":"m","tools":[{"type":"web_search"},{"type":"image_generation","model":"x"}]}`, "m", []string{"x"}},
		{"a tool in a namespace", "/v1/responses", `{"model":"m","tools":[{"type":"namespace","tools":[{"model":"x"}]}]}`, "m", []string{"x"}},
		{"a tool in an item", "/v1/responses", `{"model":"m","input":[{"role":"user"},{"tools":[{"model":"x"}]}]}`, "m", []string{"x"}},
		{"a tool of a conversation", "/v1/conversations", `{"items":[{"tools":[{"model":"x"}]}]}`, "", []string{"x"}},
		{"moderation", chat, `{"moderation":{"model":"x"},"model":"m"}`, "m", []string{"x"}},
		{"the same model twice", chat, `{"moderation":{"model":"x"},"model":"m","tools":[{"model":"x"},{"model":"m"}]}`, "m", []string{"x"}},
		{"transcription of a session", "/v1/realtime/client_secrets", `{"session":{"model":"m","audio":{"input":{"transcription":{"model":"x"}}}}}`, "m", []string{"x"}},
		{"transcription of a legacy session", "/v1/realtime/sessions", `{"model":"m","input_audio_transcription":{"model":"x"}}`, "m", []string{"x"}},
		{"transcription of a call", "/v1/realtime/calls/c/accept", `{"model":"m","audio":{"input":{"transcription":{"model":"x"}}}}`, "m", []string{"x"}},
		{"a source of an eval's data", "/v1/evals/e/runs", `{"data_source":{"model":"x","source":{"model":"y"},"sampling_params":{"tools":[{"model":"z"}]}}}`, "", []string{"x", "y", "z"}},
		{"a grader", "/v1/fine_tuning/alpha/graders/run", `{"grader":{"type":"multi","graders":{"a":{"model":"x"},"model":"y"}},"model_sample":"text"}`, "", []string{"x", "y"}},
		{"a grader of fine-tuning", "/v1/fine_tuning/jobs", `{"model":"m","method":{"reinforcement":{"grader":{"model":"x","graders":{"model":"y"}}}}}`, "m", []string{"x", "y"}},
		{"testing criteria", "/v1/evals", `{"testing_criteria":[{"model":"x"}]}`, "", []string{"x"}},
		// Other servers.
		{"models", chat, `{"model":"m","models":["x","y"]}`, "m", []string{"x", "y"}},
		{"fallbacks", chat, `{"model":"m","fallbacks":["x",{"m":["y"]},{"model":"z","messages":[{"role":"user"}]}]}`, "m", []string{"x", "y", "z"}},
		{"fallbacks of other kinds", chat, `{"model":"m","context_window_fallbacks":[{"m":["x"]}],"content_policy_fallbacks":[{"m":["y"]}]}`, "m", []string{"x", "y"}},
		{"extra_body", chat, `{"model":"m","extra_body":{"model":"x","extra_body":{"models":["y"]}}}`, "m", []string{"x", "y"}},
		{"a name like a model's", chat, `{"model":"m","judge_model":"x","draft_models":["y"],"target_model_names":"z","include_model":true}`, "m", []string{"x", "y", "z"}},
		{"an adapter", "/v1/load_lora_adapter", `{"lora_name":"x","lora_path":"/y"}`, "", []string{"x", "/y"}},
		{"data with embeddings", "/openai/deployments/m/chat/completions", `{"data_sources":[{"parameters":{"embedding_dependency":{"deployment_name":"x"}}}]}`, "m", []string{"x"}},
		{"requests", "/v1/messages/batches", `{"requests":[{"params":{"model":"x"}},{"params":{"model":"y"}}]}`, "", []string{"x", "y"}},
		{"Ollama's name", "/api/pull", `{"name":"x"}`, "x", nil},
		{"Ollama's name and the model", "/api/create", `{"name":"x","model":"m","from":"y"}`, "m", []string{"x", "y"}},
		{"Ollama's copy", "/ollama/api/copy", `{"source":"x","destination":"y"}`, "", []string{"x", "y"}},
		{"a legacy engine", chat, `{"engine":"x"}`, "x", nil},
		{"a name in another case", chat, `{"model":"m","MODELſ":["x"],"Tools":[{"mo\u0064el":"y"}],"model\u0000s ":["z"]}`, "m", []string{"x", "y", "z"}},
		// Fields that do not name models.
		{"a schema", chat, `{"model":"m","tools":[{"type":"function","function":{"name":"model","parameters":{"properties":{"model":{"type":"string","enum":["x"]}},"model":"x"}}}]}`, "m", nil},
		{"a schema of a flat tool", "/v1/responses", `{"model":"m","tools":[{"type":"function","parameters":{"model":"x","models":["x"]}}],"text":{"format":{"schema":{"model":"x"}}}}`, "m", nil},
		{"metadata", chat, `{"model":"m","metadata":{"model":"x","models":["y"],"session":{"model":"z"}}}`, "m", nil},
		{"content and arguments", chat, `{"model":"m","messages":[{"model":"x","content":[{"model":"x"}],"tool_calls":[{"function":{"arguments":"{\"model\":\"x\"}"}}]}],"functions":[{"model":"x"}]}`, "m", nil},
		{"input", "/v1/responses", `{"model":"m","input":[{"model":"x","content":[{"tools":[{"model":"x"}]}]}],"prompt":{"variables":{"model":"x"}}}`, "m", nil},
		{"a name of another API", "/v1/vector_stores", `{"name":"x","from":"y","source":"z"}`, "", nil},
		{"an object by a model's name", chat, `{"model":"m","deployments":null,"response_model":{"model":"x"}}`, "m", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := usage.ReadRequest(t.Context(), "POST", row.target, http.Header{"Content-Type": {typeJSON}}, strings.NewReader(row.body), maximum)
			if err != nil {
				t.Fatal(err)
			}
			if got.Model != row.model || !slices.Equal(got.OtherModels, row.others) || !got.Complete || got.Opaque {
				t.Errorf("got models %q and %q, complete %t, want %q and %q", got.Model, got.OtherModels, got.Complete, row.model, row.others)
			}
		})
	}
}

func TestModelFields_IncompleteIfAModelCannotBeRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for _, body := range []string{
		`{"model":"m","tools":[{"model":5}]}`,
		`{"model":"m","tools":[{"model":{}}]}`,
		`{"model":"m","tools":[{"model":"` + long + `"}]}`,
		`{"model":"m","models":"` + long + `"}`,
		`{"model":"m","models":{"a":"x"}}`,
		`{"model":"m","models":[{"a":"x"}]}`,
		`{"model":"m","models":[["x"]]}`,
		`{"model":"m","models":[true]}`,
		`{"model":"m","fallbacks":[[["x"]]]}`,
		`{"model":"m","fallbacks":[{"m":5}]}`,
		`{"model":"m","user_config":{"model_list":[]}}`,
		`{"model":"m","router_settings_override":{"fallbacks":["x"]}}`,
		`{"model":"m","extra_body":` + strings.Repeat(`{"extra_body":`, 70) + `1` + strings.Repeat("}", 70) + `}`,
		manyModels(65),
		`{"model":["m"]}`,
		`{"model":null}`,
		`{"model":{}}`,
	} {
		got, _, err := usage.ReadRequest(t.Context(), "POST", chat, http.Header{"Content-Type": {typeJSON}}, strings.NewReader(body), maximum)
		if err != nil || got.Complete || !got.Opaque {
			t.Errorf("%.200s: ReadRequest() = %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{manyModels(64), `{"model":"m","models":null,"fallbacks":null,"user_config":null,"tools":[{"model":null}]}`, `{"model":"m","models":[]}`} {
		if got, _, err := usage.ReadRequest(t.Context(), "POST", chat, http.Header{"Content-Type": {typeJSON}}, strings.NewReader(body), maximum); err != nil || !got.Complete {
			t.Errorf("%.200s: ReadRequest() = %+v, %v", body, got, err)
		}
	}
}

// manyModels returns a request with n models in addition to the main one.
func manyModels(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = `"` + strings.Repeat("x", i+1) + `"`
	}
	return `{"model":"m","models":[` + strings.Join(names, ",") + `]}`
}

func TestModelFields_FindsModelsInTargetAndHeader(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, method, target string
		header               http.Header
		model                string
		others               []string
	}{
		{"the query", "POST", chat + "?model=x", nil, "", []string{"x"}},
		{"the query in another spelling", "POST", chat + "?a=1&%4Dodel=x&models[]=y;deployment=z", nil, "", []string{"x", "y", "z"}},
		{"a list in the query", "GET", "/v1/organization/usage/completions?models=x,y&models=z", nil, "", []string{"x", "y", "z"}},
		{"a deployment in the query", "POST", "/openai/images/generations?deployment_id=x", nil, "", []string{"x"}},
		{"LiteLLM's field", "POST", "/v1/files", http.Header{"X-Litellm-Model": {"x"}}, "", []string{"x"}},
		{"Azure's field of images", "POST", "/openai/v1/responses", http.Header{"X-Ms-Oai-Image-Generation-Deployment": {"x"}}, "", []string{"x"}},
		{"Azure's field of deployments", "POST", "/score", http.Header{"Azureml-Model-Deployment": {"x"}}, "", []string{"x"}},
		{"another field", "POST", chat, http.Header{"X-Model": {"x, y"}, "X-Model_Name": {"z"}, "X-Remodeled": {"a"}, "Modeling": {"b"}, "Sec-Ch-Ua-Model": {"c"}, "X-Device-Model": {"d"}}, "", []string{"x", "y", "z"}},
		{"a deployment", "POST", "/openai/deployments/m/chat/completions", nil, "m", nil},
		{"a deployment in another case", "POST", "/OpenAI/Deployments/m/chat/completions", nil, "m", nil},
		{"a deployment after a prefix", "POST", "/azure/openai/deployments/m/images/generations", nil, "m", nil},
		{"LiteLLM's deployment with a slash", "POST", "/openai/deployments/a/m/chat/completions", nil, "a/m", nil},
		{"a deployment and an unknown operation", "POST", "/openai/deployments/m/new/thing", nil, "m", nil},
		{"an engine", "POST", "/engines/m/chat/completions", nil, "m", nil},
		{"Google", "POST", "/v1beta/models/m:generateContent", nil, "m", nil},
		{"Google, a stream", "POST", "/v1/models/m:streamGenerateContent?alt=sse", nil, "m", nil},
		{"Google on Vertex", "POST", "/v1/projects/p/locations/l/publishers/google/models/m:rawPredict", nil, "m", nil},
		{"a model with a colon", "GET", "/v1/models/ft:gpt-4o:org::id", nil, "ft:gpt-4o:org::id", nil},
		{"Amazon", "POST", "/bedrock/model/m/converse", nil, "m", nil},
		{"a checkpoint", "POST", "/v1/fine_tuning/checkpoints/ft:m:ckpt/permissions", nil, "ft:m:ckpt", nil},
		{"a list of models", "GET", "/v1/models?limit=1", nil, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := usage.ReadRequest(t.Context(), row.method, row.target, row.header, nil, maximum)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got.OtherModels)
			if got.Model != row.model || !slices.Equal(got.OtherModels, row.others) || !got.Complete {
				t.Errorf("got models %q and %q, complete %t, want %q and %q", got.Model, got.OtherModels, got.Complete, row.model, row.others)
			}
		})
	}
}

func TestModelFields_IncompleteIfMethodIsOverridden(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method, target string
		header         http.Header
		complete       bool
	}{
		{"GET", "/v1/files", http.Header{"X-Http-Method-Override": {"POST"}}, false},
		{"GET", "/v1/files", http.Header{"X-Method-Override": {"post"}}, false},
		{"GET", "/v1/files", http.Header{"X-Http-Method": {"GET", "POST"}}, false},
		{"GET", "/v1/files", http.Header{"X_http_method_override": {"POST"}}, false},
		{"GET", "/v1/files?_method=POST", nil, false},
		{"GET", "/v1/files?a;X-HTTP-Method-Override=POST", nil, false},
		{"POST", chat, http.Header{"X-Http-Method-Override": {"DELETE"}}, false},
		{"POST", chat, http.Header{"X-Http-Method-Override": {" post "}}, true},
		{"GET", "/v1/files?_method=GET&method=POST", nil, true},
	} {
		got, _, err := usage.ReadRequest(t.Context(), row.method, row.target, row.header, nil, maximum)
		if err != nil || got.Complete != row.complete || got.Opaque == row.complete {
			t.Errorf("%s %s with %v: ReadRequest() = %+v, %v", row.method, row.target, row.header, got, err)
		}
	}
}

func TestModelFields_IncompleteIfPathIsAmbiguous(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/v1//chat", "/v1/./chat", "/v1/a/../chat", "/v1/chat;x/y", `/v1/chat\y`, "/v1/%252e/chat", "/v1/chat%23"} {
		if got, _, err := usage.ReadRequest(t.Context(), "POST", target, nil, nil, maximum); err != nil || got.Complete {
			t.Errorf("%s: ReadRequest() = %+v, %v", target, got, err)
		}
	}
}

// The time to read a request is linear in its length.
func TestModelFields_TakesLinearTime(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]func(int) (contentType, body string){
		"members": func(n int) (string, string) {
			return typeJSON, "{" + strings.Repeat(`"model_x":1,`, n/12) + `"model":"m"}`
		},
		"names": func(n int) (string, string) { return typeJSON, `{"models":["` + strings.Repeat(`x","`, n/4) + `"]}` },
		"tools": func(n int) (string, string) {
			return typeJSON, `{"tools":[` + strings.Repeat(`{"model":"x"},`, n/14) + `{}]}`
		},
		"nested bodies": func(n int) (string, string) { return typeJSON, strings.Repeat(`{"extra_body":`, n/14) },
		"short parts":   func(n int) (string, string) { return formOf, strings.Repeat(part("a", ""), n/50) },
		"line breaks": func(n int) (string, string) {
			return formOf, part("model", "m") + part("a", strings.Repeat("\r\n--", n/4))
		},
		"a long preface": func(n int) (string, string) { return formOf, strings.Repeat("-", n) },
		"a long head":    func(n int) (string, string) { return formOf, "--b\r\nContent-Disposition: " + strings.Repeat("a", n) },
		"a long end":     func(n int) (string, string) { return formOf, "--b--" + strings.Repeat("\r\n", n/2) },
	} {
		contentType, body := text(1 << 20)
		begin := time.Now()
		_, _, err := usage.ReadRequest(t.Context(), "POST", chat, http.Header{"Content-Type": {contentType}}, strings.NewReader(body), 64<<20)
		// A reader with quadratic time would take minutes.
		if took := time.Since(begin); err != nil || took > 20*time.Second {
			t.Errorf("%s: took %v, with error %v, want at most 20s", name, took, err)
		}
	}
}

// A server that parses a JSON body as a form, according to its type, finds fields in it.
func TestModelFields_FindsModelsInJSONWithFormType(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for body, others := range map[string][]string{
		`{"a":"&model=x&","model":"m"}`:           {"x"},
		`{"a":"&mo%64el=x;models=y","model":"m"}`: {"x", `y"`, `"model":"m"}`},
		`{"model":"m","prompt":"a=b&c"}`:          nil,
	} {
		got, _, err := usage.ReadRequest(t.Context(), "POST", "/api/generate", header, strings.NewReader(body), maximum)
		if err != nil || !got.Complete || got.Model != "m" || !slices.Equal(got.OtherModels, others) {
			t.Errorf("%s: ReadRequest() = %+v, %v", body, got, err)
		}
	}
}

//go:build unix

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// chatKey is an API key that no output may contain.
const chatKey = "sk-of-the-chat"

// spoken returns the response of the sandbox.
func spoken(question string) string {
	return "This is the sandbox: no model, no key, no network. You said: \"" + question + "\"\n"
}

// chatWith runs `openai-connect chat` with piped input against a server. The output must
// not contain the key.
func chatWith(t *testing.T, front *servertest.Front, piped string, arguments ...string) outcome {
	t.Helper()
	var output, stderr bytes.Buffer
	command := command(t.Context(), t, []string{
		"OPENAI_CONNECT_SERVER=" + front.URL, "OPENAI_CONNECT_API_KEY=" + chatKey,
	}, append([]string{"chat"}, arguments...)...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(piped), &output, &stderr
	err := command.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	if strings.Contains(output.String()+stderr.String(), chatKey) {
		t.Errorf("got the key in the output:\n%s%s", &output, &stderr)
	}
	return outcome{command.ProcessState.ExitCode(), output.String(), stderr.String()}
}

func TestChat_PrintsTheReplyToAPrompt(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	for name, row := range map[string]struct {
		piped     string
		arguments []string
		want      string
	}{
		"an argument":                     {"", []string{"Hello!"}, spoken("Hello!")},
		"several arguments are one":       {"", []string{"Hello", "there!"}, spoken("Hello there!")},
		"a pipe":                          {"Hello!\n", nil, spoken("Hello!")},
		"a pipe and then an argument":     {"a\nb\n", []string{"Sort this."}, spoken("a\nb\n\nSort this.")},
		"what looks like a flag":          {"", []string{"--", "--help"}, spoken("--help")},
		"what looks like a command":       {"", []string{"/help"}, spoken("/help")},
		"as a whole":                      {"", []string{"--no-stream", "Hello!"}, spoken("Hello!")},
		"by gRPC":                         {"", []string{"--protocol", "grpc", "Hello!"}, spoken("Hello!")},
		"by gRPC-Web":                     {"", []string{"--protocol", "grpc-web", "Hello!"}, spoken("Hello!")},
		"by gRPC, as a whole":             {"", []string{"--protocol", "grpc", "--no-stream", "Hello!"}, spoken("Hello!")},
		"a parameter that has no flag":    {"", []string{"--extra-json", `{"max_completion_tokens": 3}`, "Hello!"}, "This is the\n"},
		"an answer that stops at nothing": {"", []string{"--extra-json", `{"stop": "This"}`, "Hello!"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := chatWith(t, front, row.piped, row.arguments...); got != (outcome{0, row.want, ""}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestChat_PrintsOpenAIsJSON(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	type choice struct {
		Message, Delta struct{ Content string }
		FinishReason   string `json:"finish_reason"`
	}
	type object struct {
		Object  string
		Choices []choice
		Usage   *struct{}
	}
	for name, row := range map[string]struct {
		arguments []string
		kind      string
		least     int // objects, one a line
	}{
		"whole":    {nil, "chat.completion", 1},
		"streamed": {[]string{"--stream"}, "chat.completion.chunk", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := chatWith(t, front, "", append(row.arguments, "--json", "Hello!")...)
			lines := slices.Collect(strings.Lines(got.stdout))
			if got.status != 0 || got.stderr != "" || len(lines) < row.least || row.least == 1 && len(lines) != 1 {
				t.Fatalf("got %+v", got)
			}
			var text strings.Builder
			var last object
			for _, line := range lines {
				last = object{}
				if err := json.Unmarshal([]byte(line), &last); err != nil || last.Object != row.kind || len(last.Choices) != 1 {
					t.Fatalf("%v: %s", err, line)
				}
				text.WriteString(last.Choices[0].Message.Content + last.Choices[0].Delta.Content)
			}
			if text.String()+"\n" != spoken("Hello!") || last.Choices[0].FinishReason != "stop" {
				t.Errorf("got %q and %+v", text.String(), last)
			}
		})
	}
}

// TestChat_SendsTheParametersOfTheFlags checks the request at the upstream. Without a
// terminal, it has only the parameters of the flags.
func TestChat_SendsTheParametersOfTheFlags(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.Events(
		`{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"\u001b[2Jverbatim"},"finish_reason":"stop"}]}`, "[DONE]"))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	got := chatWith(t, front, "", "--model", "m", "--system", "Be brief.", "--temperature", "0", "Hello!")
	if got != (outcome{0, "\x1b[2Jverbatim\n", ""}) {
		t.Errorf("got %+v", got)
	}
	const want = `{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello!"}],"temperature":0,"stream":true}`
	requests := upstream.Take()
	if len(requests) != 1 || requests[0].Header.Get("Authorization") != "Bearer "+chatKey || !sameJSON(t, requests[0].Body, want) {
		t.Errorf("the upstream received %+v", requests)
	}
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var values [2]any
	decode(t, got, &values[0])
	decode(t, want, &values[1])
	return reflect.DeepEqual(values[0], values[1])
}

func TestChat_ReadsTheKeyFromAFileOrAVariable(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusUnauthorized,
		`{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(chatKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// OpenAI's own variable is never read.
	for name, row := range map[string]struct {
		setting   string
		arguments []string
		want      []string
	}{
		"a file":     {"OPENAI_API_KEY=sk-another", []string{"--api-key-file", file}, []string{"Bearer " + chatKey}},
		"a variable": {"OPENAI_CONNECT_API_KEY=" + chatKey, nil, []string{"Bearer " + chatKey}},
		"none":       {"OPENAI_API_KEY=sk-another", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := end(t, []string{row.setting}, append([]string{"chat", "--server", front.URL, "Hello!"}, row.arguments...)...)
			if got.status != 1 || got.stdout != "" || strings.Contains(got.stderr, "sk-") ||
				!strings.Contains(got.stderr, "Incorrect API key provided.") || !strings.Contains(got.stderr, "--api-key-file") {
				t.Errorf("got %+v", got)
			}
			checkKey(t, upstream, row.want)
		})
	}
}

func TestChat_RejectsInvalidFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("secret with spaces"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"no question", nil, nil, []string{"no prompt", "argument", "pipe"}},
		{"no question for JSON", nil, []string{"--json"}, []string{"no prompt"}},
		{"a server without a scheme", nil, []string{"--server", "127.0.0.1:8080", "x"}, []string{"--server: ", "http://"}},
		{"a server with a password", nil, []string{"--server", "http://me:secret@127.0.0.1", "x"}, []string{"--server: ", "--api-key-file"}},
		{"the base URL of an SDK", nil, []string{"--server", "http://127.0.0.1:8080/v1/", "x"}, []string{"--server: ", "/v1"}},
		{"a server with a query", nil, []string{"--server", "http://127.0.0.1?a=b", "x"}, []string{"--server: ", "query"}},
		{"an unknown protocol", nil, []string{"--protocol", "soap", "x"}, []string{"--protocol: ", `"soap"`, "grpc-web"}},
		{"no model", nil, []string{"--model", "", "x"}, []string{"--model: ", "empty"}},
		{"a variable without a value", []string{"OPENAI_CONNECT_MODEL="}, []string{"x"}, []string{"OPENAI_CONNECT_MODEL: ", "empty"}},
		{"a word for a temperature", nil, []string{"--temperature", "hot", "x"}, []string{"--temperature: ", `"hot"`}},
		{"parameters that are no object", nil, []string{"--extra-json", "[]", "x"}, []string{"--extra-json: ", "object"}},
		{"a missing key", nil, []string{"--api-key-file", missing, "x"}, []string{"--api-key-file: ", missing}},
		{"an invalid key", nil, []string{"--api-key-file", file, "x"}, []string{"--api-key-file: ", "space"}},
		{"an invalid key in the variable", []string{"OPENAI_CONNECT_API_KEY=secret x"}, []string{"x"}, []string{"OPENAI_CONNECT_API_KEY: ", "space"}},
		{"two keys", []string{"OPENAI_CONNECT_API_KEY=secret"}, []string{"--api-key-file", file, "x"}, []string{"--api-key-file and OPENAI_CONNECT_API_KEY: ", "choose"}},
		{"a server in the variable", []string{"OPENAI_CONNECT_SERVER=x"}, []string{"x"}, []string{"--server: "}},
		{"a protocol in the variable", []string{"OPENAI_CONNECT_PROTOCOL=x"}, []string{"x"}, []string{"--protocol: "}},
		{"a key's file in the variable", []string{"OPENAI_CONNECT_API_KEY_FILE=" + missing}, []string{"x"}, []string{"--api-key-file: "}},
		{"a temperature in the variable", []string{"OPENAI_CONNECT_TEMPERATURE=x"}, []string{"x"}, []string{"--temperature: "}},
		{"parameters in the variable", []string{"OPENAI_CONNECT_EXTRA_JSON=x"}, []string{"x"}, []string{"--extra-json: "}},
		{"a flag of the server", nil, []string{"--upstream", "sandbox"}, []string{"--upstream", "chat --help"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRejected(t, end(t, row.settings, append([]string{"chat"}, row.arguments...)...), row.says)
		})
	}
}

// TestChat_ErrorsSayWhatToDo is about errors that the server or the network
// has, behind which there is a line for the user.
func TestChat_ErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	broken := servertest.StartUpstream(t, servertest.Events(
		`{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Half an"},"finish_reason":null}]}`))
	unknown := servertest.StartUpstream(t, servertest.JSON(http.StatusNotFound,
		`{"error":{"message":"The model does not exist.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`))
	for _, row := range []struct {
		name, url, output string
		says              []string
	}{
		{"no server", "http://127.0.0.1:1", "", []string{"127.0.0.1:1", "refused", "`openai-connect`", "--server"}},
		{"no such model", servertest.Start(t, server.Config{Upstream: unknown.URL}).URL, "", []string{"404 model_not_found: The model does not exist.", "--model"}},
		{"a stream that broke", servertest.Start(t, server.Config{Upstream: broken.URL}).URL, "Half an\n", []string{"unavailable"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := end(t, nil, "chat", "--server", row.url, "Hello!")
			if got.status != 1 || got.stdout != row.output {
				t.Errorf("got %+v", got)
			}
			for _, text := range row.says {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("%q does not contain %q", got.stderr, text)
				}
			}
		})
	}
}

func TestChat_ASignalCancelsThePrompt(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	command := command(t.Context(), t, nil, "chat", "--server", front.URL, "slow")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len(slowBegin))
	if _, err := io.ReadFull(output, begun); err != nil || string(begun) != slowBegin {
		t.Errorf("got output %q, %v", begun, err)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	upstream.waitCanceled(t)
	rest, err := io.ReadAll(output)
	if err != nil || string(rest) != "\n" {
		t.Errorf("got rest of the output %q, %v", rest, err)
	}
	if err := command.Wait(); command.ProcessState.ExitCode() != 130 {
		t.Errorf("got exit error %v", err)
	}
}

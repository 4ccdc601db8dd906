package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
)

type place struct {
	City string `json:"city"`
}

// tool makes a tool of a function.
func tool[Args, Result any](t *testing.T, name string, run func(context.Context, Args) (Result, error)) client.Tool {
	t.Helper()
	made, err := client.NewTool(name, "A tool of a test.", run)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// model is an upstream that returns the given messages in turn, and then "done".
type model struct {
	turns []string // messages as JSON

	mu     sync.Mutex
	bodies []map[string]any
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	body := make(map[string]any)
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		panic(err)
	}
	turn := `{"role":"assistant","content":"done"}`
	if len(m.bodies) < len(m.turns) {
		turn = m.turns[len(m.bodies)]
	}
	m.bodies = append(m.bodies, body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"`+strconv.Itoa(len(m.bodies))+`","choices":[{"message":`+turn+`}]}`)
}

// calling returns a message with a call of a function for each of the arguments.
func calling(name string, arguments ...string) string {
	var calls []string
	for i, each := range arguments {
		calls = append(calls, fmt.Sprintf(`{"id":"call_%d","type":"function","function":{"name":%q,"arguments":%q}}`, i, name, each))
	}
	return `{"role":"assistant","tool_calls":[` + strings.Join(calls, ",") + `]}`
}

// said summarizes a conversation.
func said(conversation []*chatv1.Message) (lines []string) {
	for _, message := range conversation {
		var line strings.Builder
		line.WriteString(strings.ToLower(strings.TrimPrefix(message.Role.String(), "ROLE_")) + ": " + message.GetContent())
		for _, call := range message.ToolCalls {
			fmt.Fprintf(&line, "[%s %s%s(%s)]", call.Id, call.GetFunction().GetName(), call.GetCustom().GetName(), call.GetFunction().GetArguments())
		}
		if message.ToolCallId != nil {
			line.WriteString(" (" + message.GetToolCallId() + ")")
		}
		lines = append(lines, line.String())
	}
	return lines
}

// The arguments are an object, as some upstreams send them, or contain half of a
// surrogate pair.
func TestRunTools_AcceptsArgumentsInAnyForm(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		`"{\"city\":\"Paris\"}"`:          "Paris",
		`{"city": "Paris"}`:               "Paris",
		`"{\"city\":\"Par\ud83d\"}"`:      "Par\ufffd",
		`"{\"city\":\"\\ud83d\\ude00\"}"`: "😀",
	} {
		upstream := &model{turns: []string{`{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":` + arguments + `}}]}`}}
		var got string
		note := tool(t, "f", func(_ context.Context, args place) (string, error) {
			got = args.City
			return "", nil
		})
		if _, _, err := startUpstream(t, upstream.ServeHTTP).Chat.RunTools(t.Context(), ask(client.User("Go.")), note); err != nil || got != want {
			t.Errorf("%s: got %q, %v", arguments, got, err)
		}
	}
}

func TestRunTools_LimitsParallelTools(t *testing.T) {
	t.Parallel()
	const most, calls = 128, 1000
	upstream := &model{turns: []string{calling("f", slices.Repeat([]string{`{"city":"a"}`}, calls)...)}}
	var running, highest, all atomic.Int32
	full := make(chan struct{})
	wait := tool(t, "f", func(context.Context, place) (string, error) {
		defer running.Add(-1)
		now := running.Add(1)
		for before := highest.Load(); now > before; before = highest.Load() {
			if highest.CompareAndSwap(before, now) {
				break
			}
		}
		if all.Add(1) == most {
			close(full) // the maximum number is running
		}
		<-full
		return "", nil
	})
	_, conversation, err := startUpstream(t, upstream.ServeHTTP).Chat.RunTools(t.Context(), ask(client.User("Go.")), wait)
	if err != nil || len(conversation) != 1+1+calls+1 || all.Load() != calls || highest.Load() != most {
		t.Errorf("got %d messages of %d calls, %d at once, and the error %v", len(conversation), all.Load(), highest.Load(), err)
	}
}

func TestRunTools_RunsUntilModelIsDone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		turns []string
		want  []string // between the user's message and "done"
	}{
		{"none, if it calls none", nil, nil},
		{
			"one, and then another",
			[]string{calling("weather", `{"city":"Paris"}`), calling("sum", `{"Of":[1,2]}`)},
			[]string{
				`assistant: [call_0 weather({"city":"Paris"})]`, `tool: clear in Paris (call_0)`,
				`assistant: [call_0 sum({"Of":[1,2]})]`, `tool: {"Sum":3} (call_0)`,
			},
		},
		{
			"several concurrent calls with results in call order",
			[]string{calling("meet", `{"city":"a"}`, `{"city":"b"}`, `{"city":"c"}`)},
			[]string{
				`assistant: [call_0 meet({"city":"a"})][call_1 meet({"city":"b"})][call_2 meet({"city":"c"})]`,
				`tool: met in a (call_0)`, `tool: met in b (call_1)`, `tool: met in c (call_2)`,
			},
		},
		{
			"one that fails: the model reads why",
			[]string{calling("fail", `{}`)},
			[]string{`assistant: [call_0 fail({})]`, `tool: error: out of order (call_0)`},
		},
		{
			"one with arguments that don't fit",
			[]string{calling("weather", `{"city":`)},
			[]string{`assistant: [call_0 weather({"city":)]`, `tool: error: invalid arguments of weather: unexpected end of JSON input (call_0)`},
		},
		{
			"one whose result is not JSON",
			[]string{calling("nan", `{}`)},
			[]string{`assistant: [call_0 nan({})]`, `tool: error: the result of nan cannot be encoded as JSON: json: unsupported value: NaN (call_0)`},
		},
		{
			"one that isn't there",
			[]string{calling("wheather", `{}`)},
			[]string{`assistant: [call_0 wheather({})]`, `tool: error: unknown function "wheather"; available: weather, sum, meet, fail, nan (call_0)`},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var meeting sync.WaitGroup // ends only if all run in parallel
			meeting.Add(3)
			type numbers struct{ Of []int }
			type total struct{ Sum int }
			tools := []client.Tool{
				tool(t, "weather", func(_ context.Context, at place) (string, error) { return "clear in " + at.City, nil }),
				tool(t, "sum", func(_ context.Context, n numbers) (result total, err error) {
					for _, each := range n.Of {
						result.Sum += each
					}
					return result, nil
				}),
				tool(t, "meet", func(_ context.Context, at place) (string, error) {
					meeting.Done()
					meeting.Wait()
					return "met in " + at.City, nil
				}),
				tool(t, "fail", func(context.Context, struct{}) (string, error) { return "", errors.New("out of order") }),
				tool(t, "nan", func(context.Context, struct{}) (float64, error) { return math.NaN(), nil }),
			}
			m := &model{turns: row.turns}
			request := ask(client.User("Go."))
			before := proto.CloneOf(request)
			completion, conversation, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(t.Context(), request, tools...)
			if err != nil {
				t.Fatal(err)
			}
			want := append(append([]string{"user: Go."}, row.want...), "assistant: done")
			if got := said(conversation); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if completion.Id != strconv.Itoa(len(row.turns)+1) || !proto.Equal(request, before) {
				t.Errorf("got %v, and the request is %v", completion, request)
			}
			if offered, _ := m.bodies[0]["tools"].([]any); len(offered) != len(tools) {
				t.Errorf("%d tools were offered", len(offered))
			}
		})
	}
}

func TestRunTools_StopsEarly(t *testing.T) {
	t.Parallel()
	call := calling("weather", `{"city":"Paris"}`)
	weather := tool(t, "weather", func(_ context.Context, at place) (string, error) { return "clear in " + at.City, nil })
	t.Run("the last round", func(t *testing.T) {
		t.Parallel()
		m := &model{turns: []string{call, call, call}}
		openai := startUpstream(t, m.ServeHTTP, client.WithMaxToolRounds(2))
		completion, conversation, err := openai.Chat.RunTools(t.Context(), ask(client.User("Go.")), weather)
		if !errors.Is(err, client.ErrToolRounds) || completion.GetId() != "2" || len(conversation) != 5 {
			t.Errorf("got %v, %q, %v", completion, said(conversation), err)
		}
	})
	t.Run("a call that is for the caller", func(t *testing.T) {
		t.Parallel()
		m := &model{turns: []string{`{"role":"assistant","tool_calls":[{"id":"call_0","type":"custom","custom":{"name":"spell","input":""}}]}`}}
		request := ask(client.User("Go."))
		request.Tools = []*chatv1.Tool{{Tool: &chatv1.Tool_Custom{Custom: &chatv1.CustomTool{Name: "spell"}}}}
		completion, conversation, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(t.Context(), request, weather)
		if err != nil || completion.GetId() != "1" || len(conversation) != 2 {
			t.Errorf("got %v, %q, %v", completion, said(conversation), err)
		}
	})
	t.Run("the context", func(t *testing.T) {
		t.Parallel()
		m := &model{turns: []string{call}}
		ctx, cancel := context.WithCancel(t.Context())
		leave := tool(t, "weather", func(context.Context, place) (string, error) { cancel(); return "", nil })
		completion, conversation, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(ctx, ask(client.User("Go.")), leave)
		if failed, ok := errors.AsType[*client.Error](err); !ok || !errors.Is(failed, context.Canceled) || completion.GetId() != "1" || len(conversation) != 3 {
			t.Errorf("got %v, %q, %v", completion, said(conversation), err)
		}
	})
	t.Run("an error", func(t *testing.T) {
		t.Parallel()
		m := &model{turns: []string{call, `no JSON`}}
		completion, conversation, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(t.Context(), ask(client.User("Go.")), weather)
		if _, ok := errors.AsType[*client.Error](err); !ok || completion.GetId() != "1" || len(conversation) != 3 {
			t.Errorf("got %v, %q, %v", completion, said(conversation), err)
		}
	})
	t.Run("an answer without a choice", func(t *testing.T) {
		t.Parallel()
		openai := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"1","choices":[]}`)
		})
		completion, conversation, err := openai.Chat.RunTools(t.Context(), ask(client.User("Go.")), weather)
		if err != nil || completion.GetId() != "1" || len(conversation) != 1 {
			t.Errorf("got %v, %q, %v", completion, said(conversation), err)
		}
	})
}

func TestRunTools_ForcesCallInFirstRoundOnly(t *testing.T) {
	t.Parallel()
	weather := tool(t, "weather", func(_ context.Context, at place) (string, error) { return "clear in " + at.City, nil })
	mode := func(mode sharedv1.ToolChoiceMode) *chatv1.ToolChoice {
		return &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_Mode{Mode: mode}}
	}
	allowed := func(mode sharedv1.AllowedToolsMode) *chatv1.ToolChoice {
		return &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_AllowedTools{AllowedTools: &chatv1.AllowedTools{Mode: mode}}}
	}
	for name, row := range map[string]struct {
		choice        *chatv1.ToolChoice
		first, second string // tool_choice, as JSON
	}{
		"a function": {
			&chatv1.ToolChoice{Choice: &chatv1.ToolChoice_Function{Function: &chatv1.FunctionChoice{Name: "weather"}}},
			`{"function":{"name":"weather"},"type":"function"}`, `null`,
		},
		"any":     {mode(sharedv1.ToolChoiceMode_TOOL_CHOICE_MODE_REQUIRED), `"required"`, `null`},
		"perhaps": {mode(sharedv1.ToolChoiceMode_TOOL_CHOICE_MODE_AUTO), `"auto"`, `"auto"`},
		"any of some": {
			allowed(sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_REQUIRED),
			`{"allowed_tools":{"mode":"required","tools":[]},"type":"allowed_tools"}`, `{"allowed_tools":{"mode":"auto","tools":[]},"type":"allowed_tools"}`,
		},
		"perhaps some": {
			allowed(sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_AUTO),
			`{"allowed_tools":{"mode":"auto","tools":[]},"type":"allowed_tools"}`, `{"allowed_tools":{"mode":"auto","tools":[]},"type":"allowed_tools"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{turns: []string{calling("weather", `{}`)}}
			request := ask(client.User("Go."))
			request.ToolChoice = row.choice
			if _, _, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(t.Context(), request, weather); err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{row.first, row.second} {
				if got, err := json.Marshal(m.bodies[i]["tool_choice"]); err != nil || string(got) != want {
					t.Errorf("in round %d, tool_choice is %s, not %s", i, got, want)
				}
			}
		})
	}
}

// Tools may make calls in parallel.
func TestRunTools_SeparatesHeadersOfTools(t *testing.T) {
	t.Parallel()
	ctx, info := connect.NewClientContext(t.Context())
	infos := make(chan *connect.CallInfo, 2)
	weather := tool(t, "weather", func(ctx context.Context, _ place) (string, error) {
		own, _ := connect.CallInfoForClientContext(ctx)
		infos <- own
		return "", nil
	})
	m := &model{turns: []string{calling("weather", `{}`, `{}`)}}
	if _, _, err := startUpstream(t, m.ServeHTTP).Chat.RunTools(ctx, ask(client.User("Go.")), weather); err != nil {
		t.Fatal(err)
	}
	if first, second := <-infos, <-infos; first == info || second == info || first == second {
		t.Error("they share headers")
	}
}

func TestTool_IsDefinedByItsFunction(t *testing.T) {
	t.Parallel()
	if _, err := client.NewTool("odd", "", func(context.Context, map[string]any) (string, error) { return "", nil }); err == nil || !strings.Contains(err.Error(), "tool odd") {
		t.Errorf("a map: got error %v", err)
	}
	weather := tool(t, "weather", func(_ context.Context, at place) (string, error) { return "clear in " + at.City, nil })
	want := &chatv1.FunctionTool{
		Name: "weather", Description: new("A tool of a test."), Strict: new(true),
		ParametersJson: `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`,
	}
	if got := weather.Definition().GetFunction(); !proto.Equal(got, want) {
		t.Errorf("its definition is %v", got)
	}
	if got, err := weather.Call(t.Context(), `{"city":"Paris"}`); err != nil || got != "clear in Paris" {
		t.Errorf("a call gives %q, %v", got, err)
	}
}

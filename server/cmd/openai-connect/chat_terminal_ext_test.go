//go:build unix

package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestChatSession_SendsTheConversation(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}), "--model", "m", "--system", "Be brief.")
	if banner := x.wait(t, promptShown); !strings.Contains(banner, "Model: m.") || !strings.Contains(banner, "/help") {
		t.Errorf("got banner %q", banner)
	}
	shown := x.ask(t, "One **bold** `word`")
	if !strings.Contains(shown, "You said: One **bold** `word`\r\n") ||
		!regexp.MustCompile(`\[m: 7 tokens in, 8 out, \d+\.\d s(, first text after \d+\.\d s)?\]\r\n`).MatchString(shown) {
		t.Errorf("got terminal output %q", shown)
	}
	checkSaid(t, upstream, said{"system", "Be brief."}, said{"user", "One **bold** `word`"})
	x.ask(t, "Two")
	checkSaid(t, upstream, said{"system", "Be brief."}, said{"user", "One **bold** `word`"},
		said{"assistant", "You said: One **bold** `word`"}, said{"user", "Two"})
	x.write(t, "\x04")
	x.endsWith(t, 0)
}

func TestChatSession_CtrlCCancelsTheReply(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}))
	x.wait(t, promptShown)
	for range 2 {
		x.write(t, "slow\r")
		x.wait(t, slowBegin)
		x.write(t, "\x03")
		upstream.waitCanceled(t)
		if shown := x.wait(t, promptShown); !strings.Contains(shown, "\r\n[canceled]\r\n") {
			t.Errorf("got terminal output %q", shown)
		}
		upstream.Take()
		x.ask(t, "/clear")
	}
	x.write(t, "slow\r")
	x.wait(t, slowBegin)
	x.write(t, "\x03")
	x.wait(t, promptShown)
	upstream.Take()
	if shown := x.ask(t, "Go on"); !strings.Contains(shown, "You said: Go on") {
		t.Errorf("got terminal output %q", shown)
	}
	checkSaid(t, upstream, said{"user", "slow"}, said{"assistant", slowBegin}, said{"user", "Go on"})
	x.write(t, "\x04")
	x.endsWith(t, 0)
}

func TestChatSession_CtrlCDiscardsTheLine(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}))
	x.wait(t, promptShown)
	x.write(t, "never mind\x03")
	if shown := x.wait(t, promptShown); !strings.Contains(shown, "Ctrl-D quits") {
		t.Errorf("got terminal output %q", shown)
	}
	x.ask(t, "This")
	checkSaid(t, upstream, said{"user", "This"})
	x.write(t, "\x04")
	x.endsWith(t, 0)
}

func TestChatSession_EditsLines(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ before, keys, want string }{
		"backspace":                        {"", "Hellp\x7fo", "Hello"},
		"the start of the line":            {"", "b\x01a", "ab"},
		"arrows":                           {"", "ac\x1b[Db", "abc"},
		"characters of any script":         {"", "Привет, 世界 🙂", "Привет, 世界 🙂"},
		"a line end by Ctrl-J":             {"", "a\nb", "a\nb"},
		"a line end by Alt-Enter":          {"", "a\x1b\rb", "a\nb"},
		"a paste of several lines":         {"", "x\x1b[200~a\r\n\tb\rc\n\x1b[201~y", "xa\n\tb\nc\ny"},
		"a paste of control characters":    {"", "\x1b[200~a\x03\x04\x08\x1b[Db\x1b[201~", "a[Db"},
		"a paste of more than a read has":  {"", "\x1b[200~" + strings.Repeat("lines\r", 1500) + "\x1b[201~.", strings.Repeat("lines\n", 1500) + "."},
		"a slash behind a space":           {"", " /help", " /help"},
		"a question of the history":        {"before", "\x1b[A\x1b[A", "before"},
		"a question of the history, twice": {"before", "\x1b[A\x1b[A\x1b[B\x1b[A!", "before!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := startSlow(t)
			x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}), "--no-usage")
			x.wait(t, promptShown)
			if row.before != "" {
				x.ask(t, row.before)
				x.ask(t, "/clear")
				upstream.Take()
			}
			x.write(t, row.keys+"\r")
			x.wait(t, "You said: ")
			x.wait(t, promptShown)
			x.write(t, "\x04")
			x.endsWith(t, 0)
			checkSaid(t, upstream, said{"user", row.want})
		})
	}
}

func TestChatSession_RunsCommands(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}), "--temperature", "0.5")
	x.wait(t, promptShown)
	saved := filepath.Join(t.TempDir(), "saved.json")
	for _, row := range []struct{ line, shows string }{
		{"/help", "/clear"},
		{"/model", "Model: gpt-5.4-mini"},
		{"/model another", "Model: another"},
		{"/system Be brief.", "System prompt: Be brief."},
		{"Hello", "You said: Hello"},
		{"/save", "requires the name of a file"},
		{"/save " + saved, "Saved in "},
		{"/save " + saved, "exists"},
		{"/nope", "Unknown command /nope"},
		{"/system", "No system prompt."},
		{"/clear", "new conversation"},
	} {
		if shown := x.ask(t, row.line); !strings.Contains(shown, row.shows) {
			t.Errorf("%s shows %q", row.line, shown)
		}
	}
	const conversation = `{"model":"another","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"},` +
		`{"role":"assistant","content":"You said: Hello"}],"temperature":0.5}`
	text, err := os.ReadFile(saved)
	if err != nil || !sameJSON(t, string(text), conversation) {
		t.Errorf("error %v: got saved file %s", err, text)
	}
	if info, err := os.Stat(saved); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
	upstream.Take()
	x.ask(t, "Anew")
	checkSaid(t, upstream, said{"user", "Anew"})
	x.write(t, "/quit\r")
	x.endsWith(t, 0)
}

func TestChatSession_StoresTheHistory(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	file := filepath.Join(t.TempDir(), "history")
	for _, keys := range []string{"a\nb\r", "\x1b[A\r"} {
		x := converse(t, front, "--history", file)
		x.wait(t, promptShown)
		x.write(t, keys)
		x.wait(t, "You said: ")
		x.wait(t, promptShown)
		x.write(t, "\x04")
		x.endsWith(t, 0)
		checkSaid(t, upstream, said{"user", "a\nb"})
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
}

// TestChatSession_ASignalRestoresTheTerminal sends it while a line is edited, when the
// terminal is in a mode of which a shell would make nothing.
func TestChatSession_ASignalRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	x := converse(t, servertest.Start(t, server.Config{Upstream: server.Sandbox}))
	before := x.mode(t)
	x.wait(t, promptShown)
	if x.mode(t) == before {
		t.Error("the terminal is not in raw mode")
	}
	if err := x.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	x.endsWith(t, 130)
	if x.mode(t) != before {
		t.Error("the mode of the terminal was not restored")
	}
}

// TestChatSession_ReplacesControlCharacters has one try to clear the screen, by both
// forms of the sequence's beginning.
func TestChatSession_ReplacesControlCharacters(t *testing.T) {
	t.Parallel()
	upstream := startSlow(t)
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}))
	x.wait(t, promptShown)
	shown := x.ask(t, "\x1b[200~a\u009b2J\u202eb\tc\x1b[201~")
	if !strings.Contains(shown, "You said: a\ufffd2J\ufffdb\tc\r\n") {
		t.Errorf("got terminal output %q", shown)
	}
	x.write(t, "\x04")
	x.endsWith(t, 0)
}

// The same text, as an answer in one piece and in several, to a terminal and
// elsewhere. What is not a terminal gets what the model said.
func TestChat_ReplacesControlCharactersForATerminal(t *testing.T) {
	t.Parallel()
	const text = "a\u009b2J\u0085\u202e\u2069\u200f\u061cb"
	const chunk = `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}`
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			servertest.JSON(http.StatusOK, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",`+
				"\"message\":{\"role\":\"assistant\",\"content\":\""+text+"\",\"x\":{\r\n\"y"+text+"\":\""+text+"\"}}}]}")(w, r)
			return
		}
		servertest.Events(fmt.Sprintf(chunk, `{"role":"assistant","content":"`+text+`","x":"`+text+`"}`, "null"), fmt.Sprintf(chunk, "{}", `"stop"`), "[DONE]")(w, r)
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for name, arguments := range map[string][]string{
		"text": nil, "text, whole": {"--no-stream"}, "JSON": {"--json"}, "JSON, streamed": {"--json", "--stream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := append(arguments, "Hello!")
			x := converse(t, front, arguments...)
			x.endsWith(t, 0)
			_ = x.tty.Close() // So that reading ends.
			_, _ = io.Copy(&x.shown, x.screen)
			shown := strings.ReplaceAll(x.shown.String(), "\r\n", "\n") // The terminal's own.
			if strings.ContainsFunc(shown, func(r rune) bool { return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("got terminal output %q", shown)
			}
			if !strings.Contains(shown, "2J") {
				t.Errorf("got no response in %q", shown)
			}
			if got := chatWith(t, front, "", arguments...); !strings.Contains(got.stdout, text) {
				t.Errorf("a pipe gets %q", got.stdout)
			}
		})
	}
}

// Content in parts, and characters whose halves come apart, are shown.
func TestChat_ShowsAllText(t *testing.T) {
	t.Parallel()
	const chunk = `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}`
	for name, row := range map[string]struct {
		deltas []string
		whole  string
		want   string
	}{
		"halves": {
			[]string{`{"content":"Sure, "}`, `{"content":"great \ud83d"}`, `{"content":"\ude00 is"}`, `{"content":" the word."}`},
			`"Sure, great \ud83d\ude00 is the word."`, "Sure, great 😀 is the word.\n",
		},
		"a half alone": {[]string{`{"content":"a"}`, `{"content":"\ud83d"}`, `{"content":"b"}`}, `"a\ud83db"`, "a\ufffdb\n"},
		"parts": {
			[]string{`{"content":[{"type":"thinking","thinking":"Hm"}]}`, `{"content":[{"type":"text","text":"a"}]}`, `{"content":[{"type":"text","text":"b"}]}`, `{"content":"c"}`},
			`[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"abc"}]`, "abc\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if !strings.Contains(string(body), `"stream":true`) {
					servertest.JSON(http.StatusOK, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":`+row.whole+`},"finish_reason":"stop"}]}`)(w, r)
					return
				}
				events := make([]string, 0, len(row.deltas)+1)
				for _, delta := range row.deltas {
					events = append(events, fmt.Sprintf(chunk, delta, "null"))
				}
				servertest.Events(append(events, fmt.Sprintf(chunk, "{}", `"stop"`), "[DONE]")...)(w, r)
			})
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			for _, arguments := range [][]string{{"Hello!"}, {"--no-stream", "Hello!"}} {
				if got := chatWith(t, front, "", arguments...); got != (outcome{0, row.want, ""}) {
					t.Errorf("%q ends with %+v", arguments, got)
				}
			}
		})
	}
}

func TestChatSession_ContinuesAfterAnError(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusNotFound,
		`{"error":{"message":"The model does not exist.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`))
	x := converse(t, servertest.Start(t, server.Config{Upstream: upstream.URL}))
	x.wait(t, promptShown)
	for range 2 {
		if shown := x.ask(t, "Hello"); !strings.Contains(shown, "The model does not exist.") || !strings.Contains(shown, "/model") {
			t.Errorf("got terminal output %q", shown)
		}
		if got := lastMessages(t, upstream); len(got) != 1 {
			t.Errorf("got messages %q after a failed prompt", got)
		}
	}
	x.write(t, "\x04")
	x.endsWith(t, 0)
}

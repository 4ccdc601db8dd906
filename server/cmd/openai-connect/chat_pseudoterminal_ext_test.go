//go:build unix

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// slowBegin is the text that the slow upstream sends immediately.
const slowBegin = "It begins"

// slowUpstream answers "slow" with a stream that begins and doesn't end, and
// anything else with "You said: " and what was said.
type slowUpstream struct {
	*servertest.Upstream

	canceled chan struct{}
}

func startSlow(t *testing.T) *slowUpstream {
	t.Helper()
	u := &slowUpstream{canceled: make(chan struct{}, 1)}
	u.Upstream = servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		messages := messagesOf(r)
		question := messages[len(messages)-1].Content
		if question != "slow" {
			servertest.Events(chunkOf("You said: "), chunkOf(question), `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m",`+
				`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m",`+
				`"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":8,"total_tokens":15}}`, "[DONE]")(w, r)
			return
		}
		servertest.Events(chunkOf(slowBegin))(w, r)
		<-r.Context().Done()
		u.canceled <- struct{}{}
	})
	return u
}

// chunkOf returns an event with the given content.
func chunkOf(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // A string can't fail.
	}
	return `{"id":"1","object":"chat.completion.chunk","created":1,"model":"m",` +
		`"choices":[{"index":0,"delta":{"role":"assistant","content":` + string(quoted) + `},"finish_reason":null}]}`
}

type said struct{ Role, Content string }

func messagesOf(r *http.Request) []said {
	var body struct{ Messages []said }
	if json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Messages) == 0 {
		panic(http.ErrAbortHandler)
	}
	return body.Messages
}

func (u *slowUpstream) waitCanceled(t *testing.T) {
	t.Helper()
	select {
	case <-u.canceled:
	case <-time.After(testTimeout):
		t.Fatal("the upstream doesn't see the end")
	}
}

// terminal is a conversation in a pseudo-terminal.
type terminal struct {
	screen  *os.File // where the test types and looks
	tty     *os.File // what the command has
	command *exec.Cmd
	shown   strings.Builder // all of it
	unread  string          // what wasn't waited for yet
}

// converse begins a conversation with a server.
func converse(t *testing.T, front *servertest.Front, arguments ...string) *terminal {
	t.Helper()
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{screen: screen, tty: tty}
	t.Cleanup(func() {
		_ = screen.Close()
		_ = tty.Close()
		if strings.Contains(x.shown.String(), chatKey) {
			t.Errorf("got the key in the terminal output:\n%s", &x.shown)
		}
	})
	x.command = command(context.WithoutCancel(t.Context()), t, []string{
		"OPENAI_CONNECT_SERVER=" + front.URL, "OPENAI_CONNECT_API_KEY=" + chatKey,
	}, append([]string{"chat"}, arguments...)...)
	x.command.Stdin, x.command.Stdout, x.command.Stderr = tty, tty, tty
	x.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if x.command.ProcessState == nil {
			_ = x.command.Process.Kill()
			_ = x.command.Wait()
		}
	})
	return x
}

func (x *terminal) write(t *testing.T, keys string) {
	t.Helper()
	if _, err := x.screen.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// wait waits for output that contains text, and returns the output before it.
func (x *terminal) wait(t *testing.T, text string) string {
	t.Helper()
	if err := x.screen.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for {
		if before, after, found := strings.Cut(x.unread, text); found {
			x.unread = after
			return before
		}
		n, err := x.screen.Read(buffer)
		x.shown.Write(buffer[:n])
		x.unread += string(buffer[:n])
		if err != nil {
			t.Fatalf("%q isn't shown, %v:\n%q", text, err, x.shown.String())
		}
	}
}

// The line editor waits for keys when this was shown.
const promptShown = "> "

// ask types a line and returns what is shown before the next prompt.
func (x *terminal) ask(t *testing.T, line string) string {
	t.Helper()
	x.write(t, line+"\r")
	return x.wait(t, promptShown)
}

// endsWith waits for the end of the command.
func (x *terminal) endsWith(t *testing.T, status int) {
	t.Helper()
	timer := time.AfterFunc(testTimeout, func() { _ = x.command.Process.Kill() })
	defer timer.Stop()
	err := x.command.Wait()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed || x.command.ProcessState.ExitCode() != status {
		t.Errorf("got exit error %v:\n%s", x.command.ProcessState, &x.shown)
	}
}

// lastMessages are those of the only request that came.
func lastMessages(t *testing.T, upstream *servertest.Upstream) []said {
	t.Helper()
	requests := upstream.Take()
	if len(requests) != 1 {
		t.Fatalf("the upstream received %d requests", len(requests))
	}
	var body struct{ Messages []said }
	decode(t, requests[0].Body, &body)
	return body.Messages
}

// mode is how the terminal treats what is typed.
func (x *terminal) mode(t *testing.T) term.State {
	t.Helper()
	state, err := term.GetState(int(x.tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

func checkSaid(t *testing.T, upstream *slowUpstream, want ...said) {
	t.Helper()
	got := lastMessages(t, upstream.Upstream)
	if len(got) != len(want) {
		t.Fatalf("these were the messages: %q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("message %d: got %q", i, got[i])
		}
	}
}

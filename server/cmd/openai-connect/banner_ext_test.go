package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// commandsOf returns the commands that a banner has: what is indented.
func commandsOf(banner string) []string {
	var commands []string
	continued := false
	for line := range strings.Lines(banner) {
		text, indented := strings.CutPrefix(line, "  ")
		if continued {
			commands[len(commands)-1] += text
		} else if indented {
			commands = append(commands, text)
		}
		continued = strings.HasSuffix(line, "\\\n")
	}
	return commands
}

// shell runs a command as a person would who pastes it, and returns what it
// writes.
func shell(ctx context.Context, t *testing.T, key, text string) string {
	t.Helper()
	tool, _, _ := strings.Cut(text, " ")
	servertest.Tool(t, tool, "the banner needs it")
	if grpcurl := regexp.MustCompile(`^go run (\S+)`).FindString(text); grpcurl != "" {
		// It is built before the timed call, and needs a module proxy.
		words := strings.Fields(grpcurl)
		if output, err := exec.CommandContext(t.Context(), words[0], append(words[1:], "-version")...).CombinedOutput(); err != nil {
			servertest.Skip(t, grpcurl+" can't be built: "+string(output))
		}
	}
	command := exec.CommandContext(ctx, servertest.Tool(t, "sh", "the banner is for it"), "-c", text)
	command.Env = append(os.Environ(), "OPENAI_API_KEY="+key, "API_KEY="+key)
	var output, stderr bytes.Buffer
	command.Stdout, command.Stderr = &output, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &stderr, &output)
	}
	return output.String()
}

// The commands of a banner, in their order.
const (
	rawCommand = iota
	connectCommand
	grpcCommand
	commandCount
)

func TestBanner_CommandsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0")
	commands := commandsOf(p.banner)
	if len(commands) != commandCount {
		t.Fatalf("got %d commands, want %d: %q", len(commands), commandCount, commands)
	}
	if !strings.Contains(p.banner, "upstream: the embedded sandbox") || strings.Contains(p.banner, "authorization") {
		t.Errorf("got banner\n%s", p.banner)
	}
	if !strings.Contains(p.banner, "base URL to "+p.url+"/v1\n") {
		t.Errorf("the base URL for SDKs isn't right in\n%s", p.banner)
	}
	t.Run("curl, raw", func(t *testing.T) {
		var completion struct {
			Object  string
			Choices []struct {
				Message struct{ Role, Content string }
			}
		}
		decode(t, shell(t.Context(), t, "", commands[rawCommand]), &completion)
		if completion.Object != "chat.completion" || completion.Choices[0].Message.Role != "assistant" ||
			completion.Choices[0].Message.Content == "" {
			t.Errorf("got %+v", completion)
		}
	})
	t.Run("curl, by Connect", func(t *testing.T) {
		var completion struct {
			Choices []struct {
				Message struct{ Role, Content string }
			}
		}
		decode(t, shell(t.Context(), t, "", commands[connectCommand]), &completion)
		if completion.Choices[0].Message.Role != "ROLE_ASSISTANT" || completion.Choices[0].Message.Content == "" {
			t.Errorf("got %+v", completion)
		}
	})
	t.Run("grpcurl", func(t *testing.T) {
		output := shell(t.Context(), t, "", commands[grpcCommand])
		chunks := json.NewDecoder(strings.NewReader(output))
		var text strings.Builder
		reason := ""
		for {
			var chunk struct {
				Choices []struct {
					Delta        struct{ Content string }
					FinishReason string
				}
			}
			err := chunks.Decode(&chunk)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, output)
			}
			text.WriteString(chunk.Choices[0].Delta.Content)
			reason = chunk.Choices[0].FinishReason
		}
		if text.Len() == 0 || reason != "FINISH_REASON_STOP" {
			t.Errorf("got %s", output)
		}
	})
}

// decode parses a string as one JSON value.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// TestBanner_NamesTheClientsVariable gives the server's environment a key,
// as most developers' machines have one, and the shell another. OpenAI's key is
// not what the banner has one paste to another host.
func TestBanner_NamesTheClientsVariable(t *testing.T) {
	t.Parallel()
	const servers, clients = "sk-of-the-server", "sk-of-the-client"
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{"id":"1","object":"chat.completion","choices":[]}`))
	p := start(t, []string{"OPENAI_API_KEY=" + servers}, "--upstream", upstream.URL, "--listen", "127.0.0.1:0")
	if strings.Contains(p.banner, servers) {
		t.Errorf("the banner has the key:\n%s", p.banner)
	}
	if !strings.Contains(p.banner, "upstream: "+upstream.URL+"\n") {
		t.Errorf("the banner doesn't name the upstream:\n%s", p.banner)
	}
	commands := commandsOf(p.banner)
	for _, text := range commands {
		if !strings.Contains(text, `-H "authorization: Bearer $API_KEY"`) {
			t.Errorf("this command has no key:\n%s", text)
		}
	}
	for _, text := range commands[:grpcCommand] {
		shell(t.Context(), t, clients, text)
		checkKey(t, upstream, []string{"Bearer " + clients})
		shell(t.Context(), t, clients, strings.ReplaceAll(text, `-H "authorization: Bearer $API_KEY"`, ""))
		checkKey(t, upstream, nil)
	}
}

func checkKey(t *testing.T, upstream *servertest.Upstream, want []string) {
	t.Helper()
	requests := upstream.Take()
	if len(requests) != 1 {
		t.Fatalf("the upstream received %d requests", len(requests))
	}
	if got := strings.Join(requests[0].Header["Authorization"], "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the upstream received the authorization %q, not %q", got, want)
	}
}

func TestBanner_PrintsADialableAddress(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "--upstream", "sandbox", "--listen", ":0")
	if !strings.HasPrefix(p.url, "http://localhost:") {
		t.Errorf("got address %s", p.url)
	}
	output := shell(t.Context(), t, "", commandsOf(p.banner)[rawCommand])
	if !strings.Contains(output, `"chat.completion"`) {
		t.Errorf("got %s", output)
	}
}

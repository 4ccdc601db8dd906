package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/cmd/openai-connect/internal/chat"
	"github.com/openai-connect/openai-connect/server/secret"
)

// chatCommand chats with a model through a server.
type chatCommand struct {
	Question []string `arg:"" optional:"" help:"The prompt. Piped input is placed before it. Without either, an interactive session starts."`

	Server     string       `help:"Base URL of the server." default:"http://127.0.0.1:8080" group:"Server:"`
	Protocol   chatProtocol `help:"Protocol: connect, grpc or grpc-web." default:"connect" group:"Server:"`
	APIKeyFile string       `help:"File with the API key. $$OPENAI_CONNECT_API_KEY can hold the key instead." placeholder:"FILE" group:"Server:"`
	APIKey     string       `hidden:"" secret:""`

	Model       string   `help:"Model to use." default:"${openai_model}" group:"Request:"`
	System      string   `help:"System prompt." placeholder:"TEXT" group:"Request:"`
	Temperature *float64 `help:"Sampling temperature, from 0 to 2." placeholder:"NUMBER" group:"Request:"`
	ExtraJSON   string   `help:"Other parameters of the request, as a JSON object of OpenAI's API: '{\"max_completion_tokens\": 100}'." placeholder:"OBJECT" group:"Request:"`

	Stream  *bool  `help:"Stream the response. Default: on, and off with --json." negatable:"" group:"Output:"`
	JSON    bool   `help:"Print the response as OpenAI's JSON: the chat.completion or, with --stream, one chat.completion.chunk per line." group:"Output:"`
	Usage   bool   `help:"Print token usage and timing after a response to a terminal." default:"true" negatable:"" group:"Output:"`
	History string `help:"File with the history of an interactive session. Default: none." placeholder:"FILE" group:"Output:"`
}

// openAIModel is the default model. The sandbox accepts any name.
const openAIModel = "gpt-5.4-mini"

// apiKeyVariable is the environment variable of a client's API key.
const apiKeyVariable = "OPENAI_CONNECT_API_KEY"

// errInterrupted is the error of a command that a signal ended.
var errInterrupted = errors.New("interrupted")

// chatProtocol is an RPC protocol whose parse error lists the protocols.
type chatProtocol client.Protocol

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *chatProtocol) UnmarshalText(text []byte) error {
	switch string(text) {
	case "connect":
		*p = chatProtocol(client.Connect)
	case "grpc":
		*p = chatProtocol(client.GRPC)
	case "grpc-web":
		*p = chatProtocol(client.GRPCWeb)
	default:
		return fmt.Errorf("unknown protocol %q: want connect, grpc or grpc-web", text)
	}
	return nil
}

// check returns an error if a value is invalid.
func (c *chatCommand) check() error {
	base, err := url.Parse(c.Server)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return errors.New("--server: invalid URL: want a base URL such as http://127.0.0.1:8080")
	case base.User != nil:
		return errors.New("--server: the URL has a user name or a password: set the API key with --api-key-file or " + apiKeyVariable)
	case strings.HasSuffix(strings.TrimRight(base.Path, "/"), "/v1"):
		return fmt.Errorf("--server: %q ends in /v1, the path of the raw API: remove it", c.Server)
	case strings.Contains(base.Host, ","):
		return fmt.Errorf("--server: %q has several hosts: want one", c.Server)
	case base.RawQuery != "" || base.ForceQuery || strings.Contains(c.Server, "#"):
		return fmt.Errorf("--server: %q has a query or a fragment: remove it", c.Server)
	}
	var parameters map[string]json.RawMessage
	if c.ExtraJSON != "" && json.Unmarshal([]byte(c.ExtraJSON), &parameters) != nil {
		return errors.New(`--extra-json: invalid value: want a JSON object such as {"max_completion_tokens": 100}`)
	}
	return nil
}

// key returns the API key, zero if it is not given.
func (c *chatCommand) key() (secret.Secret, error) {
	switch {
	case c.APIKey != "":
		key, err := secret.New(c.APIKey)
		if err != nil {
			return key, fmt.Errorf("%s: %w", apiKeyVariable, err)
		}
		return key, nil
	case c.APIKeyFile != "":
		key, err := secret.ReadFile(c.APIKeyFile)
		if err != nil {
			return key, fmt.Errorf("--api-key-file: %w", err)
		}
		return key, nil
	default:
		return secret.Secret{}, nil
	}
}

// question returns the piped input and the argument, separated by an empty line. It is
// empty without both.
func (c *chatCommand) question(in *os.File) (string, error) {
	question := strings.Join(c.Question, " ")
	if term.IsTerminal(int(in.Fd())) {
		return question, nil
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return "", fmt.Errorf("read the prompt: %w", err)
	}
	piped := strings.TrimSpace(string(text))
	switch {
	case piped == "":
		return question, nil
	case question == "":
		return piped, nil
	default:
		return piped + "\n\n" + question, nil
	}
}

// Run sends the prompt, or starts an interactive session.
func (c *chatCommand) Run(ctx context.Context, streams streams) error {
	if err := c.check(); err != nil {
		return err
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	question, err := c.question(streams.in)
	if err != nil {
		return err
	}
	inTerminal, outTerminal := term.IsTerminal(int(streams.in.Fd())), term.IsTerminal(int(streams.out.Fd()))
	switch {
	case question == "" && !inTerminal:
		return errors.New("no prompt: pass one as an argument, or pipe one in")
	case question == "" && c.JSON:
		return errors.New("--json: requires a prompt: pass one as an argument, or pipe one in")
	case question == "" && !outTerminal:
		return errors.New("no prompt, and no terminal for an interactive session: pass one as an argument, or pipe one in")
	}
	conversation := &chat.Conversation{
		Client:   client.New(c.Server, client.WithAPIKey(key.Reveal()), client.WithProtocol(client.Protocol(c.Protocol))),
		Request:  &chatv1.CreateChatCompletionRequest{Model: c.Model, Temperature: c.Temperature, ExtraJson: c.ExtraJSON},
		System:   c.System,
		NoStream: c.JSON,
		Usage:    c.Usage && outTerminal && !c.JSON,
	}
	if c.Stream != nil {
		conversation.NoStream = !*c.Stream
	}
	output := &chat.Output{Text: streams.out, Notes: streams.err, Terminal: outTerminal, Summary: c.Usage}

	ending := []os.Signal{syscall.SIGTERM}
	if question != "" {
		ending = append(ending, os.Interrupt) // In a session it only cancels the response.
	}
	ctx, stop := signal.NotifyContext(ctx, ending...)
	defer stop()
	switch {
	case question == "":
		err = conversation.Interact(ctx, streams.in, streams.out, output, c.History)
	case c.JSON:
		err = conversation.OneShotJSON(ctx, question, output)
	default:
		err = conversation.OneShot(ctx, question, output)
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

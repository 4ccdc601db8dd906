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

// chatCommand is a client's flags.
type chatCommand struct {
	Question []string `arg:"" optional:"" help:"The question. A text that is piped in comes before it. Without either, a conversation begins."`

	Server     string       `help:"The server, a base URL." default:"http://127.0.0.1:8080" group:"The server:"`
	Protocol   chatProtocol `help:"How to speak to it: connect, grpc or grpc-web." default:"connect" group:"The server:"`
	APIKeyFile string       `help:"File with the API key. $$OPENAI_CONNECT_API_KEY can hold the key instead." placeholder:"FILE" group:"Server:"`
	APIKey     string       `hidden:"" secret:""`

	Model       string   `help:"The model that answers." default:"${openai_model}" group:"The request:"`
	System      string   `help:"The system prompt." placeholder:"TEXT" group:"The request:"`
	Temperature *float64 `help:"How random the answer is, from 0 to 2." placeholder:"NUMBER" group:"The request:"`
	ExtraJSON   string   `help:"Any other parameters, as OpenAI's JSON: '{\"max_completion_tokens\": 100}'." placeholder:"OBJECT" group:"The request:"`

	Stream  *bool  `help:"Whether the answer comes piece by piece. It does, but for --json." negatable:"" group:"The answer:"`
	JSON    bool   `help:"Write the answer as OpenAI's JSON: the chat.completion; with --stream each chat.completion.chunk, one a line." group:"The answer:"`
	Usage   bool   `help:"Tell tokens and time behind an answer that goes to a terminal." default:"true" negatable:"" group:"The answer:"`
	History string `help:"File to keep the lines in that are entered in a conversation. By default they are forgotten." placeholder:"FILE" group:"The answer:"`
}

// openAIModel is a model that OpenAI has, for who names none. The sandbox takes
// any name.
const openAIModel = "gpt-5.4-mini"

// apiKeyVariable is the environment variable that has the key of a client.
const apiKeyVariable = "OPENAI_CONNECT_API_KEY"

// errInterrupted is how a command ends that a signal ended.
var errInterrupted = errors.New("interrupted")

// chatProtocol is an RPC protocol whose error says which there are.
type chatProtocol client.Protocol

// UnmarshalText is called by the parser.
func (p *chatProtocol) UnmarshalText(text []byte) error {
	switch string(text) {
	case "connect":
		*p = chatProtocol(client.Connect)
	case "grpc":
		*p = chatProtocol(client.GRPC)
	case "grpc-web":
		*p = chatProtocol(client.GRPCWeb)
	default:
		return fmt.Errorf("%q is none of connect, grpc and grpc-web", text)
	}
	return nil
}

// check says what is wrong with the values of flags that the parser takes.
func (c *chatCommand) check() error {
	base, err := url.Parse(c.Server)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return errors.New("--server: is no base URL such as http://127.0.0.1:8080")
	case base.User != nil:
		return errors.New("--server: has a user or a password: give a key by --api-key-file or " + apiKeyVariable)
	case strings.HasSuffix(strings.TrimRight(base.Path, "/"), "/v1"):
		return fmt.Errorf("--server: %q ends in /v1, which is the raw API's: leave it out", c.Server)
	case strings.Contains(base.Host, ","):
		return fmt.Errorf("--server: %q names several hosts: name one", c.Server)
	case base.RawQuery != "" || base.ForceQuery || strings.Contains(c.Server, "#"):
		return fmt.Errorf("--server: %q has a query or a fragment, which a base URL can't have", c.Server)
	case c.Model == "":
		return errors.New("--model: is empty: name a model, such as " + openAIModel)
	}
	var parameters map[string]json.RawMessage
	if c.ExtraJSON != "" && json.Unmarshal([]byte(c.ExtraJSON), &parameters) != nil {
		return errors.New(`--extra-json: is no JSON object such as {"max_completion_tokens": 100}`)
	}
	return nil
}

// key returns the client's key, none if there is none.
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

// question is the text that is piped in, an empty line, and the argument; or
// one of both, or nothing.
func (c *chatCommand) question(in *os.File) (string, error) {
	question := strings.Join(c.Question, " ")
	if term.IsTerminal(int(in.Fd())) {
		return question, nil
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return "", fmt.Errorf("read the question: %w", err)
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

// Run asks the question, or talks with the user of a terminal.
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
		return errors.New("there is no question: give one as an argument, or pipe one in")
	case question == "" && c.JSON:
		return errors.New("--json: is for one question: give it as an argument, or pipe it in")
	case question == "" && !outTerminal:
		return errors.New("there is no question, and no terminal to show a conversation: give one as an argument, or pipe one in")
	}
	conversation := &chat.Conversation{
		Client:  client.New(c.Server, client.WithAPIKey(key.Reveal()), client.WithProtocol(client.Protocol(c.Protocol))),
		Request: &chatv1.CreateChatCompletionRequest{Model: c.Model, Temperature: c.Temperature, ExtraJson: c.ExtraJSON},
		System:  c.System,
		Whole:   c.JSON,
		Usage:   c.Usage && outTerminal && !c.JSON,
	}
	if c.Stream != nil {
		conversation.Whole = !*c.Stream
	}
	output := &chat.Output{Answers: streams.out, Notes: streams.err, Terminal: outTerminal, Summary: c.Usage}

	ending := []os.Signal{syscall.SIGTERM}
	if question != "" {
		ending = append(ending, os.Interrupt) // In a conversation it ends an answer alone.
	}
	ctx, stop := signal.NotifyContext(ctx, ending...)
	defer stop()
	switch {
	case question == "":
		err = conversation.Interact(ctx, streams.in, streams.out, output, c.History)
	case c.JSON:
		err = conversation.OnceJSON(ctx, question, output)
	default:
		err = conversation.Once(ctx, question, output)
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

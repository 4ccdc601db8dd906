// Command openai-connect is a proxy for the OpenAI API. On one port it serves typed
// services over Connect, gRPC and gRPC-Web, and forwards all other requests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// Exit statuses. A chat that a signal ends has the status that shells use for Ctrl-C.
const (
	failed      = 1
	interrupted = 130
)

func main() {
	err := run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	switch {
	case err == nil:
	case errors.Is(err, errInterrupted):
		os.Exit(interrupted)
	default:
		fmt.Fprintf(os.Stderr, "openai-connect: %v\n", err)
		os.Exit(failed)
	}
}

// commandLine holds all commands and flags. Each flag has an environment variable:
// OPENAI_CONNECT_MAX_CALLS for --max-calls.
type commandLine struct {
	Serve   serveCommand     `cmd:"" default:"withargs" help:"Run the server (default)."`
	Check   checkCommand     `cmd:"" help:"Validate the flags of a server and connect to its upstreams."`
	Clients clientsCommand   `cmd:"" help:"Manage the clients of a server."`
	Chat    chatCommand      `cmd:"" help:"Chat with a model through a running server."`
	Version kong.VersionFlag `help:"Print the version." env:"-"`
}

// streams are the standard streams of a command.
type streams struct{ in, out, err *os.File }

func run(ctx context.Context, args []string, streams streams) error {
	config := new(configFile)
	parser, err := kong.New(new(commandLine),
		kong.Name("openai-connect"),
		kong.Description("A proxy for the OpenAI API: typed over Connect, gRPC and gRPC-Web, raw for all other requests."),
		kong.DefaultEnvars("OPENAI_CONNECT"),
		kong.Help(help),
		kong.Resolvers(config),
		kong.Vars{"version": version(), "openai_model": openAIModel},
		kong.Writers(streams.out, streams.err),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if failed, ok := errors.AsType[*kong.ParseError](err); ok {
		command = failed.Context
	}
	if command == nil || command.Selected() == nil {
		return usageError(err)
	}
	// An empty variable comes first, as the parser may reject it too.
	if err := rejectEmptyEnv(command.Selected()); err != nil {
		return err
	}
	given := make(givenFlags)
	if command.Error == nil {
		given = newGivenFlags(command, config)
	}
	if config.err != nil {
		return given.explain(config.err)
	}
	if err != nil {
		return given.explain(usageError(err))
	}
	if err := checkFlags(command.Selected().Flags, given); err != nil {
		return given.explain(err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return given.explain(command.Run(streams, given))
}

// rejectEmptyEnv returns an error if a variable of a command is empty. If the value of
// a flag may be empty, its type is a pointer.
func rejectEmptyEnv(command *kong.Node) error {
	for _, flag := range command.Flags {
		if name, isSet := variableOf(flag); isSet && os.Getenv(name) == "" && flag.Target.Kind() != reflect.Pointer {
			return fmt.Errorf("%s: is empty: set it to a value, or unset it", name)
		}
	}
	return nil
}

// help prints the help of a command. Without a command it prints the flags of the
// default one too.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	if _, err := fmt.Fprintln(ctx.Stdout); err != nil {
		return err
	}
	ctx.Path = append(ctx.Path, &kong.Path{Command: ctx.Model.DefaultCmd})
	return kong.DefaultHelpPrinter(options, ctx)
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

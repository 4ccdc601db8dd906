// Command openai-connect is a front door to the OpenAI API: typed over Connect,
// gRPC and gRPC-Web, and raw for everything else, on one port.
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

// The exit status of a command that failed, and of a chat that a signal ended:
// the shells' one for Ctrl-C.
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

// commandLine is every command and flag. Each flag has an environment variable:
// --max-calls is OPENAI_CONNECT_MAX_CALLS.
type commandLine struct {
	Serve   serveCommand     `cmd:"" default:"withargs" help:"Serve (the default)."`
	Chat    chatCommand      `cmd:"" help:"Chat with a model through a running server."`
	Clients clientsCommand   `cmd:"" help:"Manage the clients of a server."`
	Version kong.VersionFlag `help:"Print the version." env:"-"`
}

// streams are where a command reads and writes.
type streams struct{ in, out, err *os.File }

func run(ctx context.Context, args []string, streams streams) error {
	parser, err := kong.New(new(commandLine),
		kong.Name("openai-connect"),
		kong.Description("A front door to the OpenAI API: typed over Connect, gRPC and gRPC-Web, raw for everything else."),
		kong.DefaultEnvars("OPENAI_CONNECT"),
		kong.Help(help),
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
	if command != nil && command.Selected() != nil {
		// First, as an empty variable is what the parser may complain of.
		if err := checkVariables(command.Selected()); err != nil {
			return err
		}
	}
	if err != nil {
		return usageError(err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(streams)
}

// checkVariables refuses variables of a command that are set to nothing, as they
// would count as unset. A flag whose value may be empty has a pointer for it.
func checkVariables(command *kong.Node) error {
	for _, flags := range command.AllFlags(false) {
		for _, flag := range flags {
			for _, name := range flag.Envs {
				value, set := os.LookupEnv(name)
				if set && value == "" && flag.Target.Kind() != reflect.Pointer {
					return fmt.Errorf("%s: is empty: give --%s a value, or unset the variable", name, flag.Name)
				}
			}
		}
	}
	return nil
}

// help prints, where no command is named, the flags of the default one too.
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

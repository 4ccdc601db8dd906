// Command openai-connect is a front door to the OpenAI API: typed over Connect,
// gRPC and gRPC-Web, and raw for everything else, on one port.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // From then on, a second signal ends the program at once.
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "openai-connect: %v\n", err)
		os.Exit(1)
	}
}

// commandLine is every command and flag. Each flag has an environment variable:
// --max-reply-bytes is OPENAI_CONNECT_MAX_REPLY_BYTES.
type commandLine struct {
	Serve   serveCommand     `cmd:"" default:"withargs" help:"Serve (the default)."`
	Version kong.VersionFlag `help:"Print the version." env:"-"`
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	parser, err := kong.New(new(commandLine),
		kong.Name("openai-connect"),
		kong.Description("A front door to the OpenAI API: typed over Connect, gRPC and gRPC-Web, raw for everything else."),
		kong.DefaultEnvars("OPENAI_CONNECT"),
		kong.Help(help),
		kong.Vars{"version": version()},
		kong.Writers(stdout, stderr),
	)
	if err != nil {
		return err
	}
	if err := checkVariables(parser); err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (see --help)", err)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(streams{stdout, stderr})
}

// checkVariables refuses variables that are set to nothing, as they would count
// as unset. A flag whose value may be empty has a pointer for it.
func checkVariables(parser *kong.Kong) error {
	for _, flags := range parser.Model.Leaves(false)[0].AllFlags(false) {
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

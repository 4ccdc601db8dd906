package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// usageError rewrites an error of the parser, and adds which help to read.
func usageError(err error) error {
	help := "openai-connect"
	if failed, ok := errors.AsType[*kong.ParseError](err); ok && failed.Context.Selected() != nil {
		help = failed.Context.Selected().FullPath()
	}
	flag, reason, _ := strings.Cut(err.Error(), ": ")
	switch {
	case strings.HasSuffix(reason, `but got "EOL" (<EOL>)`):
		err = fmt.Errorf("%s: needs a value", flag)
	case strings.HasPrefix(err.Error(), "unexpected argument ") && strings.HasPrefix(help, "openai-connect clients"):
		err = fmt.Errorf("%w: the commands are clients add, list, revoke and rotate", err)
	case strings.HasPrefix(err.Error(), "unexpected argument "):
		err = fmt.Errorf("%w: the commands are serve, check, clients and chat, and serve takes only flags", err)
	}
	return fmt.Errorf("%w (see %s --help)", err, help)
}

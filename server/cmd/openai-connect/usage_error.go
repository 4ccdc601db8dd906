package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// usageError says what to do about an error of the parser, whose own words are about
// its tokens.
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
		err = fmt.Errorf("%w: the commands are serve, chat and clients, and serve takes flags alone", err)
	}
	return fmt.Errorf("%w (see %s --help)", err, help)
}

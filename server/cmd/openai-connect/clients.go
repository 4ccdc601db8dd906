package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// clientsCommand keeps the file of a server's --clients.
type clientsCommand struct {
	Add    clientsAddCommand    `cmd:"" help:"Make a token for a client, and print it, this once."`
	List   clientsListCommand   `cmd:"" help:"Tell whose tokens there are, and what they are good for."`
	Revoke clientsRevokeCommand `cmd:"" help:"Take a client's token away."`
	Rotate clientsRotateCommand `cmd:"" help:"Give a client another token, and print it, this once."`
}

// clientsFile is where the tokens are. Of the flags beside it none has a variable, as
// those of the server's flags may be set where keys are added.
type clientsFile struct {
	File string `help:"File of the tokens, a server's --clients." env:"OPENAI_CONNECT_CLIENTS" placeholder:"FILE" required:""`
}

// clientsAddCommand is a client's fields.
type clientsAddCommand struct {
	clientsFile

	Name string `arg:"" help:"What the client goes by in the file, in logs and in metrics."`

	Expires         string   `help:"When the token expires: a date, in UTC, or an RFC 3339 time. By default never, or as the file's defaults say; so with the other flags." env:"-" placeholder:"DATE"`
	Model           []string `help:"A model that the client may ask for, or the beginning of models and *. More than one are separated by commas. By default all." env:"-" placeholder:"MODEL"`
	Path            []string `help:"A path of the REST API that the client may ask for, or the beginning of paths and *. By default all." env:"-" placeholder:"PATH"`
	UpstreamKeyEnv  string   `help:"Environment variable of the server with the upstream's key for this client. By default the server's own key." env:"-" placeholder:"NAME"`
	UpstreamKeyFile string   `help:"File on the server's machine with the upstream's key for this client." env:"-" placeholder:"FILE"`

	RequestsPerMinute *int64 `help:"Most requests a minute." env:"-" placeholder:"N" group:"Limits:"`
	TokensPerMinute   *int64 `help:"Most tokens of models, read and written, a minute." env:"-" placeholder:"N" group:"Limits:"`
	TokensPerDay      *int64 `help:"Most tokens of models a day." env:"-" placeholder:"N" group:"Limits:"`
	ConcurrentStreams *int64 `help:"Most streams that are open at a time." env:"-" placeholder:"N" group:"Limits:"`
}

// entry returns what the flags say, and else what is wrong with them.
func (c *clientsAddCommand) entry() (clients.Entry, error) {
	e := clients.Entry{Name: c.Name, UpstreamKey: clients.KeySource{Env: c.UpstreamKeyEnv}}
	if err := clients.CheckName(c.Name); err != nil {
		return e, err
	}
	var err error
	if c.Expires != "" {
		if e.Expires, err = clients.ParseExpiry(c.Expires); err != nil {
			return e, fmt.Errorf("--expires: %w", err)
		}
		if !e.Expires.IsZero() && e.Expires.Before(time.Now()) {
			return e, fmt.Errorf("--expires: %s is over: give a date to come", c.Expires)
		}
	}
	if c.UpstreamKeyFile != "" {
		// A path in the file is one from the file's folder.
		if e.UpstreamKey.File, err = filepath.Abs(c.UpstreamKeyFile); err != nil {
			return e, fmt.Errorf("--upstream-key-file: %w", err)
		}
	}
	if e.UpstreamKey != (clients.KeySource{}) {
		switch err := e.UpstreamKey.Check(); {
		case err != nil && c.UpstreamKeyFile != "":
			return e, errors.New("--upstream-key-env and --upstream-key-file: both have the key: choose one")
		case err != nil:
			return e, fmt.Errorf("--upstream-key-env: %w", err)
		}
	}
	for _, name := range c.Model {
		if err := clients.Pattern(name).Check(); err != nil {
			return e, fmt.Errorf("--model: %q %w", name, err)
		}
		e.Models = append(e.Models, clients.Pattern(name))
	}
	for _, path := range c.Path {
		if err := clients.Pattern(path).CheckPath(); err != nil {
			return e, fmt.Errorf("--path: %q %w", path, err)
		}
		e.Paths = append(e.Paths, clients.Pattern(path))
	}
	for _, limit := range []struct {
		kind        ratelimit.Kind
		flag, field *int64
	}{
		{ratelimit.RequestsPerMinute, c.RequestsPerMinute, &e.Limits.RequestsPerMinute},
		{ratelimit.TokensPerMinute, c.TokensPerMinute, &e.Limits.TokensPerMinute},
		{ratelimit.TokensPerDay, c.TokensPerDay, &e.Limits.TokensPerDay},
		{ratelimit.ConcurrentStreams, c.ConcurrentStreams, &e.Limits.ConcurrentStreams},
	} {
		switch {
		case limit.flag == nil:
		case *limit.flag < 1:
			return e, fmt.Errorf("--%s: %d is too small: give a number from 1 on, or leave it out for no limit", flagOf(limit.kind), *limit.flag)
		default:
			*limit.field = *limit.flag
		}
	}
	return e, nil
}

// Run adds the client.
func (c *clientsAddCommand) Run(streams streams) error {
	e, err := c.entry()
	if err != nil {
		return err
	}
	token := clients.Generate()
	e.Hash = clients.HashOf(token.Reveal())
	if err := clients.Add(c.File, e); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if err := printKey(streams.out, token, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(streams.err, `%[1]s is in %[2]s now. This was its token: it is shown once, and kept nowhere.
Clients send it where they would send an API key, as authorization: Bearer TOKEN.
Servers that run with --clients %[2]s take it within a second, or a minute where the file is on a network.
`, c.Name, c.File)
	return nil
}

// clientsRevokeCommand takes a token away.
type clientsRevokeCommand struct {
	clientsFile

	Name string `arg:"" help:"The client, as it was added."`
}

// Run takes it away.
func (c *clientsRevokeCommand) Run(streams streams) error {
	if err := clients.Revoke(c.File, c.Name); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	fmt.Fprintf(streams.err, "%s is no more in %s. Servers refuse its token within a second of %s, or a minute where the file is on a network.\n"+
		"Calls that run go on to their end.\n", c.Name, c.File, now())
	return nil
}

// clientsRotateCommand replaces a token.
type clientsRotateCommand struct {
	clientsFile

	Name string `arg:"" help:"The client, as it was added."`
}

// Run replaces it.
func (c *clientsRotateCommand) Run(streams streams) error {
	token := clients.Generate()
	if err := clients.Rotate(c.File, c.Name, clients.HashOf(token.Reveal())); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if err := printKey(streams.out, token, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(streams.err, "This is the token of %s in %s now: it is shown once, and kept nowhere.\n"+
		"Servers refuse the one before within a second of %s, or a minute where the file is on a network.\n", c.Name, c.File, now())
	return nil
}

// printKey prints a token, which is lost otherwise.
func printKey(out io.Writer, token auth.Secret, name string) error {
	if _, err := fmt.Fprintln(out, token.Reveal()); err != nil {
		return fmt.Errorf("the token of %s was made, but can't be printed: rotate it: %w", name, err)
	}
	return nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// flagOf is the name of the flag for a limit.
func flagOf(kind ratelimit.Kind) string { return strings.ReplaceAll(string(kind), "_", "-") }

package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/secret"
)

// clientsCommand manages the file of a server's --clients.
type clientsCommand struct {
	Add    clientsAddCommand    `cmd:"" help:"Add a client and print its API key, this once."`
	List   clientsListCommand   `cmd:"" help:"List clients and their limits."`
	Rotate clientsRotateCommand `cmd:"" help:"Replace a client's API key and print the new one, this once."`
	Revoke clientsRevokeCommand `cmd:"" help:"Remove a client."`
}

// clientsFile names the file. The flags next to it have no variables, as those would be
// variables of the server too.
type clientsFile struct {
	File string `help:"File of clients, the server's --clients." env:"OPENAI_CONNECT_CLIENTS" placeholder:"FILE" required:""`
}

// clientsAddCommand holds the fields of a client.
type clientsAddCommand struct {
	clientsFile

	Name string `arg:"" help:"Name of the client in the file, in logs and in metrics."`

	Expires         string   `help:"Expiry of the API key: a date, in UTC, or an RFC 3339 time. Default, as with the other flags: the file's defaults, or none." env:"-" placeholder:"DATE"`
	Model           []string `help:"Model that the client may use, or a prefix followed by *. Repeat the flag or separate with commas. Default: all." env:"-" placeholder:"MODEL"`
	Path            []string `help:"Path of the REST API that the client may use, or a prefix followed by *. Default: all." env:"-" placeholder:"PATH"`
	UpstreamKeyEnv  string   `help:"Environment variable of the server with the upstream key of this client. Default: the server's own key." env:"-" placeholder:"NAME"`
	UpstreamKeyFile string   `help:"File on the server with the upstream key of this client." env:"-" placeholder:"FILE"`

	RequestsPerMinute *int64 `help:"Maximum number of requests per minute." env:"-" placeholder:"N" group:"Limits:" min:"1"`
	TokensPerMinute   *int64 `help:"Maximum number of tokens per minute, prompts and responses together." env:"-" placeholder:"N" group:"Limits:" min:"1"`
	TokensPerDay      *int64 `help:"Maximum number of tokens per day." env:"-" placeholder:"N" group:"Limits:" min:"1"`
	ConcurrentStreams *int64 `help:"Maximum number of open streams." env:"-" placeholder:"N" group:"Limits:" min:"1"`
}

// entry returns the client that the flags describe.
func (c *clientsAddCommand) entry() (clients.Entry, error) {
	e := clients.Entry{Name: c.Name, UpstreamKey: secret.Source{Env: c.UpstreamKeyEnv}}
	if err := clients.CheckName(c.Name); err != nil {
		return e, err
	}
	var err error
	if c.Expires != "" {
		if e.Expires, err = clients.ParseExpiry(c.Expires); err != nil {
			return e, fmt.Errorf("--expires: %w", err)
		}
		if !e.Expires.IsZero() && e.Expires.Before(time.Now()) {
			return e, fmt.Errorf("--expires: %s is in the past", c.Expires)
		}
	}
	if c.UpstreamKeyFile != "" {
		// A relative path in the file starts at the directory of the file.
		if e.UpstreamKey.File, err = filepath.Abs(c.UpstreamKeyFile); err != nil {
			return e, fmt.Errorf("--upstream-key-file: %w", err)
		}
	}
	if c.UpstreamKeyEnv != "" {
		if err := e.UpstreamKey.Check(); err != nil {
			return e, fmt.Errorf("--upstream-key-env: %w", err)
		}
	}
	for _, name := range c.Model {
		if err := clients.Pattern(name).Check(); err != nil {
			return e, fmt.Errorf("--model: %w", err)
		}
		e.Models = append(e.Models, clients.Pattern(name))
	}
	for _, path := range c.Path {
		if err := clients.Pattern(path).CheckPath(); err != nil {
			return e, fmt.Errorf("--path: %w", err)
		}
		e.Paths = append(e.Paths, clients.Pattern(path))
	}
	for _, limit := range []struct {
		flag  *int64
		field *int64
	}{
		{c.RequestsPerMinute, &e.Limits.RequestsPerMinute},
		{c.TokensPerMinute, &e.Limits.TokensPerMinute},
		{c.TokensPerDay, &e.Limits.TokensPerDay},
		{c.ConcurrentStreams, &e.Limits.ConcurrentStreams},
	} {
		if limit.flag != nil {
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
	key := clients.GenerateKey()
	e.Hash = clients.HashKey(key.Reveal())
	if err := clients.Add(c.File, e); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if err := printKey(streams.out, key, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(streams.err, `Added %[1]s to %[2]s. This was its API key: it is shown once and stored nowhere.
Clients send it as authorization: Bearer KEY.
Running servers with --clients %[2]s accept it within a second (a minute on network file systems).
`, c.Name, c.File)
	return nil
}

// clientsRevokeCommand removes a client.
type clientsRevokeCommand struct {
	clientsFile

	Name string `arg:"" help:"Name of the client."`
}

// Run removes the client.
func (c *clientsRevokeCommand) Run(streams streams) error {
	if err := clients.Revoke(c.File, c.Name); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	fmt.Fprintf(streams.err, "Removed %s from %s. Running servers reject its API key within a second of %s (a minute on network file systems).\n"+
		"Requests in progress continue.\n", c.Name, c.File, now())
	return nil
}

// clientsRotateCommand replaces the API key of a client.
type clientsRotateCommand struct {
	clientsFile

	Name string `arg:"" help:"Name of the client."`
}

// Run replaces the key.
func (c *clientsRotateCommand) Run(streams streams) error {
	key := clients.GenerateKey()
	if err := clients.Rotate(c.File, c.Name, clients.HashKey(key.Reveal())); err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if err := printKey(streams.out, key, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(streams.err, "This is the new API key of %s in %s: it is shown once and stored nowhere.\n"+
		"Running servers reject the previous one within a second of %s (a minute on network file systems).\n", c.Name, c.File, now())
	return nil
}

// printKey prints an API key, which is lost otherwise.
func printKey(out io.Writer, key secret.Secret, name string) error {
	if _, err := fmt.Fprintln(out, key.Reveal()); err != nil {
		return fmt.Errorf("created the API key of %s, but cannot print it: rotate it: %w", name, err)
	}
	return nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

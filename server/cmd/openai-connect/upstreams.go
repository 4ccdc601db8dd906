package main

import (
	"errors"
	"fmt"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// upstreamsFlags are about what is done while an upstream is in trouble.
type upstreamsFlags struct {
	Upstreams       string `help:"File that lists several upstreams, or keys of one, in the order in which they are asked; in place of --upstream. Each has a name, a url and possibly a key; retries and cooldown are there too." placeholder:"FILE"`
	UpstreamRetries int    `help:"How often more the upstream is asked if no connection to it could be made, or if it hangs up on what can be repeated." default:"0"`
}

// check says what is wrong with the flags' values, beside that of --upstream.
func (f *upstreamsFlags) check(single string) error {
	switch {
	case f.UpstreamRetries < 0 || f.UpstreamRetries > failover.MaxRetries:
		return fmt.Errorf("--upstream-retries: %d is out of bounds: give a number from 0 to %d", f.UpstreamRetries, failover.MaxRetries)
	case f.Upstreams == "":
		return nil
	case single != upstream.DefaultBaseURL:
		return errors.New("--upstreams and --upstream: contradict each other: choose one, or list the upstream in the file")
	case f.UpstreamRetries > 0:
		return errors.New("--upstreams and --upstream-retries: contradict each other: write retries into the file")
	}
	return nil
}

// read returns the upstreams to ask, nil if there is but one, which is asked once.
func (f *upstreamsFlags) read(single string) (*failover.Config, error) {
	if f.Upstreams != "" {
		file, err := failover.ReadFile(f.Upstreams)
		if err != nil {
			return nil, fmt.Errorf("--upstreams: %w", err)
		}
		return file, nil
	}
	if f.UpstreamRetries == 0 {
		return nil, nil //nolint:nilnil // as said
	}
	name := "upstream"
	if single == server.Sandbox {
		name = server.Sandbox
	}
	return &failover.Config{
		Upstreams: []failover.Upstream{{Name: name, BaseURL: single}},
		Retries:   f.UpstreamRetries,
		Cooldown:  failover.DefaultCooldown,
	}, nil
}

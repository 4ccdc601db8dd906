package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// clientsListCommand lists the clients of a file, without their hashes.
type clientsListCommand struct {
	clientsFile

	JSON bool `help:"Print a JSON array with the fields of the file." env:"-"`
}

// Run lists the clients.
func (c *clientsListCommand) Run(streams streams) error {
	entries, err := clients.Read(c.File)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if c.JSON {
		list := make([]listedClient, 0, len(entries))
		for _, e := range entries {
			list = append(list, listed(e))
		}
		encoder := json.NewEncoder(streams.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	table := tabwriter.NewWriter(streams.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "NAME\tEXPIRES\tUPSTREAM KEY\tMODELS\tPATHS\tLIMITS\n")
	for _, e := range entries {
		expires := clients.FormatExpiry(e.Expires)
		if isExpired(e.Expires) {
			expires += " (expired)"
		}
		key := "the server's"
		switch {
		case e.UpstreamKey.Env != "":
			key = "env " + e.UpstreamKey.Env
		case e.UpstreamKey.File != "":
			key = "file " + e.UpstreamKey.File
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, expires, key, names(e.Models), names(e.Paths), limitsText(e))
	}
	return table.Flush()
}

func isExpired(expires time.Time) bool { return !expires.IsZero() && !time.Now().Before(expires) }

// names formats patterns for the table.
func names(patterns clients.Patterns) string {
	texts := make([]string, 0, len(patterns))
	for _, pattern := range patterns {
		texts = append(texts, string(pattern))
	}
	return cmp.Or(strings.Join(texts, " "), "all")
}

// limitsText formats limits for the table.
func limitsText(e clients.Entry) string {
	var texts []string
	add := func(prefix string, l ratelimit.Limits) {
		for _, limit := range []struct {
			count int64
			unit  string
		}{
			{l.RequestsPerMinute, " requests/min"},
			{l.TokensPerMinute, " tokens/min"},
			{l.TokensPerDay, " tokens/day"},
			{l.ConcurrentStreams, " streams"},
		} {
			if limit.count > 0 {
				texts = append(texts, fmt.Sprint(prefix, limit.count, limit.unit))
			}
		}
	}
	add("", e.Limits)
	for _, m := range e.ModelLimits {
		add(string(m.Models)+": ", m.Limits)
	}
	return cmp.Or(strings.Join(texts, ", "), "none")
}

// listedClient is a client in JSON. The limits of models are an array, as their order
// matters.
type listedClient struct {
	Name        string           `json:"name"`
	Expires     string           `json:"expires,omitempty"`
	Expired     bool             `json:"expired"`
	UpstreamKey secret.Source    `json:"upstream_key,omitzero"`
	Models      clients.Patterns `json:"models,omitempty"`
	Paths       clients.Patterns `json:"paths,omitempty"`
	Limits      listedLimits     `json:"limits,omitzero"`
	ModelLimits []listedModels   `json:"model_limits,omitempty"`
}

type listedLimits struct {
	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int64 `json:"tokens_per_minute,omitempty"`
	TokensPerDay      int64 `json:"tokens_per_day,omitempty"`
	ConcurrentStreams int64 `json:"concurrent_streams,omitempty"`
}

type listedModels struct {
	Models clients.Pattern `json:"models"`
	Limits listedLimits    `json:"limits,omitzero"`
}

func listed(e clients.Entry) listedClient {
	client := listedClient{
		Name:        e.Name,
		Expired:     isExpired(e.Expires),
		UpstreamKey: e.UpstreamKey,
		Models:      e.Models,
		Paths:       e.Paths,
		Limits:      listedLimits(e.Limits),
	}
	if !e.Expires.IsZero() {
		client.Expires = clients.FormatExpiry(e.Expires)
	}
	for _, m := range e.ModelLimits {
		client.ModelLimits = append(client.ModelLimits, listedModels{m.Models, listedLimits(m.Limits)})
	}
	return client
}

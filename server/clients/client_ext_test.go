package clients_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

func TestRead_CompletesClientsByDefaults(t *testing.T) {
	t.Parallel()
	path := write(t, `# A team.
defaults:
  expires: 2030-01-01
  upstream_key: {file: shared.key}
  models: [gpt-5*]
  paths: [/v1/chat/completions]
  limits: {requests_per_minute: 600, tokens_per_day: 1_000, models: {o3: {tokens_per_day: 5}}}
clients:
  - name: by-default
    hash: `+hashOf("by-default")+`
  - hash: "`+hashOf("own")+`"   # the order doesn't matter
    name: 'own'
    expires: 2027-06-01T12:30:00+02:00
    upstream_key: {env: OWN}
    models: ["*"]
    paths:
      - /v1/*
      - "/"
    limits:
      requests_per_minute: none
      tokens_per_minute: 7
      concurrent_streams: 2
      models:
        gpt-5-pro*: {requests_per_minute: 5}
        gpt-5*: {requests_per_minute: 50}
  - {name: never, hash: `+hashOf("never")+`, expires: never}
`)
	got, err := clients.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	byDefault := clients.Entry{
		Name: "by-default", Hash: clients.HashKey(keyOf("by-default")),
		Expires:     time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		UpstreamKey: secret.Source{File: "shared.key"},
		Models:      clients.Patterns{"gpt-5*"}, Paths: clients.Patterns{"/v1/chat/completions"},
		Limits:      ratelimit.Limits{RequestsPerMinute: 600, TokensPerDay: 1000},
		ModelLimits: []clients.ModelLimits{{Models: "o3", Limits: ratelimit.Limits{TokensPerDay: 5}}},
	}
	last := byDefault
	last.Name, last.Hash, last.Expires = "never", clients.HashKey(keyOf("never")), time.Time{}
	want := []clients.Entry{byDefault, {
		Name: "own", Hash: clients.HashKey(keyOf("own")),
		Expires:     time.Date(2027, 6, 1, 10, 30, 0, 0, time.UTC),
		UpstreamKey: secret.Source{Env: "OWN"},
		Models:      clients.Patterns{"*"}, Paths: clients.Patterns{"/v1/*", "/"},
		Limits: ratelimit.Limits{TokensPerMinute: 7, TokensPerDay: 1000, ConcurrentStreams: 2},
		ModelLimits: []clients.ModelLimits{
			{Models: "gpt-5-pro*", Limits: ratelimit.Limits{RequestsPerMinute: 5}},
			{Models: "gpt-5*", Limits: ratelimit.Limits{RequestsPerMinute: 50}},
		},
	}, last}
	if len(got) != len(want) {
		t.Fatalf("got %d entries", len(got))
	}
	for i := range want {
		if !clients.Same(got[i], want[i]) {
			t.Errorf("got %+v, not %+v", got[i], want[i])
		}
	}
}

func TestLookup_FindsAKeyUntilItExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		find := clients.LookupIn(t, "clients:\n"+entry("alice")+entry("bob", "expires: "+expires))
		for range 2 {
			for _, name := range []string{"alice", "bob"} {
				if token, err := find(keyOf(name)); err != nil || token.Name != name {
					t.Errorf("%s: got %v, %v", name, token, err)
				}
			}
			time.Sleep(30*time.Minute - time.Nanosecond)
		}
		time.Sleep(2 * time.Nanosecond)
		if token, err := find(keyOf("bob")); !errors.Is(err, clients.ErrExpired) || token != nil {
			t.Errorf("once it expired, got %v, %v", token, err)
		}
		if _, err := find(keyOf("alice")); err != nil {
			t.Error(err)
		}
		for _, shown := range []string{"", "x", keyOf("carol"), keyOf("alice") + "x", hashOf("alice"), strings.ToUpper(keyOf("alice")), "alice"} {
			if token, err := find(shown); !errors.Is(err, clients.ErrUnknownKey) || token != nil {
				t.Errorf("%q: got %v, %v", shown, token, err)
			}
		}
	})
}

func TestClient_AllowsModelsAndPaths(t *testing.T) {
	t.Parallel()
	token := clients.Client{
		Models: clients.Patterns{"gpt-5*", "o3"},
		Paths:  clients.Patterns{"/v1/chat/completions", "/v1/files/*"},
	}
	for name, allowed := range map[string]bool{
		"gpt-5": true, "gpt-5-pro": true, "o3": true, "o3-mini": false, "gpt-4": false, "GPT-5": false, "": false, "*": false,
	} {
		if got := token.AllowsModel(name); got != allowed {
			t.Errorf("the model %q: %v", name, got)
		}
	}
	for path, allowed := range map[string]bool{
		"/v1/chat/completions":         true,
		"/v1/chat/completions/":        false,
		"/v1/chat/completions/x":       false,
		"/v1/chat":                     false,
		"/v1/files/":                   true,
		"/v1/files/file-1/content":     true,
		"/v1/files/a%20b":              true,
		"/v1/files/a..b/.c":            true,
		"/v1/files":                    false,
		"/v1/models":                   false,
		"/V1/files/x":                  false,
		"//v1/files/x":                 false,
		"/v1/%66iles/x":                false,
		"":                             false,
		"/v1/files/../models":          false,
		"/v1/files/./x":                false,
		"/v1/files/..":                 false,
		"/v1/files/%2e%2E/models":      false,
		"/v1/files/.%2e/models":        false,
		"/v1/files/x%2f..%2f../models": false,
		"/v1/files/%252e%252e/models":  false,
		"/v1/files/..\\models":         false,
		"/v1/files/..%5cmodels":        false,
		"/v1/files/..;a=b/models":      false,
		"/v1/files/100%":               false,
		"/v1/files/a%252520b":          true,
		"/v1/files/a%25252520b":        false, // encoded too often to follow

		// What some readers take for "..": a name ends at NUL in C, control
		// characters are left out, spaces and dots at the end are on Windows, and
		// decoders are lenient.
		"/v1/files/..%00/models":                false,
		"/v1/files/..%2500/models":              false,
		"/v1/files/..%09/models":                false,
		"/v1/files/.%0a./models":                false,
		"/v1/files/%0d%0a../models":             false,
		"/v1/files/..%7f/models":                false,
		"/v1/files/..%C2%85/models":             false,
		"/v1/files/..%20/models":                false,
		"/v1/files/%20../models":                false,
		"/v1/files/.%20./models":                false,
		"/v1/files/..%20;a=b/models":            false,
		"/v1/files/..%C2%A0/models":             false,
		"/v1/files/..%E2%80%8B/models":          false,
		"/v1/files/..%EF%BB%BF/models":          false,
		"/v1/files/.../models":                  false,
		"/v1/files/x..%00":                      false,
		"/v1/files/%C0%AE%C0%AE/models":         false,
		"/v1/files/%E0%80%AE%E0%80%AE/models":   false,
		"/v1/files/%25c0%25ae%25c0%25ae/models": false,
		"/v1/files/..%C0%AFmodels":              false,
		"/v1/files/%FF":                         false,
		"/v1/files/..\xff/models":               false,
		"/v1/files/%EF%BC%8E%EF%BC%8E/models":   false,
		"/v1/files/..%EF%BC%8Fmodels":           false,
		"/v1/files/..%EF%BC%BCmodels":           false,
		"/v1/files/%E2%80%A5/models":            false,
		"/v1/files/%C3%A9%E6%97%A5/content":     true,
		"/v1/files/.well-known":                 true,
		"/v1/files/a%20..b":                     true,
	} {
		if got := token.AllowsPath(path); got != allowed {
			t.Errorf("the path %q: %v", path, got)
		}
	}
	all := new(clients.Client)
	if !all.AllowsModel("") || !all.AllowsModel("x") || !all.AllowsPath("/a/../b") || !all.AllowsPath("") {
		t.Error("a token without patterns doesn't allow all")
	}
	if star := (clients.Client{Models: clients.Patterns{"*"}}); !star.AllowsModel("") || !star.AllowsModel("x") {
		t.Error("a star doesn't stand for all")
	}
}

func TestClient_ScopesOfARequest(t *testing.T) {
	t.Parallel()
	own, pro, five := ratelimit.Limits{RequestsPerMinute: 60}, ratelimit.Limits{RequestsPerMinute: 5}, ratelimit.Limits{TokensPerDay: 9}
	byModel := []clients.ModelLimits{{Models: "gpt-5-pro*", Limits: pro}, {Models: "o3"}, {Models: "gpt-5*", Limits: five}}
	mine := ratelimit.Scope{Name: "a", Limits: own}
	for name, row := range map[string]struct {
		token clients.Client
		model string
		want  []ratelimit.Scope
	}{
		"no limits":                        {clients.Client{Name: "a"}, "gpt-5", nil},
		"limits of its own":                {clients.Client{Name: "a", Limits: own}, "gpt-5", []ratelimit.Scope{mine}},
		"of the model alone":               {clients.Client{Name: "a", ModelLimits: byModel}, "gpt-5-pro-1", []ratelimit.Scope{{Name: "a/gpt-5-pro*", Limits: pro}}},
		"of both, the first that fits":     {clients.Client{Name: "a", Limits: own, ModelLimits: byModel}, "gpt-5-pro", []ratelimit.Scope{mine, {Name: "a/gpt-5-pro*", Limits: pro}}},
		"of a model in another case":       {clients.Client{Name: "a", ModelLimits: byModel}, "GPT-5-Pro", []ratelimit.Scope{{Name: "a/gpt-5-pro*", Limits: pro}}},
		"of both, the second":              {clients.Client{Name: "a", Limits: own, ModelLimits: byModel}, "gpt-5", []ratelimit.Scope{mine, {Name: "a/gpt-5*", Limits: five}}},
		"a model that isn't limited":       {clients.Client{Name: "a", Limits: own, ModelLimits: byModel}, "o3", []ratelimit.Scope{mine}},
		"a model that none fits":           {clients.Client{Name: "a", Limits: own, ModelLimits: byModel}, "o4", []ratelimit.Scope{mine}},
		"a model that isn't known":         {clients.Client{Name: "a", Limits: own, ModelLimits: byModel}, "", []ratelimit.Scope{mine}},
		"a model that none fits, no other": {clients.Client{Name: "a", ModelLimits: byModel}, "", nil},
	} {
		for _, token := range []*clients.Client{&row.token, clients.Precomputed(row.token)} {
			got := token.Scopes(row.model)
			if len(got) != len(row.want) || len(got) > 0 && !reflect.DeepEqual(got, row.want) {
				t.Errorf("%s: got %v, not %v", name, got, row.want)
			}
		}
	}
}

func TestGenerateKey_Has256RandomBits(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 1000 {
		token := clients.GenerateKey().Reveal()
		if len(token) != 3+43 || !strings.HasPrefix(token, "oc-") || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" || seen[token] {
			t.Fatalf("got %q", token)
		}
		seen[token] = true
	}
	if got := fmt.Sprint(clients.GenerateKey()); got != "[redacted]" {
		t.Errorf("it prints as %q", got)
	}
}

func BenchmarkLookup(b *testing.B) {
	var file strings.Builder
	file.WriteString("clients:\n")
	for i := range 1000 {
		file.WriteString(entry(fmt.Sprint("client-", i)))
	}
	store := open(b, write(b, file.String()), clients.Options{})
	for _, row := range []struct{ name, token string }{{"known", keyOf("client-500")}, {"unknown", keyOf("nobody")}} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = store.Lookup(row.token)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	var file strings.Builder
	file.WriteString("clients:\n")
	for i := range 1000 {
		file.WriteString(entry(fmt.Sprint("client-", i), "limits: {requests_per_minute: 60}"))
	}
	path := write(b, file.String())
	for b.Loop() {
		if _, err := clients.Read(path); err != nil {
			b.Fatal(err)
		}
	}
}

package clients_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// Each row is a file and its problems: the line, the field, and a part of the message.
func TestRead_ReportsProblemsByLine(t *testing.T) {
	t.Parallel()
	const list = "clients:\n"
	for name, row := range map[string]struct {
		text string
		says []string
	}{
		"an empty file":                                {"", []string{"1: the file is empty: want a list of clients; `openai-connect clients add` creates one"}},
		"only a comment":                               {"# tokens\n", []string{"1: the file is empty: want a list of clients; `openai-connect clients add` creates one"}},
		"invalid YAML":                                 {"clients: [\n", []string{"1: invalid YAML: sequence end token ']' not found"}},
		"a tab":                                        {"clients:\n\t- name: a\n", []string{"2: invalid YAML: found character ' ' that cannot start any token"}},
		"a list":                                       {"- name: a\n", []string{"1: is a list: want a mapping"}},
		"a text":                                       {"tokens\n", []string{"1: is a string: want a mapping"}},
		"two documents":                                {"clients: []\n---\nclients: []\n", []string{"3: second YAML document: want one"}},
		"no clients":                                   {"defaults: {models: [a]}\n", []string{"1: clients: is missing: want a list of clients, or [] for none"}},
		"an empty list without brackets":               {"clients:\n", []string{"1: clients: is empty: want a list"}},
		"clients as a mapping":                         {"clients: {a: b}\n", []string{"1: clients: is a mapping: want a list"}},
		"a duplicate list":                             {"clients: []\nclients: []\n", []string{"2: clients: duplicate field, first on line 1"}},
		"an unknown field":                             {"clients: []\nkeys: []\n", []string{`2: unknown field "keys": want one of defaults, clients`}},
		"an unknown field of a client":                 {list + entry("a", "model: x"), []string{`4: unknown field "model": did you mean "models"?`}},
		"a field named by a number":                    {list + entry("a", "5: x"), []string{"4: the name of a field is an integer: want a string"}},
		"a client that is a string":                    {list + "  - a\n", []string{"2: clients: is a string: want a mapping"}},
		"a client without a name":                      {list + "  - hash: " + hashOf("a") + "\n", []string{"2: name: is missing: `openai-connect clients add` writes entries with a name and a hash"}},
		"a client without a hash":                      {list + "  - name: a\n", []string{"2: hash: is missing: `openai-connect clients add` writes entries with a name and a hash"}},
		"an empty client":                              {list + "  -\n", []string{"2: clients: is empty: want a mapping"}},
		"a name with a space":                          {list + entry("a b"), []string{`2: name: invalid name "a b": want 1 to 64 letters, digits, ".", "_", "@" and "-"`}},
		"a name with a slash":                          {list + entry("a/b"), []string{`2: name: invalid name "a/b": want 1 to 64 letters, digits, ".", "_", "@" and "-"`}},
		"a name that is too long":                      {list + entry(strings.Repeat("a", 65)), []string{`2: name: invalid name "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": want 1 to 64 letters, digits, ".", "_", "@" and "-"`}},
		"a name that is a number":                      {list + "  - name: 5\n    hash: " + hashOf("a") + "\n", []string{"2: name: is an integer: want a string in quotes"}},
		"an empty name":                                {list + "  - name:\n    hash: " + hashOf("a") + "\n", []string{"2: name: is empty: want a string"}},
		"a name of two lines":                          {list + "  - name: |\n      a\n    hash: " + hashOf("a") + "\n", []string{"2: name: is a string of several lines: want a string"}},
		"a duplicate name":                             {list + entry("a") + "  - name: a\n    hash: " + hashOf("b") + "\n", []string{`4: name: duplicate name "a", first on line 2`}},
		"a duplicate hash":                             {list + entry("a") + "  - name: b\n    hash: " + hashOf("a") + "\n", []string{"5: hash: duplicate hash, first on line 3: run `openai-connect clients rotate` for one of the clients"}},
		"an API key in place of its hash":              {list + "  - name: a\n    hash: " + keyOf("a") + "\n", []string{"3: hash: invalid hash: want \"sha256:\" and 64 hexadecimal digits; `openai-connect clients add` generates API keys and their hashes"}},
		"a hash that is too short":                     {list + "  - name: a\n    hash: sha256:00000000\n", []string{"3: hash: invalid hash: want \"sha256:\" and 64 hexadecimal digits; `openai-connect clients add` generates API keys and their hashes"}},
		"a hash of another algorithm":                  {list + "  - name: a\n    hash: md5:" + strings.Repeat("0", 64) + "\n", []string{"3: hash: invalid hash: want \"sha256:\" and 64 hexadecimal digits; `openai-connect clients add` generates API keys and their hashes"}},
		"an expiry in words":                           {list + entry("a", "expires: tomorrow"), []string{`4: expires: invalid time "tomorrow": want a date such as 2027-01-01, a time such as 2027-01-01T12:00:00Z, or never`}},
		"an impossible date":                           {list + entry("a", "expires: 2027-02-30"), []string{`4: expires: invalid time "2027-02-30": want a date such as 2027-01-01, a time such as 2027-01-01T12:00:00Z, or never`}},
		"a year":                                       {list + entry("a", "expires: 2027"), []string{"4: expires: is an integer: want a string in quotes"}},
		"models as a string":                           {list + entry("a", "models: gpt-5"), []string{"4: models: is a string: want a list"}},
		"no models":                                    {list + entry("a", "models: []"), []string{"4: models: is an empty list: list what is allowed, or remove the field to allow everything"}},
		"an empty model":                               {list + entry("a", `models: [""]`), []string{"4: models: empty pattern: want a name, or a prefix followed by *"}},
		"a model with a star before its end":           {list + entry("a", `models: ["gpt-*-mini"]`), []string{`4: models: pattern "gpt-*-mini" has a * before its end: want a name, or a prefix followed by *`}},
		"a model with a space":                         {list + entry("a", "models: [gpt 5]"), []string{`4: models: pattern "gpt 5" has a space or a control character`}},
		"a model that is a number":                     {list + entry("a", "models:", "  - a", "  - 5"), []string{"6: models: is an integer: want a string in quotes"}},
		"a path without a slash":                       {list + entry("a", "paths: [v1/models]"), []string{`4: paths: path "v1/models" does not begin with /: want a path such as /v1/chat/completions, or a prefix followed by *`}},
		"a path with a query":                          {list + entry("a", "paths: [/v1/models?x]"), []string{`4: paths: path "/v1/models?x" has a query or a fragment`}},
		"a path with a dot segment":                    {list + entry("a", "paths: [/v1/../x]"), []string{`4: paths: path "/v1/../x" has a . or .. segment: want the path that it resolves to`}},
		"limits that are a number":                     {list + entry("a", "limits: 5"), []string{"4: limits: is an integer: want a mapping"}},
		"no limits":                                    {list + entry("a", "limits: {}"), []string{"4: limits: is empty: remove it or add fields"}},
		"an unknown limit":                             {list + entry("a", "limits: {requests_per_hour: 5}"), []string{`4: limits: unknown field "requests_per_hour": did you mean "requests_per_minute"?`}},
		"a limit below zero":                           {list + entry("a", "limits:", "  tokens_per_day: -5"), []string{"5: limits.tokens_per_day: -5 is out of range: want an integer of at least 1, or none"}},
		"a limit of zero":                              {list + entry("a", "limits: {concurrent_streams: 0}"), []string{"4: limits.concurrent_streams: 0 is out of range: want an integer of at least 1, or none"}},
		"a limit that is too large":                    {list + entry("a", "limits: {tokens_per_day: 9223372036854775808}"), []string{"4: limits.tokens_per_day: 9223372036854775808 is out of range: want an integer of at least 1, or none"}},
		"a limit as a string":                          {list + entry("a", "limits: {requests_per_minute: many}"), []string{"4: limits.requests_per_minute: is a string: want an integer of at least 1, or none"}},
		"a limit in quotes":                            {list + entry("a", `limits: {requests_per_minute: "60"}`), []string{"4: limits.requests_per_minute: is a string: want an integer of at least 1, or none"}},
		"a limit that is a fraction":                   {list + entry("a", "limits: {requests_per_minute: 1.5}"), []string{"4: limits.requests_per_minute: is a floating-point number: want an integer of at least 1, or none"}},
		"an empty limit":                               {list + entry("a", "limits:", "  requests_per_minute:"), []string{"5: limits.requests_per_minute: is empty: want an integer of at least 1, or none"}},
		"an unknown limit of a model":                  {list + entry("a", "limits:", "  models:", "    gpt*: {streams: 5}"), []string{`6: limits.models.gpt*: unknown field "streams": want one of requests_per_minute, tokens_per_minute, tokens_per_day, concurrent_streams`}},
		"models within models":                         {list + entry("a", "limits: {models: {a: {models: {b: {tokens_per_day: 5}}}}}"), []string{`4: limits.models.a: unknown field "models": want one of requests_per_minute, tokens_per_minute, tokens_per_day, concurrent_streams`}},
		"a model that is never reached":                {list + entry("a", "limits:", "  models:", "    gpt*: {tokens_per_day: 5}", "    gpt-5: {tokens_per_day: 1}"), []string{"7: limits.models.gpt-5: never applies, as gpt* above matches the same models: move it up"}},
		"a model of limits with a star before its end": {list + entry("a", `limits: {models: {"g*t": {tokens_per_day: 5}}}`), []string{`4: limits.models.g*t: pattern "g*t" has a * before its end: want a name, or a prefix followed by *`}},
		"an unknown default":                           {"defaults: {name: a}\nclients: []\n", []string{`1: defaults: unknown field "name": want one of expires, upstream_key, models, paths, limits`}},
		"a default limit below zero":                   {"defaults:\n  limits:\n    tokens_per_day: -1\nclients: []\n", []string{"3: defaults.limits.tokens_per_day: -1 is out of range: want an integer of at least 1, or none"}},
		"a key without a source":                       {list + entry("a", "upstream_key: {}"), []string{"4: upstream_key: is empty: remove it or add fields"}},
		"a key of two sources":                         {list + entry("a", "upstream_key: {env: A, file: b}"), []string{"4: upstream_key: want {env: VARIABLE} or {file: PATH}"}},
		"the key itself":                               {list + entry("a", "upstream_key: sk-secret"), []string{"4: upstream_key: is a string: want a mapping"}},
		"the key itself as a variable":                 {list + entry("a", "upstream_key: {env: sk-secret}"), []string{"4: upstream_key: env is not the name of an environment variable: want its name, not the key itself"}},
		"a key of another source":                      {list + entry("a", "upstream_key: {vault: x}"), []string{`4: upstream_key: unknown field "vault": want one of env, file`}},
		"an anchor":                                    {list + entry("a", "models: &m [a]"), []string{"4: models: is an anchor or an alias: want a list"}},
		"an alias":                                     {list + entry("a", "models: *m"), []string{"4: models: is an anchor or an alias: want a list"}},
		"a tag":                                        {list + entry("a", "models: !!seq [a]"), []string{"4: models: is a tag: want a list"}},
		"several problems": {
			list + entry("a", "expires: soon", "model: x") + entry("b", "limits: {tokens_per_day: 0}"),
			[]string{`4: expires: invalid time "soon": want a date such as 2027-01-01, a time such as 2027-01-01T12:00:00Z, or never`, `5: unknown field "model": did you mean "models"?`, "8: limits.tokens_per_day: 0 is out of range: want an integer of at least 1, or none"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, row.text)
			_, err := clients.Read(path)
			checkProblems(t, path, err, row.says...)
		})
	}
}

func TestOpen_ReportsMissingUpstreamKeysByLine(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		rewrite(t, path, text)
		return path
	}
	t.Setenv("KEYS_TEST_GOOD", "sk-secret-of-a")
	t.Setenv("KEYS_TEST_EMPTY", "")
	t.Setenv("KEYS_TEST_LINES", "sk-secret\nsk-secret")
	t.Setenv("KEYS_TEST_TOKEN", keyOf("b"))
	const list = "clients:\n"
	for name, row := range map[string]struct {
		text string
		says []string
	}{
		"no key at all":                   {list + entry("a"), []string{"2: upstream_key: client a has no upstream key … --upstream-key-file"}},
		"a variable that is not set":      {list + entry("a", "upstream_key: {env: KEYS_TEST_NONE}"), []string{"4: upstream_key: of client a: environment variable KEYS_TEST_NONE is not set"}},
		"a variable that is empty":        {list + entry("a", "upstream_key: {env: KEYS_TEST_EMPTY}"), []string{"4: upstream_key: of client a: environment variable KEYS_TEST_EMPTY: must not be empty"}},
		"a variable of two lines":         {list + entry("a", "upstream_key: {env: KEYS_TEST_LINES}"), []string{"4: upstream_key: of client a: … must be a single line"}},
		"a file that is missing":          {list + entry("a", "upstream_key: {file: /nowhere}"), []string{"4: upstream_key: of client a: … /nowhere"}},
		"a missing relative file":         {list + entry("a", "upstream_key: {file: nowhere}"), []string{"4: upstream_key: of client a: … /nowhere"}},
		"a file that is empty":            {list + entry("a", "upstream_key: {file: "+file("empty", "\n")+"}"), []string{"4: upstream_key: of client a: … must not be empty"}},
		"a file with a space":             {list + entry("a", "upstream_key: {file: "+file("space", "sk secret")+"}"), []string{"4: upstream_key: of client a: … must not contain spaces or tabs"}},
		"a missing variable of a default": {"defaults:\n  upstream_key: {env: KEYS_TEST_NONE}\n" + list + entry("a") + entry("b"), []string{"2: upstream_key: of client a", "2: upstream_key: of client b"}},
		"an API key that is an upstream key": {
			list + entry("a", "upstream_key: {env: KEYS_TEST_TOKEN}") + entry("b", "upstream_key: {env: KEYS_TEST_GOOD}"),
			[]string{"6: hash: is the hash of an upstream key … clients rotate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, row.text)
			if _, err := clients.Read(path); err != nil {
				t.Errorf("it can't be read without the keys: %v", err)
			}
			store, err := clients.Open(path, clients.Options{})
			if err == nil {
				err = store.RequireUpstreamKeys()
				store.Close()
			}
			checkProblems(t, path, err, row.says...)
		})
	}
}

func TestRead_ReportsUnreadableFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	rewrite(t, large, "")
	if err := os.Truncate(large, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		filepath.Join(folder, "none"):            "no such file",
		filepath.Join(folder, "none", "of them"): "no such file",
		folder:                                   "is a directory",
		large:                                    "longer than 16 MiB",
	} {
		if store, err := clients.Open(path, clients.Options{}); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, %v", path, store, err)
		}
	}
}

func TestRead_BoundsWhatAFileCosts(t *testing.T) { // not in parallel: it measures the memory that is allocated
	for name, text := range map[string]string{
		"brackets":         strings.Repeat("[", 20_000),
		"brackets within":  "clients:\n" + entry("alice", "models: "+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)),
		"braces":           "defaults: " + strings.Repeat("{limits: ", 10_000),
		"dashes":           "clients:\n  " + strings.Repeat("- ", 10_000) + "a",
		"many brackets":    strings.Repeat("[", 15<<20),
		"many values":      "clients:\n" + strings.Repeat("  - a\n", 300_000),
		"many braces":      "clients: " + strings.Repeat("{a: ", 3<<20),
		"nested anchors":   "clients: " + strings.Repeat("&a ", 10_000) + "[]",
		"nested merge key": "clients:\n  - " + strings.Repeat("<<: ", 1000) + "a",
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, text)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if entries, err := clients.Read(path); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, %v", entries, err)
			}
			runtime.ReadMemStats(&after)
			// The file itself, and a scan of up to its first megabytes.
			if took := after.TotalAlloc - before.TotalAlloc; took > 1<<30 || len(text) < 1<<20 && took > 64<<20 {
				t.Errorf("it took %d MB to refuse it", took>>20)
			}
		})
	}
}

package clients_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// Each row is a file, and what is wrong with it: the line, the field, and a part of
// what is said.
func TestABrokenFileIsRefusedByLine(t *testing.T) {
	t.Parallel()
	const list = "clients:\n"
	for name, row := range map[string]struct {
		text string
		says []string
	}{
		"nothing":                              {"", []string{"1: is empty … clients add"}},
		"a comment":                            {"# tokens\n", []string{"1: is empty … clients add"}},
		"no YAML":                              {"clients: [\n", []string{"1: is no YAML: … ']' not found"}},
		"a tab":                                {"clients:\n\t- name: a\n", []string{"2: is no YAML: … "}},
		"a list":                               {"- name: a\n", []string{"1: must have fields … not a list"}},
		"a text":                               {"tokens\n", []string{"1: must have fields … not a text"}},
		"two documents":                        {"clients: []\n---\nclients: []\n", []string{"3: a second document … "}},
		"no tokens":                            {"defaults: {models: [a]}\n", []string{"1: clients: is missing … clients: []"}},
		"tokens that are nothing":              {"clients:\n", []string{"1: clients: must be a list … not nothing"}},
		"tokens by name":                       {"clients: {a: b}\n", []string{"1: clients: must be a list … not fields"}},
		"tokens twice":                         {"clients: []\nclients: []\n", []string{`2: is no YAML: … "clients" already defined`}},
		"a field that there is not":            {"clients: []\nkeys: []\n", []string{`2: "keys" is no field … defaults and clients`}},
		"a field of a token that there is not": {list + entry("a", "model: x"), []string{`4: "model" is no field … models`}},
		"a field that is a number":             {list + entry("a", "5: x"), []string{"4: clients: … a number for the name of a field"}},
		"a token that is a text":               {list + "  - a\n", []string{"2: clients: must have fields … not a text"}},
		"a token without a name":               {list + "  - hash: " + hashOf("a") + "\n", []string{"2: name: is missing … clients add"}},
		"a token without a hash":               {list + "  - name: a\n", []string{"2: hash: is missing … clients add"}},
		"a token that is nothing":              {list + "  -\n", []string{"2: clients: must have fields … nothing"}},
		"a name with a space":                  {list + entry("a b"), []string{`2: name: "a b" is no name … 64`}},
		"a name with a slash":                  {list + entry("a/b"), []string{`2: name: "a/b" … `}},
		"a name that is too long":              {list + entry(strings.Repeat("a", 65)), []string{"2: name: … 64"}},
		"a name that is a number":              {list + "  - name: 5\n    hash: " + hashOf("a") + "\n", []string{"2: name: must be a text, not a number … quotes"}},
		"a name that is nothing":               {list + "  - name:\n    hash: " + hashOf("a") + "\n", []string{"2: name: must be a text, not nothing … "}},
		"a name of two lines":                  {list + "  - name: |\n      a\n    hash: " + hashOf("a") + "\n", []string{"2: name: must be a text, not a text of several lines … "}},
		"a name twice":                         {list + entry("a") + "  - name: a\n    hash: " + hashOf("b") + "\n", []string{`4: name: "a" is a token of line 2 already … `}},
		"a hash twice":                         {list + entry("a") + "  - name: b\n    hash: " + hashOf("a") + "\n", []string{"5: hash: is that of line 3 already … clients add"}},
		"a token for its hash":                 {list + "  - name: a\n    hash: " + tokenOf("a") + "\n", []string{`3: hash: must be "sha256:" … clients add`}},
		"a hash that is too short":             {list + "  - name: a\n    hash: sha256:00000000\n", []string{"3: hash: … 64 hexadecimal digits"}},
		"a hash of another sort":               {list + "  - name: a\n    hash: md5:" + strings.Repeat("0", 64) + "\n", []string{"3: hash: … sha256:"}},
		"an expiry in words":                   {list + entry("a", "expires: tomorrow"), []string{`4: expires: "tomorrow" … 2027-01-01`}},
		"a day that there is not":              {list + entry("a", "expires: 2027-02-30"), []string{"4: expires: … "}},
		"a year":                               {list + entry("a", "expires: 2027"), []string{"4: expires: must be a text, not a number … "}},
		"models that are one":                  {list + entry("a", "models: gpt-5"), []string{"4: models: must be a list, not a text … "}},
		"no models":                            {list + entry("a", "models: []"), []string{"4: models: is an empty list … leave the field out"}},
		"an empty model":                       {list + entry("a", `models: [""]`), []string{"4: models: … is empty"}},
		"a model with a star within":           {list + entry("a", `models: ["gpt-*-mini"]`), []string{`4: models: "gpt-*-mini" has a * … end`}},
		"a model with a space":                 {list + entry("a", "models: [gpt 5]"), []string{"4: models: … space"}},
		"a model that is a number":             {list + entry("a", "models:", "  - a", "  - 5"), []string{"6: models: must be a text, not a number … quotes"}},
		"a path without a slash":               {list + entry("a", "paths: [v1/models]"), []string{`4: paths: "v1/models" does not begin with / … `}},
		"a path with a query":                  {list + entry("a", "paths: [/v1/models?x]"), []string{"4: paths: … path alone"}},
		"a path that wanders":                  {list + entry("a", "paths: [/v1/../x]"), []string{"4: paths: … segment"}},
		"limits that are a number":             {list + entry("a", "limits: 5"), []string{"4: limits: must have fields, not a number … "}},
		"no limits":                            {list + entry("a", "limits: {}"), []string{"4: limits: has no fields … "}},
		"a limit that there is not":            {list + entry("a", "limits: {requests_per_hour: 5}"), []string{`4: limits: "requests_per_hour" is no limit … requests_per_minute`}},
		"a limit below zero":                   {list + entry("a", "limits:", "  tokens_per_day: -5"), []string{"5: limits.tokens_per_day: -5 is out of bounds … from 1 on"}},
		"a limit of zero":                      {list + entry("a", "limits: {concurrent_streams: 0}"), []string{"4: limits.concurrent_streams: 0 is out of bounds … none"}},
		"a limit that is too large":            {list + entry("a", "limits: {tokens_per_day: 9223372036854775808}"), []string{"4: limits.tokens_per_day: … out of bounds"}},
		"a limit in words":                     {list + entry("a", "limits: {requests_per_minute: many}"), []string{"4: limits.requests_per_minute: must be a whole number, not a text … "}},
		"a limit in quotes":                    {list + entry("a", `limits: {requests_per_minute: "60"}`), []string{"4: limits.requests_per_minute: … not a text"}},
		"a limit that is a fraction":           {list + entry("a", "limits: {requests_per_minute: 1.5}"), []string{"4: limits.requests_per_minute: … not a fraction"}},
		"a limit that is nothing":              {list + entry("a", "limits:", "  requests_per_minute:"), []string{"5: limits.requests_per_minute: … not nothing"}},
		"a limit of a model that there is not": {list + entry("a", "limits:", "  models:", "    gpt*: {streams: 5}"), []string{`6: limits.models.gpt*: "streams" is no limit … `}},
		"models within models":                 {list + entry("a", "limits: {models: {a: {models: {b: {tokens_per_day: 5}}}}}"), []string{"4: limits.models.a: … is no limit"}},
		"a model that is never reached":        {list + entry("a", "limits:", "  models:", "    gpt*: {tokens_per_day: 5}", "    gpt-5: {tokens_per_day: 1}"), []string{"7: limits.models.gpt-5: counts for nothing behind gpt* … before"}},
		"a model of limits with a star within": {list + entry("a", `limits: {models: {"g*t": {tokens_per_day: 5}}}`), []string{"4: limits.models: … end"}},
		"a default that there is not":          {"defaults: {name: a}\nclients: []\n", []string{`1: defaults: "name" is no field … limits`}},
		"a default limit below zero":           {"defaults:\n  limits:\n    tokens_per_day: -1\nclients: []\n", []string{"3: defaults.limits.tokens_per_day: … out of bounds"}},
		"a key without a source":               {list + entry("a", "upstream_key: {}"), []string{"4: upstream_key: has no fields … "}},
		"a key of two sources":                 {list + entry("a", "upstream_key: {env: A, file: b}"), []string{"4: upstream_key: needs one of env and file … "}},
		"a key itself":                         {list + entry("a", "upstream_key: sk-secret"), []string{"4: upstream_key: must have fields, not a text … "}},
		"a key itself for a variable":          {list + entry("a", "upstream_key: {env: sk-secret}"), []string{"4: upstream_key: env is no name … not the key"}},
		"a key of another source":              {list + entry("a", "upstream_key: {vault: x}"), []string{`4: upstream_key: "vault" is no field … `}},
		"an anchor":                            {list + entry("a", "models: &m [a]"), []string{"4: models: must be a list, not an anchor … defaults"}},
		"a reference":                          {list + entry("a", "models: *m"), []string{"4: models: … defaults"}},
		"a tag":                                {list + entry("a", "models: !!seq [a]"), []string{"4: models: … a tag"}},
		"several, all told": {
			list + entry("a", "expires: soon", "model: x") + entry("b", "limits: {tokens_per_day: 0}"),
			[]string{"4: expires: … ", `5: "model" … `, "8: limits.tokens_per_day: … "},
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

func TestAFileWhoseKeysAreMissingIsRefusedByLine(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		rewrite(t, path, text)
		return path
	}
	t.Setenv("KEYS_TEST_GOOD", "sk-secret-of-a")
	t.Setenv("KEYS_TEST_EMPTY", "")
	t.Setenv("KEYS_TEST_LINES", "sk-secret\nsk-secret")
	t.Setenv("KEYS_TEST_TOKEN", tokenOf("b"))
	const list = "clients:\n"
	for name, row := range map[string]struct {
		text string
		says []string
	}{
		"no key at all":                 {list + entry("a"), []string{"2: upstream_key: token a has none … --upstream-key-file"}},
		"a variable that is not set":    {list + entry("a", "upstream_key: {env: KEYS_TEST_NONE}"), []string{"4: upstream_key.env: KEYS_TEST_NONE of token a is not set … "}},
		"a variable that is empty":      {list + entry("a", "upstream_key: {env: KEYS_TEST_EMPTY}"), []string{"4: upstream_key.env: KEYS_TEST_EMPTY of token a: it is empty … "}},
		"a variable of two lines":       {list + entry("a", "upstream_key: {env: KEYS_TEST_LINES}"), []string{"4: upstream_key.env: … more than one line"}},
		"a file that is missing":        {list + entry("a", "upstream_key: {file: /nowhere}"), []string{"4: upstream_key.file: of token a: … /nowhere"}},
		"a file beside it, missing":     {list + entry("a", "upstream_key: {file: nowhere}"), []string{"4: upstream_key.file: of token a: … /nowhere"}},
		"a file that is empty":          {list + entry("a", "upstream_key: {file: "+file("empty", "\n")+"}"), []string{"4: upstream_key.file: … it is empty"}},
		"a file with a space":           {list + entry("a", "upstream_key: {file: "+file("space", "sk secret")+"}"), []string{"4: upstream_key.file: … a space"}},
		"a default of all that is none": {"defaults:\n  upstream_key: {env: KEYS_TEST_NONE}\n" + list + entry("a") + entry("b"), []string{"2: upstream_key.env: … token a", "2: upstream_key.env: … token b"}},
		"a token that is a key": {
			list + entry("a", "upstream_key: {env: KEYS_TEST_TOKEN}") + entry("b", "upstream_key: {env: KEYS_TEST_GOOD}"),
			[]string{"6: hash: is that of an upstream's key … clients rotate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, row.text)
			if _, err := clients.Read(path); err != nil {
				t.Errorf("it can't be read without the keys: %v", err)
			}
			store, err := clients.Open(path, clients.Options{})
			if err == nil {
				store.Close()
			}
			checkProblems(t, path, err, row.says...)
		})
	}
}

func TestAFileThatCannotBeReadIsRefused(t *testing.T) {
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

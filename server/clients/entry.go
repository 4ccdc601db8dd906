package clients

import (
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// Entry is a client in a file, completed by the defaults of the file. The file is YAML:
//
//	# Defaults for the fields of clients except name and hash. Limits are merged one by
//	# one, except limits of models.
//	defaults:
//	  limits: {requests_per_minute: 600}
//	clients:
//	  - name: alice                  # 1 to 64 letters, digits, ".", "_", "@" and "-"
//	    hash: sha256:9f86d0…         # see Hash
//	    expires: 2027-01-01          # midnight UTC, an RFC 3339 time, or never
//	    upstream_key: {env: ALICE}   # or {file: PATH}; by default the server's upstream key
//	    models: [gpt-5*, o3]         # names, or prefixes followed by *; by default all
//	    paths: [/v1/chat/*]          # the same for paths of the REST API
//	    limits:                      # at least 1, or none
//	      requests_per_minute: 60
//	      tokens_per_minute: 100000
//	      tokens_per_day: 2000000
//	      concurrent_streams: 10
//	      models:                    # the first match applies
//	        gpt-5-pro*: {requests_per_minute: 5}
//
// Relative paths are relative to the directory of the file.
type Entry struct {
	Name        string
	Hash        Hash
	Expires     time.Time // zero for never
	UpstreamKey secret.Source
	Models      Patterns // all if empty
	Paths       Patterns // all if empty
	Limits      ratelimit.Limits
	ModelLimits []ModelLimits

	lines entryLines
}

// entryLines are the lines of an entry in its file, from 1.
type entryLines struct {
	entry       int // 0 unless the list has a dash for each entry
	name        int
	hash        int
	upstreamKey int // 0 without an upstream key
}

// The values of fields that undo a default.
const (
	none  = "none"
	never = "never"
)

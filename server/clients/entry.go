package clients

import (
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// Entry is a client as the file describes it, with what the file's defaults say
// where the entry doesn't. The file is YAML:
//
//	# Of every token that doesn't say otherwise; the fields are a token's, without
//	# name and hash. Of limits, each is taken by itself, and models as a whole.
//	defaults:
//	  limits: {requests_per_minute: 600}
//	clients:
//	  - name: alice                  # 1 to 64 of A-Z a-z 0-9 . _ @ -
//	    hash: sha256:9f86d0…         # see Hash
//	    expires: 2027-01-01          # its beginning in UTC, or an RFC 3339 time, or never
//	    upstream_key: {env: ALICE}   # a variable, or {file: PATH}; without it, the server's own
//	    models: [gpt-5*, o3]         # names, or beginnings and *; without it, all
//	    paths: [/v1/chat/*]          # the same, of paths of the REST API
//	    limits:                      # from 1 on, or none
//	      requests_per_minute: 60
//	      tokens_per_minute: 100000
//	      tokens_per_day: 2000000
//	      concurrent_streams: 10
//	      models:                    # of which the first that fits counts
//	        gpt-5-pro*: {requests_per_minute: 5}
//
// What is not of this form is an error, of type [LineErrors]. A relative path is one
// from the folder that the file is in.
type Entry struct {
	Name        string
	Hash        Hash
	Expires     time.Time // zero means never
	UpstreamKey KeySource
	Models      Patterns // all if empty
	Paths       Patterns // all if empty
	Limits      ratelimit.Limits
	ModelLimits []ModelLimits

	place place
}

// KeySource is where an upstream's key is: in an environment variable, or in a
// file. The zero value is neither.
type KeySource struct {
	Env  string `json:"env,omitempty"  yaml:"env,omitempty"`
	File string `json:"file,omitempty" yaml:"file,omitempty"`
}

// place is where an entry is in the file: lines, from 1 on.
type place struct {
	entry int // of the dash that begins it
	name  int
	hash  int
	key   int // of its upstream_key, or that of the defaults; or the name's
}

// The words for the lack of a limit and of an end, where the defaults have one.
const (
	none  = "none"
	never = "never"
)

// settings are what an entry says, nil where it says nothing.
type settings struct {
	expires *time.Time
	key     *KeySource
	keyLine int
	models  Patterns
	paths   Patterns

	requestsPerMinute *int64
	tokensPerMinute   *int64
	tokensPerDay      *int64
	concurrentStreams *int64
	modelLimits       []ModelLimits
}

// entry returns what the settings, and else the defaults, are of a client.
func (s *settings) entry(defaults *settings) Entry {
	e := Entry{
		Models:      s.models,
		Paths:       s.paths,
		ModelLimits: s.modelLimits,
		Limits: ratelimit.Limits{
			RequestsPerMinute: first(s.requestsPerMinute, defaults.requestsPerMinute),
			TokensPerMinute:   first(s.tokensPerMinute, defaults.tokensPerMinute),
			TokensPerDay:      first(s.tokensPerDay, defaults.tokensPerDay),
			ConcurrentStreams: first(s.concurrentStreams, defaults.concurrentStreams),
		},
		Expires:     first(s.expires, defaults.expires),
		UpstreamKey: first(s.key, defaults.key),
	}
	e.place.key = s.keyLine
	if s.key == nil {
		e.place.key = defaults.keyLine
	}
	if e.Models == nil {
		e.Models = defaults.models
	}
	if e.Paths == nil {
		e.Paths = defaults.paths
	}
	if e.ModelLimits == nil {
		e.ModelLimits = defaults.modelLimits
	}
	return e
}

// first returns the first value that is there, else the zero value.
func first[T any](values ...*T) T {
	for _, value := range values {
		if value != nil {
			return *value
		}
	}
	var zero T
	return zero
}

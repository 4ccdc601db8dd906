package ratelimit

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// errURL does not quote the URL, which may contain a password.
var errURL = errors.New("invalid Redis URL: want redis://, rediss://, valkey:// or valkeys://, then [user:password@]host[:port][/database]")

// parameters are the supported query parameters. All others are rejected, including those
// of package valkey that parseURL overrides.
var parameters = map[string]struct {
	want  string
	valid func(value string) bool
}{
	"addr":          {"HOST:PORT", func(value string) bool { return value != "" && !strings.Contains(value, ",") }},
	"db":            {"a number", isDatabase},
	"dial_timeout":  {"a duration such as 500ms", isDuration},
	"write_timeout": {"a duration such as 500ms", isDuration},
	"master_set":    {"a name", func(value string) bool { return value != "" }},
	"protocol":      {"2 or 3", func(value string) bool { return value == "2" || value == "3" }},
	"skip_verify":   {"true or false", isBool},
}

// parseURL parses the URL of a Redis server. Errors name the invalid part and do not quote
// values.
func parseURL(raw string, password func() (string, error), timeout time.Duration) (valkey.ClientOption, error) {
	if err := checkURL(raw, password != nil); err != nil {
		return valkey.ClientOption{}, err
	}
	option, err := valkey.ParseURL(raw)
	if err != nil {
		return option, errURL
	}
	if password != nil {
		user := option.Username
		option.AuthCredentialsFn = func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
			current, err := password()
			return valkey.AuthCredentials{Username: user, Password: current}, err
		}
	}
	option.DisableCache = true    // Counters must not be cached.
	option.DisableRetry = true    // The limiter counts locally instead.
	option.PipelineMultiplex = -1 // One connection, so that a heartbeat shows whether it works.
	option.ClientName = prefix
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	// These timeouts end commands whose callers have timed out.
	if option.Dialer.Timeout == 0 {
		option.Dialer.Timeout = 4 * timeout
	}
	if option.ConnWriteTimeout == 0 {
		option.ConnWriteTimeout = 4 * timeout
	}
	return option, nil
}

// CheckURL returns an error if [OpenShared] would reject the URL. The error names the
// invalid part and does not quote values.
func CheckURL(url string) error { return checkURL(url, false) }

// checkURL rejects a URL with a part that package valkey would ignore or replace by a
// default.
func checkURL(raw string, hasPassword bool) error {
	u, err := url.Parse(raw)
	if err != nil || !slices.Contains([]string{"redis", "rediss", "valkey", "valkeys"}, u.Scheme) {
		return errURL
	}
	port, portErr := strconv.ParseUint(u.Port(), 10, 16)
	_, inURL := u.User.Password()
	switch {
	case strings.Contains(u.Host, ","):
		return errors.New("the Redis URL has several hosts: want one, with other nodes of a cluster as ?addr=HOST:PORT")
	case u.Hostname() == "":
		return errURL
	case u.Port() != "" && (portErr != nil || port == 0), strings.HasSuffix(u.Host, ":"):
		return errors.New("invalid port in the Redis URL: want a number from 1 to 65535")
	case strings.Contains(raw, "#"):
		return errors.New("the Redis URL has a fragment: remove it, or write # as %23 in a password")
	case inURL && hasPassword:
		return errors.New("the Redis URL has a password and another one is configured: remove one of them")
	case u.Path != "" && !isDatabase(u.Path[1:]):
		return errors.New("invalid database in the Redis URL: want a number, as in redis://host/0")
	}
	return checkQuery(u)
}

func checkQuery(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("invalid query in the Redis URL: want name=value pairs joined by &")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		known, ok := parameters[name]
		switch values := query[name]; {
		case !ok:
			return fmt.Errorf("unknown parameter %.32q in the Redis URL: want one of %s",
				name, strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		case len(values) > 1 && name != "addr":
			return fmt.Errorf("the Redis URL has the parameter %s twice: remove one", name)
		case slices.ContainsFunc(values, func(value string) bool { return !known.valid(value) }):
			return fmt.Errorf("invalid value of the parameter %s in the Redis URL: want %s", name, known.want)
		}
	}
	switch {
	case query.Has("db") && u.Path != "":
		return errors.New("the Redis URL has a database in its path and in the parameter db: remove one")
	case query.Has("skip_verify") && u.Scheme != "rediss" && u.Scheme != "valkeys":
		return errors.New("the Redis URL has the parameter skip_verify without TLS: remove it or use rediss://")
	}
	return nil
}

func isDatabase(value string) bool {
	_, err := strconv.ParseUint(value, 10, 31)
	return err == nil
}

func isDuration(value string) bool {
	d, err := time.ParseDuration(value)
	return err == nil && d > 0
}

func isBool(value string) bool {
	_, err := strconv.ParseBool(value)
	return err == nil
}

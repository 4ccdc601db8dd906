package ratelimit_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestRedisURL_RejectsPartsThatWouldBeIgnored(t *testing.T) {
	given := func() (string, error) { return "hunter3", nil }
	for _, test := range []struct {
		name, url string
		password  func() (string, error)
		wrong     string // part of the error
	}{
		{"two hosts", "redis://a,b", nil, "several hosts"},
		{"two hosts with ports", "redis://a:1,b:2", nil, "several hosts"},
		{"two hosts with a password", "redis://:hunter2@a:1,b:2/0", nil, "several hosts"},
		{"no host", "redis://", nil, "host"},
		{"only a port", "redis://:6379", nil, "host"},
		{"no port after the colon", "redis://a:", nil, "port"},
		{"port 0", "redis://a:0", nil, "port"},
		{"a port out of range", "redis://a:65536", nil, "port"},
		{"an unknown parameter", "redis://a?foo=bar", nil, `"foo"`},
		{"an unknown and a known parameter", "redis://:hunter2@a?db=1&foo=hunter2", nil, `"foo"`},
		{"the client name, which is fixed", "redis://a?client_name=x", nil, `"client_name"`},
		{"retries, which are off", "redis://a?max_retries=3", nil, `"max_retries"`},
		{"a cache, which is off", "redis://a?client_cache=1", nil, `"client_cache"`},
		{"a parameter in capitals", "redis://a?DB=1", nil, `"DB"`},
		{"a malformed query", "redis://a?db=%zz", nil, "query"},
		{"a semicolon", "redis://a?db=1;foo=2", nil, "query"},
		{"a parameter twice", "redis://a?db=1&db=2", nil, "db twice"},
		{"a timeout without a unit", "redis://a?dial_timeout=5", nil, "dial_timeout"},
		{"a timeout of zero", "redis://a?write_timeout=0s", nil, "write_timeout"},
		{"an unknown protocol", "redis://a?protocol=4", nil, "protocol"},
		{"skip_verify without TLS", "redis://a?skip_verify=true", nil, "skip_verify"},
		{"skip_verify is not a bool", "rediss://a?skip_verify=maybe", nil, "skip_verify"},
		{"two databases", "redis://a/1?db=2", nil, "database"},
		{"a database that is not a number", "redis://a/zero", nil, "database"},
		{"a negative database", "redis://a/-1", nil, "database"},
		{"an empty database", "redis://a/", nil, "database"},
		{"a path after the database", "redis://a/0/1", nil, "database"},
		{"a db parameter that is not a number", "redis://a?db=x", nil, "db"},
		{"a fragment", "redis://a/0#b", nil, "fragment"},
		{"an empty fragment", "redis://a#", nil, "fragment"},
		{"a password with a #", "redis://:hunter2#@a", nil, "valid"},
		{"another scheme", "unix:///tmp/redis.sock", nil, "redis://"},
		{"no slashes", "redis:a", nil, "host"},
		{"a password in the URL and another one", "redis://:hunter2@a", given, "password"},
		{"an empty password in the URL and another one", "redis://user:@a", given, "password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := ratelimit.OpenShared(t.Context(), test.url, ratelimit.Options{Password: test.password})
			if err == nil {
				_ = l.Close()
				t.Fatal("OpenShared accepted the URL")
			}
			if !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("got error %v, want one that contains %q", err, test.wrong)
			}
		})
	}
}

func TestRedisURL_AcceptsSupportedParts(t *testing.T) {
	redis := redistest.Start(t)
	for _, url := range []string{
		redis.URL, redis.URL + "/0", redis.URL + "/15", redis.URL + "?db=3", redis.URL + "?protocol=2", redis.URL + "?protocol=3",
		redis.URL + "/1?dial_timeout=2s&write_timeout=2s", strings.Replace(redis.URL, "redis:", "valkey:", 1),
	} {
		if i := open(t, url); !i.Stats().RedisUp {
			t.Errorf("%s: Stats() = %+v, want Redis to be available", url, i.Stats())
		}
	}
}

func FuzzRedisURL(f *testing.F) {
	for _, seed := range []string{"redis://a", "rediss://u:p@a:1/2", "valkey://a?db=1&addr=b:2", "redis://a,b?foo=bar#c", "valkeys://[::1]:6379/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if ratelimit.CheckURL(url) != nil {
			return
		}
		if _, err := valkey.ParseURL(url); err != nil {
			t.Errorf("CheckURL accepted %q, which the client rejects: %v", url, err)
		}
		if strings.ContainsAny(url, "#") {
			t.Errorf("CheckURL accepted %q, which has a fragment", url)
		}
	})
}

// TestRedisPassword_IsReadAgainAtTheNextLogin changes the password of a running server
// and closes its connections.
func TestRedisPassword_IsReadAgainAtTheNextLogin(t *testing.T) {
	for _, test := range []struct {
		name, user string
		change     func(do func(args ...string), password string)
	}{
		{"the default user", "", func(do func(...string), password string) {
			do("CONFIG", "SET", "requirepass", password)
		}},
		{"another user", "alice@", func(do func(...string), password string) {
			do("ACL", "SETUSER", "alice", "resetpass", "on", ">"+password, "~*", "&*", "+@all")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			redis := redistest.Start(t)
			admin, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{redis.Address}, DisableCache: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(admin.Close)
			command := func(args ...string) {
				t.Helper()
				if err := admin.Do(t.Context(), admin.B().Arbitrary(args[0]).Args(args[1:]...).Build()).Error(); err != nil {
					t.Fatal(err)
				}
			}
			test.change(command, "first")
			var password atomic.Value
			password.Store("first")
			i := open(t, "redis://"+test.user+redis.Address, func(o *ratelimit.Options) {
				o.Password = func() (string, error) { return password.Load().(string), nil }
			})
			if !i.Stats().RedisUp {
				t.Fatalf("%+v", i.Stats())
			}
			test.change(command, "second")
			command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false)
			i.await(t, unavailable) // The limiter still has the old password.
			password.Store("second")
			// A login in progress with the old password may fail once more.
			i.await(t, available)
			for !admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false).Shared {
				i.await(t, available)
			}
		})
	}
}

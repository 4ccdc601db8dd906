package ratelimit_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestStoreURL_IsRefusedIfAPartWouldBeIgnored(t *testing.T) {
	given := func() (string, error) { return "hunter3", nil }
	for _, test := range []struct {
		name, url string
		password  func() (string, error)
		wrong     string // what the error names
	}{
		{"two hosts", "redis://a,b", nil, "several hosts"},
		{"two hosts with ports", "redis://a:1,b:2", nil, "several hosts"},
		{"two hosts with a password", "redis://:hunter2@a:1,b:2/0", nil, "several hosts"},
		{"no host", "redis://", nil, "host"},
		{"a port alone", "redis://:6379", nil, "host"},
		{"no port behind the colon", "redis://a:", nil, "port"},
		{"port 0", "redis://a:0", nil, "port"},
		{"a port out of range", "redis://a:65536", nil, "port"},
		{"an unknown parameter", "redis://a?foo=bar", nil, `"foo"`},
		{"one beside a known one", "redis://:hunter2@a?db=1&foo=hunter2", nil, `"foo"`},
		{"the client's name, which is ours", "redis://a?client_name=x", nil, `"client_name"`},
		{"retries, of which there are none", "redis://a?max_retries=3", nil, `"max_retries"`},
		{"a cache, of which there is none", "redis://a?client_cache=1", nil, `"client_cache"`},
		{"a parameter in capitals", "redis://a?DB=1", nil, `"DB"`},
		{"a malformed query", "redis://a?db=%zz", nil, "query"},
		{"a semicolon", "redis://a?db=1;foo=2", nil, "query"},
		{"a parameter twice", "redis://a?db=1&db=2", nil, "db twice"},
		{"a timeout without a unit", "redis://a?dial_timeout=5", nil, "dial_timeout"},
		{"a timeout of nothing", "redis://a?write_timeout=0s", nil, "write_timeout"},
		{"a protocol that there is not", "redis://a?protocol=4", nil, "protocol"},
		{"skipped verification without TLS", "redis://a?skip_verify=true", nil, "skip_verify"},
		{"skipped verification, perhaps", "rediss://a?skip_verify=maybe", nil, "skip_verify"},
		{"two databases", "redis://a/1?db=2", nil, "database"},
		{"a database in words", "redis://a/zero", nil, "database"},
		{"a database below zero", "redis://a/-1", nil, "database"},
		{"an empty database", "redis://a/", nil, "database"},
		{"more than a database", "redis://a/0/1", nil, "database"},
		{"a database in words as a parameter", "redis://a?db=x", nil, "db"},
		{"a fragment", "redis://a/0#b", nil, "fragment"},
		{"an empty fragment", "redis://a#", nil, "fragment"},
		{"a password that has a #", "redis://:hunter2#@a", nil, "valid"},
		{"another scheme", "unix:///tmp/redis.sock", nil, "redis://"},
		{"no slashes", "redis:a", nil, "host"},
		{"a password here and there", "redis://:hunter2@a", given, "password"},
		{"an empty password here, and one there", "redis://user:@a", given, "password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := ratelimit.OpenShared(t.Context(), test.url, ratelimit.Options{Password: test.password})
			if err == nil {
				_ = l.Close()
				t.Fatal("it is taken")
			}
			if !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestStoreURL_TakesEveryPartThatHasAnEffect(t *testing.T) {
	redis := redistest.Start(t)
	for _, url := range []string{
		redis.URL, redis.URL + "/0", redis.URL + "/15", redis.URL + "?db=3", redis.URL + "?protocol=2", redis.URL + "?protocol=3",
		redis.URL + "/1?dial_timeout=2s&write_timeout=2s", strings.Replace(redis.URL, "redis:", "valkey:", 1),
	} {
		if i := open(t, url); !i.Stats().StoreUp {
			t.Errorf("%s: the store is not used: %+v", url, i.Stats())
		}
	}
}

func FuzzStoreURL(f *testing.F) {
	for _, seed := range []string{"redis://a", "rediss://u:p@a:1/2", "valkey://a?db=1&addr=b:2", "redis://a,b?foo=bar#c", "valkeys://[::1]:6379/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if ratelimit.CheckURL(url) != nil {
			return
		}
		if _, err := valkey.ParseURL(url); err != nil {
			t.Errorf("%q is taken, which the client doesn't parse: %v", url, err)
		}
		if strings.ContainsAny(url, "#") {
			t.Errorf("%q is taken", url)
		}
	})
}

// TestStorePassword_IsReadAgainAtTheNextLogin changes the password of a running
// store and cuts its connections.
func TestStorePassword_IsReadAgainAtTheNextLogin(t *testing.T) {
	for _, test := range []struct {
		name, url string // the latter behind the scheme
		change    func(do func(args ...string), password string)
	}{
		{"of the default user", "", func(do func(...string), password string) {
			do("CONFIG", "SET", "requirepass", password)
		}},
		{"of a user", "alice@", func(do func(...string), password string) {
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
			i := open(t, "redis://"+test.url+redis.Address, func(o *ratelimit.Options) {
				o.Password = func() (string, error) { return password.Load().(string), nil }
			})
			if !i.Stats().StoreUp {
				t.Fatalf("%+v", i.Stats())
			}
			test.change(command, "second")
			command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false)
			i.await(t, isLost) // the file has the old one yet
			password.Store("second")
			// A login with the old one that is under way may lose the store once more.
			for counted := i.Stats().ByStore; ; i.await(t, isBack) {
				admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false)
				if i.Stats().ByStore > counted {
					return
				}
			}
		})
	}
}

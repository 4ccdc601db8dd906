package clientaddr_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/clientaddr"
)

func proxies(tb testing.TB) clientaddr.Proxies {
	tb.Helper()
	p, err := clientaddr.Parse([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8", "::ffff:192.0.2.2"})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestClient_IsTheLastAddressThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		peer            string
		plain, standard []string
		want            string // empty for the peer
	}{
		"no list":                        {"10.0.0.1:5", nil, nil, ""},
		"one address":                    {"10.0.0.1:5", []string{"203.0.113.9"}, nil, "203.0.113.9:0"},
		"with a port":                    {"10.0.0.1:5", []string{"203.0.113.9:1234"}, nil, "203.0.113.9:1234"},
		"one that the client made up":    {"10.0.0.1:5", []string{"1.1.1.1, 203.0.113.9"}, nil, "203.0.113.9:0"},
		"in a field of its own":          {"10.0.0.1:5", []string{"1.1.1.1", "203.0.113.9"}, nil, "203.0.113.9:0"},
		"two proxies":                    {"10.0.0.1:5", []string{"1.1.1.1, 203.0.113.9, 10.2.2.2"}, nil, "203.0.113.9:0"},
		"proxies in several fields":      {"10.0.0.1:5", []string{"203.0.113.9,10.1.1.1", "192.0.2.1", "192.0.2.2"}, nil, "203.0.113.9:0"},
		"proxies alone":                  {"10.0.0.1:5", []string{"10.9.9.9, 10.1.1.1"}, nil, "10.9.9.9:0"},
		"empty elements":                 {"10.0.0.1:5", []string{"203.0.113.9, ,", "", " , "}, nil, "203.0.113.9:0"},
		"an unknown one":                 {"10.0.0.1:5", []string{"203.0.113.9, unknown"}, nil, ""},
		"an unknown one before a proxy":  {"10.0.0.1:5", []string{"203.0.113.9, unknown, 10.1.1.1"}, nil, "10.1.1.1:0"},
		"one that isn't one":             {"10.0.0.1:5", []string{"203.0.113.9, 1.2.3"}, nil, ""},
		"IPv6":                           {"10.0.0.1:5", []string{"2001:db8::7"}, nil, "[2001:db8::7]:0"},
		"IPv6 in brackets":               {"10.0.0.1:5", []string{"[2001:db8::7]"}, nil, "[2001:db8::7]:0"},
		"IPv6 with a port":               {"10.0.0.1:5", []string{"[2001:db8::7]:99"}, nil, "[2001:db8::7]:99"},
		"IPv4 in IPv6":                   {"10.0.0.1:5", []string{"203.0.113.9, ::ffff:10.1.1.1"}, nil, "203.0.113.9:0"},
		"a proxy of IPv6":                {"[fd00::1]:5", []string{"203.0.113.9, fd12::1"}, nil, "203.0.113.9:0"},
		"a proxy of IPv4 in IPv6":        {"[::ffff:10.0.0.1]:5", []string{"203.0.113.9"}, nil, "203.0.113.9:0"},
		"somebody who isn't trusted":     {"203.0.113.5:5", []string{"198.51.100.1"}, []string{"for=198.51.100.1"}, ""},
		"nobody":                         {"@", []string{"198.51.100.1"}, nil, ""},
		"the standard":                   {"10.0.0.1:5", nil, []string{"for=203.0.113.9;proto=https;by=10.0.0.1"}, "203.0.113.9:0"},
		"in capitals and quotes":         {"10.0.0.1:5", nil, []string{`proto=http; FOR="203.0.113.9:80"`}, "203.0.113.9:80"},
		"of IPv6":                        {"10.0.0.1:5", nil, []string{`for="[2001:db8::7]:4711"`}, "[2001:db8::7]:4711"},
		"made up":                        {"10.0.0.1:5", nil, []string{"for=1.1.1.1, for=203.0.113.9", "for=10.1.1.1"}, "203.0.113.9:0"},
		"a comma in quotes":              {"10.0.0.1:5", nil, []string{`for=1.1.1.1, for=203.0.113.9;by="a,for=2.2.2.2"`}, "203.0.113.9:0"},
		"hidden":                         {"10.0.0.1:5", nil, []string{"for=1.1.1.1, for=_hidden"}, ""},
		"without for":                    {"10.0.0.1:5", nil, []string{"for=1.1.1.1, proto=https"}, ""},
		"two of for":                     {"10.0.0.1:5", nil, []string{"for=1.1.1.1;for=203.0.113.9"}, ""},
		"both, which agree":              {"10.0.0.1:5", []string{"203.0.113.9"}, []string{"for=203.0.113.9"}, "203.0.113.9:0"},
		"both, of which one is made up":  {"10.0.0.1:5", []string{"203.0.113.9"}, []string{"for=1.1.1.1"}, ""},
		"both, of which one has nothing": {"10.0.0.1:5", []string{"203.0.113.9"}, []string{"proto=https"}, "203.0.113.9:0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: row.peer, Header: http.Header{"X-Forwarded-For": row.plain, "Forwarded": row.standard}}
			got, found := proxies(t).Client(r)
			if text := got.String(); found != (row.want != "") || found && text != row.want {
				t.Errorf("got %v, %t, want %q", got, found, row.want)
			}
		})
	}
}

func TestParse_RefusesWhatIsNoRange(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.1:80"} {
		if _, err := clientaddr.Parse([]string{"::1", text}); err == nil || !strings.Contains(err.Error(), "invalid range") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func FuzzClient_IsNeverFoundByOthers(f *testing.F) {
	f.Add("1.1.1.1, 203.0.113.9", `for="[::1]:5", for=_x;by="a,b"`)
	f.Add(`",",",`, `for=";";for`)
	p := proxies(f)
	f.Fuzz(func(t *testing.T, plain, standard string) {
		r := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {plain}, "Forwarded": {standard}}}
		if got, found := p.Client(r); found && !got.IsValid() {
			t.Errorf("got %v", got)
		}
		// What the last proxy adds counts, whatever stands before it.
		last := netip.MustParseAddr("203.0.113.9")
		r.Header = http.Header{"X-Forwarded-For": {plain, "203.0.113.9"}}
		if got, found := p.Client(r); !found || got.Addr() != last {
			t.Errorf("got %v, %t", got, found)
		}
		r.Header = http.Header{"Forwarded": {standard, "for=203.0.113.9"}}
		if got, found := p.Client(r); !found || got.Addr() != last {
			t.Errorf("got %v, %t", got, found)
		}
	})
}

func TestClient_TakesLinearTime(t *testing.T) { // not in parallel: it measures time
	for _, list := range []string{"10.0.0.1,", `",`, ",", `a"`, `for="10.0.0.1",`} {
		r := &http.Request{RemoteAddr: "10.0.0.1:5", Header: http.Header{"X-Forwarded-For": {strings.Repeat(list, 1<<20/len(list))}, "Forwarded": {strings.Repeat(list, 1<<20/len(list))}}}
		began := time.Now()
		proxies(t).Client(r)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%q: it took %v", list, took)
		}
	}
}

package auth_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	key       = "sk-the-key-of-the-upstream"
	clientKey = "the-key-of-the-clients"
)

// newSecret returns a secret with the given text.
func newSecret(tb testing.TB, text string) secret.Secret {
	tb.Helper()
	s, err := secret.New(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestPolicy_NeverPrintsItsSecrets(t *testing.T) {
	t.Parallel()
	config := auth.Config{Upstreams: openai, UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, clientKey)}
	policy, err := auth.NewPolicy(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{config, &config, *policy, policy} {
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&text, verb+"\n", value)
		}
		slog.New(slog.NewJSONHandler(&text, nil)).Info("value", "value", value)
		for _, plain := range []string{key, clientKey, fmt.Sprintf("%x", key), fmt.Sprintf("%x", clientKey)} {
			if strings.Contains(text.String(), plain) {
				t.Errorf("a %T is printed with its secrets:\n%s", value, &text)
			}
		}
	}
}

var openai = []auth.Upstream{{Name: "openai", BaseURL: "https://api.openai.com/v1"}}

// clientsFile opens a file with one client per upstream key, which may be empty.
func clientsFile(t *testing.T, upstreamKeys ...string) *clients.Store {
	t.Helper()
	var text strings.Builder
	text.WriteString("clients:\n")
	dir := t.TempDir()
	for i, upstreamKey := range upstreamKeys {
		fmt.Fprintf(&text, "  - name: client-%d\n    hash: %s\n", i, clients.HashKey(fmt.Sprint(clientKey, i)))
		if upstreamKey == "" {
			continue
		}
		path := filepath.Join(dir, "key-"+strconv.Itoa(i))
		if err := os.WriteFile(path, []byte(upstreamKey), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "    upstream_key: {file: %s}\n", path)
	}
	path := filepath.Join(dir, "clients.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := clients.Open(path, clients.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// Every combination of upstreams and clients is either valid or rejected with advice.
func TestNewPolicy_ChecksUpstreamsAndClientsTogether(t *testing.T) {
	t.Parallel()
	held := newSecret(t, key)
	vllm := auth.Upstream{Name: "vllm", BaseURL: "http://127.0.0.1:8000/v1", NoKey: true}
	keyed := auth.Upstream{Name: "openai", BaseURL: "https://api.openai.com/v1", Key: held}
	const authRequired = "an upstream key requires client authentication: set a client key or a clients file, or allow anonymous use"
	upstreams := map[string]auth.Config{
		"no key":                    {Upstreams: openai},
		"an upstream key":           {Upstreams: openai, UpstreamKey: held},
		"keyless, then a key":       {Upstreams: []auth.Upstream{vllm, keyed}},
		"a key, then keyless":       {Upstreams: []auth.Upstream{keyed, vllm}},
		"no key, then a key":        {Upstreams: append(slices.Clone(openai), auth.Upstream{Name: "other", BaseURL: "https://other.example", Key: held})},
		"a key, then the same host": {Upstreams: []auth.Upstream{keyed, {Name: "again", BaseURL: "https://api.openai.com:443/v2"}}},
		"keyless":                   {Upstreams: []auth.Upstream{vllm}},
	}
	modes := map[string]func(*auth.Config){
		"none":                         func(*auth.Config) {},
		"client key":                   func(c *auth.Config) { c.ClientKey = newSecret(t, clientKey) },
		"clients":                      func(c *auth.Config) { c.Clients = clientsFile(t, "") },
		"clients with own keys":        func(c *auth.Config) { c.Clients = clientsFile(t, "sk-own") },
		"anonymous":                    func(c *auth.Config) { c.AllowAnonymous = true },
		"client key, clients":          func(c *auth.Config) { c.ClientKey, c.Clients = newSecret(t, clientKey), clientsFile(t, "") },
		"client key, anonymous":        func(c *auth.Config) { c.ClientKey, c.AllowAnonymous = newSecret(t, clientKey), true },
		"clients, anonymous":           func(c *auth.Config) { c.Clients, c.AllowAnonymous = clientsFile(t, ""), true },
		"upstream key as a client key": func(c *auth.Config) { c.ClientKey = held },
	}
	want := map[string]string{ // valid unless listed
		"no key/client key":                   "ClientKey: has no effect without an upstream key",
		"no key/clients":                      "Clients: ",
		"no key/anonymous":                    "AllowAnonymous: has no effect without an upstream key",
		"no key/upstream key as a client key": "ClientKey: has no effect without an upstream key",
		"an upstream key/none":                "UpstreamKey: " + authRequired,
		"keyless, then a key/none":            `Upstreams: upstream "openai": ` + authRequired,
		"a key, then keyless/none":            `Upstreams: upstream "openai": ` + authRequired,
		"a key, then the same host/none":      `: ` + authRequired,
		"no key, then a key/none":             `Upstreams: upstream "other": ` + authRequired,
		"no key, then a key/client key":       `Upstreams: upstream "openai": has no key: set its key, or none explicitly`,
		"no key, then a key/clients":          "Clients: ",
		"no key, then a key/anonymous":        `Upstreams: upstream "openai": has no key: set its key, or none explicitly`,
		"keyless/anonymous":                   "AllowAnonymous: has no effect without an upstream key",
	}
	for name, base := range upstreams {
		for mode, set := range modes {
			config := base
			set(&config)
			says, rejected := want[name+"/"+mode]
			switch mode {
			case "client key, clients":
				says, rejected = "ClientKey: a client key and a clients file are mutually exclusive", true
			case "client key, anonymous", "clients, anonymous":
				says, rejected = "AllowAnonymous: ", true
			case "upstream key as a client key":
				if name != "no key" && name != "keyless" {
					says, rejected = "ClientKey: is an upstream key", true
				}
			}
			policy, err := auth.NewPolicy(config)
			switch {
			case !rejected && err != nil:
				t.Errorf("%s, %s: %v", name, mode, err)
			case !rejected && policy.ReplacesCredentials() != (mode != "none"):
				t.Errorf("%s, %s: ReplacesCredentials is %v", name, mode, policy.ReplacesCredentials())
			case rejected && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), key)):
				t.Errorf("%s, %s: got %v, want %q", name, mode, err, says)
			}
		}
	}
}

func TestNewPolicy_RejectsAnUnusedUpstreamKey(t *testing.T) {
	t.Parallel()
	_, err := auth.NewPolicy(auth.Config{
		Upstreams:   []auth.Upstream{{Name: "a", BaseURL: "https://a.example", Key: newSecret(t, "sk-a")}},
		UpstreamKey: newSecret(t, key), AllowAnonymous: true,
	})
	if err == nil || !strings.Contains(err.Error(), "UpstreamKey: has no effect") {
		t.Errorf("got %v", err)
	}
}

// recorder records the requests that it receives.
type recorder struct{ requests []*upstream.Request }

func (r *recorder) Send(_ context.Context, req *upstream.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestPolicy_SetsTheCredentialsOfEachUpstream(t *testing.T) {
	t.Parallel()
	vllm := auth.Upstream{Name: "vllm", BaseURL: "http://127.0.0.1:8000/v1", NoKey: true}
	keyed := auth.Upstream{Name: "openai", BaseURL: "https://api.openai.com/v1", Key: newSecret(t, "sk-openai")}
	client, own := &clients.Client{Name: "a"}, &clients.Client{Name: "b", UpstreamKey: newSecret(t, "sk-own")}
	held, none := newSecret(t, key), secret.Secret{}
	for name, row := range map[string]struct {
		upstreams   []auth.Upstream
		upstreamKey secret.Secret
		bringKeys   bool
		client      *clients.Client
		method      string
		want        []string // Authorization by upstream
	}{
		"the client's own credentials":         {openai, none, true, nil, http.MethodPost, []string{"Bearer of-the-client"}},
		"the upstream key":                     {openai, held, false, nil, http.MethodPost, []string{"Bearer " + key}},
		"the upstream key, for a client":       {openai, held, false, client, http.MethodPost, []string{"Bearer " + key}},
		"a client's upstream key":              {openai, held, false, own, http.MethodPost, []string{"Bearer sk-own"}},
		"nothing in TRACE":                     {openai, held, false, nil, http.MethodTrace, []string{""}},
		"keyless, then a key":                  {[]auth.Upstream{vllm, keyed}, none, false, nil, http.MethodPost, []string{"", "Bearer sk-openai"}},
		"keyless, then a client's key":         {[]auth.Upstream{vllm, keyed}, none, false, own, http.MethodPost, []string{"", "Bearer sk-own"}},
		"a client's key only at the first key": {[]auth.Upstream{keyed, vllm}, none, false, own, http.MethodPost, []string{"Bearer sk-own"}},
		"keyless only":                         {[]auth.Upstream{vllm}, none, false, own, http.MethodPost, []string{""}},
	} {
		config := auth.Config{Upstreams: row.upstreams, UpstreamKey: row.upstreamKey}
		if !row.bringKeys {
			config.ClientKey = newSecret(t, clientKey)
		}
		policy, err := auth.NewPolicy(config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := policy.Reachable(row.client); got != len(row.want) {
			t.Errorf("%s: %d upstreams are reachable", name, got)
		}
		for i, want := range row.want {
			up := new(recorder)
			req := &upstream.Request{Method: row.method, Target: "/v1/x", Header: http.Header{"Authorization": {"Bearer of-the-client"}}}
			ctx := request.NewContext(t.Context(), &request.Record{Client: row.client})
			resp, err := policy.Sender(i, up).Send(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := up.requests[0].Header.Get("Authorization"); got != want {
				t.Errorf("%s: upstream %d received %q, want %q", name, i, got, want)
			}
		}
	}
}

// newRequest returns one with these fields, each "Name: value".
func newRequest(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/models", nil)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// held shows the upstream's key.
const held = "Authorization: Bearer " + key

func TestAuthenticate_AdmitsAndStripsCredentials(t *testing.T) {
	t.Parallel()
	policy, err := auth.NewPolicy(auth.Config{Upstreams: openai, UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, clientKey)})
	if err != nil {
		t.Fatal(err)
	}
	const protocols = "Sec-WebSocket-Protocol: "
	for name, row := range map[string]struct {
		fields []string
		left   []string // headers after removal
		err    error
	}{
		"the client key":                    {fields: []string{"Authorization: Bearer " + clientKey}},
		"a scheme in small letters":         {fields: []string{"Authorization: bearer " + clientKey}},
		"spaces before the key":             {fields: []string{"Authorization: Bearer   " + clientKey}},
		"beside other fields":               {fields: []string{"Authorization: Bearer " + clientKey, "OpenAI-Beta: b"}, left: []string{"OpenAI-Beta: b"}},
		"as Azure's clients":                {fields: []string{"Api-Key: " + clientKey}},
		"in both fields":                    {fields: []string{"Authorization: Bearer " + clientKey, "Api-Key: " + clientKey}},
		"as a page does":                    {fields: []string{protocols + "realtime, openai-insecure-api-key." + clientKey}, left: []string{protocols + "realtime"}},
		"as a page does, in the middle":     {fields: []string{protocols + "realtime,openai-insecure-api-key." + clientKey + ", openai-beta.realtime-v1"}, left: []string{protocols + "realtime, openai-beta.realtime-v1"}},
		"as a page does, in two fields":     {fields: []string{protocols + "realtime", protocols + "openai-insecure-api-key." + clientKey}, left: []string{protocols + "realtime"}},
		"as a page does, alone":             {fields: []string{protocols + "openai-insecure-api-key." + clientKey}},
		"by header, and a protocol's key":   {fields: []string{"Authorization: Bearer " + clientKey, protocols + "openai-insecure-api-key.other, realtime"}, left: []string{protocols + "realtime"}},
		"by header, and other protocols":    {fields: []string{"Authorization: Bearer " + clientKey, protocols + "a , b"}, left: []string{protocols + "a , b"}},
		"nothing":                           {err: auth.ErrMissingKey},
		"an empty field":                    {fields: []string{"Authorization: "}, err: auth.ErrMissingKey},
		"another scheme":                    {fields: []string{"Authorization: Basic " + clientKey}, err: auth.ErrMissingKey},
		"no scheme":                         {fields: []string{"Authorization: " + clientKey}, err: auth.ErrMissingKey},
		"twice":                             {fields: []string{"Authorization: Bearer " + clientKey, "Authorization: Bearer " + clientKey}, err: auth.ErrMissingKey},
		"Azure's field twice":               {fields: []string{"Api-Key: " + clientKey, "Api-Key: " + clientKey}, err: auth.ErrMissingKey},
		"protocols without a key":           {fields: []string{protocols + "realtime"}, err: auth.ErrMissingKey},
		"no key behind the scheme":          {fields: []string{"Authorization: Bearer "}, err: clients.ErrUnknownKey},
		"another key":                       {fields: []string{"Authorization: Bearer other"}, err: clients.ErrUnknownKey},
		"the key and more":                  {fields: []string{"Authorization: Bearer " + clientKey + "x"}, err: clients.ErrUnknownKey},
		"the key's beginning":               {fields: []string{"Authorization: Bearer " + clientKey[:5]}, err: clients.ErrUnknownKey},
		"the key in capitals":               {fields: []string{"Authorization: Bearer " + strings.ToUpper(clientKey)}, err: clients.ErrUnknownKey},
		"two keys in one":                   {fields: []string{"Authorization: Bearer " + clientKey + ", Bearer " + clientKey}, err: clients.ErrUnknownKey},
		"the key":                           {fields: []string{held}, err: clients.ErrUnknownKey},
		"another one, and Azure's is right": {fields: []string{"Authorization: Bearer other", "Api-Key: " + clientKey}},
		"another one by Azure's field":      {fields: []string{"Api-Key: other"}, err: clients.ErrUnknownKey},
		"another one by protocol":           {fields: []string{protocols + "openai-insecure-api-key.other"}, err: clients.ErrUnknownKey},
		"none by protocol":                  {fields: []string{protocols + "openai-insecure-api-key."}, err: clients.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(row.fields...)
			admitted, _, err := policy.Authenticate(r)
			checkUntouched(t, r, row.fields)
			if !errors.Is(err, row.err) || (err == nil) != (admitted != nil) {
				t.Fatalf("got %v, %v", admitted, err)
			}
			if err == nil {
				checkHeader(t, admitted.Header, row.left)
			}
		})
	}
}

// checkUntouched checks that a request has the fields that it had.
func checkUntouched(t *testing.T, r *http.Request, fields []string) {
	t.Helper()
	checkHeader(t, r.Header, fields)
}

func checkHeader(t *testing.T, got http.Header, fields []string) {
	t.Helper()
	if want := newRequest(fields...).Header; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the header is %q, not %q", got, want)
	}
}

func TestAuthenticate_AdmitsEveryoneIfAnonymous(t *testing.T) {
	t.Parallel()
	policy, err := auth.NewPolicy(auth.Config{Upstreams: openai, UpstreamKey: newSecret(t, key), AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string][]string{
		"nothing":        nil,
		"a key":          {"Authorization: Bearer " + clientKey},
		"two keys":       {"Authorization: Bearer a", "Authorization: Bearer b"},
		"a password":     {"Authorization: Basic YTpi"},
		"Azure's":        {"Api-Key: a"},
		"a subprotocol":  {"Sec-WebSocket-Protocol: openai-insecure-api-key.a"},
		"in every place": {"Authorization: Bearer a", "Api-Key: b", "Sec-WebSocket-Protocol: openai-insecure-api-key.c"},
	} {
		admitted, _, err := policy.Authenticate(newRequest(fields...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkHeader(t, admitted.Header, nil)
	}
}

func TestAuthenticate_LeavesRequestsUnchangedWithoutAnUpstreamKey(t *testing.T) {
	t.Parallel()
	policy, err := auth.NewPolicy(auth.Config{Upstreams: openai})
	if err != nil {
		t.Fatal(err)
	}
	r := newRequest("Authorization: Bearer a", "Authorization: Bearer b", "Api-Key: c",
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.d")
	if admitted, _, err := policy.Authenticate(r); err != nil || admitted != r {
		t.Errorf("got %v, %v", admitted, err)
	}
}

func TestAuthenticate_TakesTheKeyFromEveryPlaceOfAClient(t *testing.T) {
	t.Parallel()
	policy, err := auth.NewPolicy(auth.Config{Upstreams: openai, UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, clientKey)})
	if err != nil {
		t.Fatal(err)
	}
	const (
		protocols = "Sec-WebSocket-Protocol: "
		websocket = "Upgrade: websocket"
	)
	for name, row := range map[string]struct {
		fields []string
		target string // /v1/models if empty
		left   []string
		goesTo string // the target that is left, target if empty
		err    error
	}{
		"as Anthropic's clients":                  {fields: []string{"X-Api-Key: " + clientKey, "Anthropic-Version: 2023-06-01"}, left: []string{"Anthropic-Version: 2023-06-01"}},
		"as Anthropic's clients, and a wrong one": {fields: []string{"X-Api-Key: " + clientKey, "Authorization: Bearer other"}},
		"a wrong one as Anthropic's clients":      {fields: []string{"X-Api-Key: other", "Authorization: Bearer " + clientKey}},
		"the same twice":                          {fields: []string{"X-Api-Key: " + clientKey, "Authorization: Bearer " + clientKey, "Api-Key: " + clientKey}},
		"beside another scheme":                   {fields: []string{"X-Api-Key: " + clientKey, "Authorization: Basic YTpi"}},
		"beside two of another place":             {fields: []string{"X-Api-Key: " + clientKey, "Authorization: Bearer a", "Authorization: Bearer b"}},
		"by subprotocol, and a wrong one":         {fields: []string{"Authorization: Bearer other", protocols + "realtime, openai-insecure-api-key." + clientKey}, left: []string{protocols + "realtime"}},
		"twice in its place":                      {fields: []string{"X-Api-Key: " + clientKey, "X-Api-Key: " + clientKey}, err: auth.ErrMissingKey},
		"several wrong ones":                      {fields: []string{"X-Api-Key: a", "Api-Key: b", "Authorization: Bearer c"}, err: clients.ErrUnknownKey},
		"an empty one":                            {fields: []string{"X-Api-Key: "}, err: clients.ErrUnknownKey},
		"in the query of a WebSocket":             {fields: []string{websocket}, target: "/openai/realtime?api-version=1&api-key=" + clientKey + "&deployment=%6D", left: []string{websocket}, goesTo: "/openai/realtime?api-version=1&deployment=%6D"},
		"in the query, as authorization":          {fields: []string{websocket}, target: "/openai/realtime?Authorization=Bearer+" + clientKey, left: []string{websocket}, goesTo: "/openai/realtime"},
		"in the query, encoded":                   {fields: []string{websocket}, target: "/openai/realtime?a;b&api%2Dkey=" + clientKey + "&%zz", left: []string{websocket}, goesTo: "/openai/realtime?a;b&%zz"},
		"in another query":                        {target: "/v1/models?api-key=" + clientKey, err: auth.ErrMissingKey},
		"in another query, too":                   {fields: []string{"Api-Key: " + clientKey}, target: "/v1/models?api-key=" + clientKey + "&limit=1", goesTo: "/v1/models?limit=1"},
		"a wrong one in the query":                {fields: []string{websocket}, target: "/openai/realtime?api-key=other", err: clients.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(row.fields...)
			r.RequestURI = cmp.Or(row.target, "/v1/models")
			var err error
			if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
				t.Fatal(err)
			}
			admitted, _, err := policy.Authenticate(r)
			checkUntouched(t, r, row.fields)
			if !errors.Is(err, row.err) || (err == nil) != (admitted != nil) {
				t.Fatalf("got %v, %v, want %v", admitted, err, row.err)
			}
			if err != nil {
				return
			}
			checkHeader(t, admitted.Header, row.left)
			want := cmp.Or(row.goesTo, r.RequestURI)
			_, query, _ := strings.Cut(want, "?")
			if admitted.RequestURI != want || admitted.URL.RawQuery != query {
				t.Errorf("goes up to %q, with the query %q, want %q", admitted.RequestURI, admitted.URL.RawQuery, want)
			}
		})
	}
}

func TestAuthenticate_DropsOrganizationUnlessForwarded(t *testing.T) {
	t.Parallel()
	const protocols = "Sec-WebSocket-Protocol: "
	fields := []string{
		"OpenAI-Organization: org", "OpenAI-Project: proj", "OpenAI-Beta: b",
		protocols + "realtime, openai-insecure-api-key." + clientKey + ", openai-organization.org, openai-project.proj, openai-beta.realtime-v1",
	}
	for _, config := range []auth.Config{{ClientKey: newSecret(t, clientKey)}, {AllowAnonymous: true}} {
		config.Upstreams, config.UpstreamKey = openai, newSecret(t, key)
		for forward, left := range map[bool][]string{
			false: {"OpenAI-Beta: b", protocols + "realtime, openai-beta.realtime-v1"},
			true: {
				"OpenAI-Organization: org", "OpenAI-Project: proj", "OpenAI-Beta: b",
				protocols + "realtime, openai-organization.org, openai-project.proj, openai-beta.realtime-v1",
			},
		} {
			config.ForwardOrganization = forward
			policy, err := auth.NewPolicy(config)
			if err != nil {
				t.Fatal(err)
			}
			admitted, _, err := policy.Authenticate(newRequest(fields...))
			if err != nil {
				t.Fatal(err)
			}
			checkHeader(t, admitted.Header, left)
		}
	}
}

func FuzzStripCredentials(f *testing.F) {
	f.Add("realtime, openai-insecure-api-key.SECRET", "/v1/realtime?api-key=SECRET&model=m", "Bearer SECRET")
	f.Add("openai-insecure-api-key.SECRET", "/?Authorization=Bearer%20SECRET", "")
	f.Add(",openai-project.SECRET ,", "/?%61pi-key=SECRET&&=", "Basic SECRET")
	f.Fuzz(func(t *testing.T, protocols, target, authorization string) {
		r := newRequest()
		r.Header = http.Header{"Sec-Websocket-Protocol": {protocols}, "Authorization": {authorization}, "Upgrade": {"websocket"}}
		r.RequestURI = target
		stripped := auth.StripCredentials(r, false)
		if again := auth.StripCredentials(stripped, false); again.RequestURI != stripped.RequestURI || !slices.Equal(again.Header["Sec-Websocket-Protocol"], stripped.Header["Sec-Websocket-Protocol"]) {
			t.Errorf("%q and %q change again when they are stripped again", stripped.RequestURI, stripped.Header)
		}
		if left := auth.Credentials(stripped); len(left) > 0 {
			t.Errorf("%q of %q and %q is left", left, target, protocols)
		}
	})
}

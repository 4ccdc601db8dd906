package auth_test

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/secret"
)

const (
	key   = "sk-the-key-of-the-upstream"
	token = "the-token-of-the-clients"
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

func TestAuthenticator_NeverPrintsItsSecrets(t *testing.T) {
	t.Parallel()
	config := auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, token)}
	authenticator, err := auth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{config, &config, *authenticator, authenticator} {
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&text, verb+"\n", value)
		}
		slog.New(slog.NewJSONHandler(&text, nil)).Info("value", "value", value)
		for _, plain := range []string{key, token, fmt.Sprintf("%x", key), fmt.Sprintf("%x", token)} {
			if strings.Contains(text.String(), plain) {
				t.Errorf("a %T is printed with its secrets:\n%s", value, &text)
			}
		}
	}
}

func TestWhatAServerMayBeToldTogether(t *testing.T) {
	t.Parallel()
	var none secret.Secret
	for name, row := range map[string]struct {
		config auth.Config
		says   string // empty where it may
	}{
		"nothing":                   {auth.Config{}, ""},
		"a key and a token":         {auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, token)}, ""},
		"a key for everyone":        {auth.Config{UpstreamKey: newSecret(t, key), AllowAnonymous: true}, ""},
		"a key alone":               {auth.Config{UpstreamKey: newSecret(t, key), ClientKey: none}, "needs a client token, or leave for anonymous use"},
		"a token alone":             {auth.Config{ClientKey: newSecret(t, token)}, "of no use without an upstream key"},
		"everyone, and no key":      {auth.Config{AllowAnonymous: true}, "of no use without an upstream key"},
		"a token, and everyone too": {auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, token), AllowAnonymous: true}, "contradict"},
		"the key for a token":       {auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, key)}, "is the upstream's key"},
	} {
		gate, err := auth.New(row.config)
		if row.says == "" {
			if err != nil || gate.HasUpstreamKey() != !row.config.UpstreamKey.IsZero() {
				t.Errorf("%s: got %v, %v", name, gate, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// request returns one with these fields, each "Name: value".
func request(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/models", nil)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// held shows the upstream's key.
const held = "Authorization: Bearer " + key

func TestWhoIsLetInAndWhatIsLeft(t *testing.T) {
	t.Parallel()
	gate, err := auth.New(auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, token)})
	if err != nil {
		t.Fatal(err)
	}
	const protocols = "Sec-WebSocket-Protocol: "
	for name, row := range map[string]struct {
		fields []string
		left   []string // what is left then
		err    error
	}{
		"the token":                         {fields: []string{"Authorization: Bearer " + token}},
		"a scheme in small letters":         {fields: []string{"Authorization: bearer " + token}},
		"spaces before the token":           {fields: []string{"Authorization: Bearer   " + token}},
		"beside other fields":               {fields: []string{"Authorization: Bearer " + token, "OpenAI-Beta: b"}, left: []string{"OpenAI-Beta: b"}},
		"as Azure's clients":                {fields: []string{"Api-Key: " + token}},
		"in both fields":                    {fields: []string{"Authorization: Bearer " + token, "Api-Key: " + token}},
		"as a page does":                    {fields: []string{protocols + "realtime, openai-insecure-api-key." + token}, left: []string{protocols + "realtime"}},
		"as a page does, in the middle":     {fields: []string{protocols + "realtime,openai-insecure-api-key." + token + ", openai-beta.realtime-v1"}, left: []string{protocols + "realtime, openai-beta.realtime-v1"}},
		"as a page does, in two fields":     {fields: []string{protocols + "realtime", protocols + "openai-insecure-api-key." + token}, left: []string{protocols + "realtime"}},
		"as a page does, alone":             {fields: []string{protocols + "openai-insecure-api-key." + token}},
		"by header, and a protocol's key":   {fields: []string{"Authorization: Bearer " + token, protocols + "openai-insecure-api-key.other, realtime"}, left: []string{protocols + "realtime"}},
		"by header, and other protocols":    {fields: []string{"Authorization: Bearer " + token, protocols + "a , b"}, left: []string{protocols + "a , b"}},
		"nothing":                           {err: auth.ErrMissingKey},
		"an empty field":                    {fields: []string{"Authorization: "}, err: auth.ErrMissingKey},
		"another scheme":                    {fields: []string{"Authorization: Basic " + token}, err: auth.ErrMissingKey},
		"no scheme":                         {fields: []string{"Authorization: " + token}, err: auth.ErrMissingKey},
		"twice":                             {fields: []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, err: auth.ErrMissingKey},
		"Azure's field twice":               {fields: []string{"Api-Key: " + token, "Api-Key: " + token}, err: auth.ErrMissingKey},
		"protocols without a key":           {fields: []string{protocols + "realtime"}, err: auth.ErrMissingKey},
		"no token behind the scheme":        {fields: []string{"Authorization: Bearer "}, err: auth.ErrUnknownKey},
		"another token":                     {fields: []string{"Authorization: Bearer other"}, err: auth.ErrUnknownKey},
		"the token and more":                {fields: []string{"Authorization: Bearer " + token + "x"}, err: auth.ErrUnknownKey},
		"the token's beginning":             {fields: []string{"Authorization: Bearer " + token[:5]}, err: auth.ErrUnknownKey},
		"the token in capitals":             {fields: []string{"Authorization: Bearer " + strings.ToUpper(token)}, err: auth.ErrUnknownKey},
		"two tokens in one":                 {fields: []string{"Authorization: Bearer " + token + ", Bearer " + token}, err: auth.ErrUnknownKey},
		"the key":                           {fields: []string{held}, err: auth.ErrUnknownKey},
		"another one, and Azure's is right": {fields: []string{"Authorization: Bearer other", "Api-Key: " + token}},
		"another one by Azure's field":      {fields: []string{"Api-Key: other"}, err: auth.ErrUnknownKey},
		"another one by protocol":           {fields: []string{protocols + "openai-insecure-api-key.other"}, err: auth.ErrUnknownKey},
		"none by protocol":                  {fields: []string{protocols + "openai-insecure-api-key."}, err: auth.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(row.fields...)
			admitted, err := gate.Authenticate(r)
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
	if want := request(fields...).Header; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the header is %q, not %q", got, want)
	}
}

func TestAServerForEveryone(t *testing.T) {
	t.Parallel()
	gate, err := auth.New(auth.Config{UpstreamKey: newSecret(t, key), AllowAnonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string][]string{
		"nothing":        nil,
		"a key":          {"Authorization: Bearer " + token},
		"two keys":       {"Authorization: Bearer a", "Authorization: Bearer b"},
		"a password":     {"Authorization: Basic YTpi"},
		"Azure's":        {"Api-Key: a"},
		"a subprotocol":  {"Sec-WebSocket-Protocol: openai-insecure-api-key.a"},
		"in every place": {"Authorization: Bearer a", "Api-Key: b", "Sec-WebSocket-Protocol: openai-insecure-api-key.c"},
	} {
		admitted, err := gate.Authenticate(request(fields...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkHeader(t, admitted.Header, nil)
	}
}

func TestAServerWithoutAKeyTouchesNothing(t *testing.T) {
	t.Parallel()
	gate, err := auth.New(auth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := request("Authorization: Bearer a", "Authorization: Bearer b", "Api-Key: c",
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.d")
	if admitted, err := gate.Authenticate(r); err != nil || admitted != r {
		t.Errorf("got %v, %v", admitted, err)
	}
}

func TestAdmit_TakesTheKeyFromEveryPlaceOfAClient(t *testing.T) {
	t.Parallel()
	gate, err := auth.New(auth.Config{UpstreamKey: newSecret(t, key), ClientKey: newSecret(t, token)})
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
		"as Anthropic's clients":                  {fields: []string{"X-Api-Key: " + token, "Anthropic-Version: 2023-06-01"}, left: []string{"Anthropic-Version: 2023-06-01"}},
		"as Anthropic's clients, and a wrong one": {fields: []string{"X-Api-Key: " + token, "Authorization: Bearer other"}},
		"a wrong one as Anthropic's clients":      {fields: []string{"X-Api-Key: other", "Authorization: Bearer " + token}},
		"the same twice":                          {fields: []string{"X-Api-Key: " + token, "Authorization: Bearer " + token, "Api-Key: " + token}},
		"beside another scheme":                   {fields: []string{"X-Api-Key: " + token, "Authorization: Basic YTpi"}},
		"beside two of another place":             {fields: []string{"X-Api-Key: " + token, "Authorization: Bearer a", "Authorization: Bearer b"}},
		"by subprotocol, and a wrong one":         {fields: []string{"Authorization: Bearer other", protocols + "realtime, openai-insecure-api-key." + token}, left: []string{protocols + "realtime"}},
		"twice in its place":                      {fields: []string{"X-Api-Key: " + token, "X-Api-Key: " + token}, err: auth.ErrMissingKey},
		"several wrong ones":                      {fields: []string{"X-Api-Key: a", "Api-Key: b", "Authorization: Bearer c"}, err: auth.ErrUnknownKey},
		"an empty one":                            {fields: []string{"X-Api-Key: "}, err: auth.ErrUnknownKey},
		"in the query of a WebSocket":             {fields: []string{websocket}, target: "/openai/realtime?api-version=1&api-key=" + token + "&deployment=%6D", left: []string{websocket}, goesTo: "/openai/realtime?api-version=1&deployment=%6D"},
		"in the query, as authorization":          {fields: []string{websocket}, target: "/openai/realtime?Authorization=Bearer+" + token, left: []string{websocket}, goesTo: "/openai/realtime"},
		"in the query, encoded":                   {fields: []string{websocket}, target: "/openai/realtime?a;b&api%2Dkey=" + token + "&%zz", left: []string{websocket}, goesTo: "/openai/realtime?a;b&%zz"},
		"in another query":                        {target: "/v1/models?api-key=" + token, err: auth.ErrMissingKey},
		"in another query, too":                   {fields: []string{"Api-Key: " + token}, target: "/v1/models?api-key=" + token + "&limit=1", goesTo: "/v1/models?limit=1"},
		"a wrong one in the query":                {fields: []string{websocket}, target: "/openai/realtime?api-key=other", err: auth.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(row.fields...)
			r.RequestURI = cmp.Or(row.target, "/v1/models")
			var err error
			if r.URL, err = url.ParseRequestURI(r.RequestURI); err != nil {
				t.Fatal(err)
			}
			admitted, err := gate.Authenticate(r)
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

func TestAdmit_DropsOrganizationUnlessForwarded(t *testing.T) {
	t.Parallel()
	const protocols = "Sec-WebSocket-Protocol: "
	fields := []string{
		"OpenAI-Organization: org", "OpenAI-Project: proj", "OpenAI-Beta: b",
		protocols + "realtime, openai-insecure-api-key." + token + ", openai-organization.org, openai-project.proj, openai-beta.realtime-v1",
	}
	for _, config := range []auth.Config{{ClientKey: newSecret(t, token)}, {AllowAnonymous: true}} {
		config.UpstreamKey = newSecret(t, key)
		for forward, left := range map[bool][]string{
			false: {"OpenAI-Beta: b", protocols + "realtime, openai-beta.realtime-v1"},
			true: {
				"OpenAI-Organization: org", "OpenAI-Project: proj", "OpenAI-Beta: b",
				protocols + "realtime, openai-organization.org, openai-project.proj, openai-beta.realtime-v1",
			},
		} {
			config.ForwardOrganization = forward
			gate, err := auth.New(config)
			if err != nil {
				t.Fatal(err)
			}
			admitted, err := gate.Authenticate(request(fields...))
			if err != nil {
				t.Fatal(err)
			}
			checkHeader(t, admitted.Header, left)
		}
	}
}

func FuzzStrip(f *testing.F) {
	f.Add("realtime, openai-insecure-api-key.SECRET", "/v1/realtime?api-key=SECRET&model=m", "Bearer SECRET")
	f.Add("openai-insecure-api-key.SECRET", "/?Authorization=Bearer%20SECRET", "")
	f.Add(",openai-project.SECRET ,", "/?%61pi-key=SECRET&&=", "Basic SECRET")
	f.Fuzz(func(t *testing.T, protocols, target, authorization string) {
		r := request()
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

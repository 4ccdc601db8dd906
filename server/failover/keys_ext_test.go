package failover_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestKeys_EachUpstreamReceivesOnlyItsOwnKey(t *testing.T) {
	peers := []*peer{start(t, says(429)), start(t, says(503)), start(t, says(200))}
	f := over(t, failover.Config{}, peers...)
	request := post(text)
	for name, value := range map[string]string{
		"Authorization": "Bearer sk-server", "Openai-Organization": "org-1", "Cookie": "session=1",
		"Openai-Beta": "assistants=v2", "Idempotency-Key": "a-key", "X-Stainless-Lang": "go",
	} {
		with(request, name, value)
	}
	resp, err := f.Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	for i, p := range peers {
		got := p.asked()[0]
		if keys := got.Values("Authorization"); !slices.Equal(keys, []string{"Bearer sk-" + names[i]}) {
			t.Errorf("the %s upstream received %q", names[i], keys)
		}
		for _, name := range []string{"OpenAI-Organization", "Cookie"} {
			if seen := got.Value(name) != ""; seen != (i == 0) {
				t.Errorf("the %s upstream received %s: %v", names[i], name, seen)
			}
		}
		for _, name := range []string{"OpenAI-Beta", "Idempotency-Key", "X-Stainless-Lang"} {
			if got.Value(name) == "" {
				t.Errorf("the %s upstream did not receive %s", names[i], name)
			}
		}
	}
	if got := request.Header.Get("Authorization"); got != "Bearer sk-server" {
		t.Errorf("the original request was changed to %q", got)
	}
}

// With client keys, the WebSocket of a browser sends its key as a subprotocol.
func TestKeys_OnlyTheFirstUpstreamReceivesTheKeyOfAWebSocket(t *testing.T) {
	first, second := start(t, says(429)), start(t, says(200))
	config := failover.Config{Policy: withClientKeys}
	for i, p := range []*peer{first, second} {
		up, err := upstream.New(upstream.Config{BaseURL: p.url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.CloseIdleConnections)
		config.Upstreams = append(config.Upstreams, failover.Upstream{Name: names[i], Sender: up, BaseURL: up.BaseURL(), NoKey: i > 0})
	}
	f, err := newFailover(config)
	if err != nil {
		t.Fatal(err)
	}
	request := get()
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
		"Sec-Websocket-Protocol": "realtime, openai-insecure-api-key.sk-client, openai-beta.realtime-v1",
	} {
		with(request, name, value)
	}
	resp, err := f.Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	for i, want := range []string{"realtime, openai-insecure-api-key.sk-client, openai-beta.realtime-v1", "realtime, openai-beta.realtime-v1"} {
		if got := []*peer{first, second}[i].asked()[0].Value("Sec-WebSocket-Protocol"); got != want {
			t.Errorf("the %s upstream received %q, want %q", names[i], got, want)
		}
	}
}

func TestKeys_OnlyTheFirstUpstreamReceivesAClientsOwnUpstreamKey(t *testing.T) {
	first, second := start(t, says(429)), start(t, says(200))
	f := over(t, failover.Config{}, first, second)
	c := &request.Record{Client: &clients.Client{Name: "a client", UpstreamKey: newSecret(t, "sk-client")}}
	for range 2 { // in the cooldown too, which is of another key
		resp, err := f.Send(request.NewContext(t.Context(), c), with(post(text), "Authorization", "Bearer sk-client"))
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		if resp.StatusCode != 429 || c.Upstream != "first" || c.Attempts != 1 {
			t.Errorf("got %d from %s after %d attempts", resp.StatusCode, c.Upstream, c.Attempts)
		}
	}
	for _, one := range first.asked() {
		if got := one.Value("Authorization"); got != "Bearer sk-client" {
			t.Errorf("the first upstream received %q", got)
		}
	}
	if len(second.asked()) != 0 {
		t.Error("the second upstream received the request")
	}
	resp, err := f.Send(t.Context(), post(text))
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	if got := resp.Header.Get(failover.UpstreamHeader); got != "second" || len(first.asked()) != 3 {
		t.Errorf("with the server's key, which is not rate limited: got a response from %s", got)
	}
}

func TestFailover_RecordsUpstreamAndAttempts(t *testing.T) {
	c := new(request.Record)
	f := over(t, failover.Config{}, start(t, says(503)), absent(t))
	resp, err := f.Send(request.NewContext(t.Context(), c), post(text))
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	if c.Upstream != "first" || c.Attempts != 2 {
		t.Errorf("got %s after %d attempts", c.Upstream, c.Attempts)
	}
}

func TestKeys_AnUpstreamWithoutAKeyReceivesNone(t *testing.T) {
	p := start(t, says(200))
	up, err := upstream.New(upstream.Config{BaseURL: p.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	f, err := newFailover(failover.Config{Upstreams: []failover.Upstream{{Name: "local", Sender: up, BaseURL: up.BaseURL(), NoKey: true}}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.Send(t.Context(), with(post(text), "Authorization", "Bearer sk-server"))
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	if got := p.asked()[0].Values("Authorization"); got != nil {
		t.Errorf("the upstream received %q", got)
	}
}

func TestKeys_ATRACERequestHasNone(t *testing.T) {
	p := start(t, says(200))
	request := get()
	request.Method = "TRACE"
	resp, err := over(t, failover.Config{}, p).Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	if got := p.asked()[0].Values("Authorization"); got != nil {
		t.Errorf("the upstream received %q", got)
	}
}

func TestNew_RejectsConfigurationsThatExposeAKey(t *testing.T) {
	key := func(one failover.Upstream) failover.Upstream {
		one.Key = newSecret(t, "sk-0123456789")
		return one
	}
	none := func(one failover.Upstream) failover.Upstream {
		one.NoKey = true
		return one
	}
	openai := failover.Upstream{Name: "openai", BaseURL: "https://api.openai.com/v1"}
	same := failover.Upstream{Name: "same", BaseURL: "https://API.openai.com:443/v2"}
	other := failover.Upstream{Name: "other", BaseURL: "https://other.example/v1"}
	plain := failover.Upstream{Name: "plain", BaseURL: "http://api.openai.com/v1"}
	for _, row := range []struct {
		name       string
		upstreams  []failover.Upstream
		clientKeys bool
		says       string // empty if it is fine
	}{
		{"no upstreams", nil, false, "no upstream: want at least one"},
		{"one", []failover.Upstream{openai}, true, ""},
		{"the same origin", []failover.Upstream{openai, same}, true, ""},
		{"another origin", []failover.Upstream{openai, other}, true, `"other"`},
		{"another origin, with the server's key", []failover.Upstream{openai, other}, false, `"other"`},
		{"another origin with its own key", []failover.Upstream{openai, key(other)}, false, ""},
		{"another origin that requires no key", []failover.Upstream{openai, none(other)}, false, ""},
		{"another origin that requires no key, with client keys", []failover.Upstream{openai, none(other)}, true, ""},
		{"the same host without TLS", []failover.Upstream{openai, plain}, false, `"plain"`},
		{"a key that everyone could use", []failover.Upstream{openai, key(other)}, true, "requires client authentication"},
		{"a first key that everyone could use", []failover.Upstream{key(openai)}, true, "requires client authentication"},
		{"a key and NoKey", []failover.Upstream{none(key(openai))}, false, "both Key and NoKey are set"},
		{"a duplicate name", []failover.Upstream{openai, openai}, false, "duplicate name"},
		{"no name", []failover.Upstream{{BaseURL: openai.BaseURL}}, false, "name"},
		{"a name with a line break", []failover.Upstream{{Name: "a\nb", BaseURL: openai.BaseURL}}, false, "name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			config := failover.Config{Upstreams: row.upstreams}
			if row.clientKeys {
				config.Policy = withClientKeys
			}
			_, err := newFailover(config)
			switch {
			case row.says == "" && err != nil:
				t.Error(err)
			case row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "sk-")):
				t.Errorf("got error %v, want one containing %q", err, row.says)
			}
		})
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// probeTimeout bounds the request to an upstream.
const probeTimeout = 30 * time.Second

// upstreamProbe connects to an upstream.
type upstreamProbe struct {
	name, url   string
	description string
	key         secret.Secret
	config      *server.Config
}

// probes returns a probe for each upstream of a server.
func (d *deps) probes() []upstreamProbe {
	upstreams := []failover.Upstream{{BaseURL: d.config.Upstream}}
	if d.config.Failover != nil {
		upstreams = d.config.Failover.Upstreams
	}
	var probes []upstreamProbe
	for _, one := range upstreams {
		p := upstreamProbe{name: strings.TrimSpace("upstream " + one.Name), url: one.BaseURL, key: one.Key, config: &d.config}
		credential := "with a key of its own"
		switch {
		case one.NoKey, one.BaseURL == server.Sandbox:
			credential = "without a key"
		case !one.Key.IsZero():
		case !d.config.UpstreamKey.IsZero():
			p.key, credential = d.config.UpstreamKey, "with the upstream key"
		case d.config.Clients != nil:
			credential = "with the upstream keys of the clients"
		default:
			credential = "with the keys that clients send"
		}
		p.description = one.BaseURL + ", " + credential
		if proxy, err := upstream.ParseProxy(d.config.Proxy); d.config.Proxy != "" && err == nil && proxy != nil {
			p.description += ", through the proxy " + proxy.Host
		}
		probes = append(probes, p)
	}
	return probes
}

// connectionTrace records the steps of the first connection.
type connectionTrace struct {
	mu        sync.Mutex
	addresses []string // of the host; guarded by mu
	dnsErr    error    // guarded by mu
	connected string   // address, empty for none; guarded by mu
}

func (t *connectionTrace) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSDone: func(info httptrace.DNSDoneInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.dnsErr = info.Err
			for _, address := range info.Addrs {
				t.addresses = append(t.addresses, address.String())
			}
		},
		ConnectDone: func(_, address string, err error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if err == nil {
				t.connected = address
			}
		},
	})
}

// run sends a request for the models to the upstream, over a connection as the server
// would make it, and reports each step.
func (p *upstreamProbe) run(ctx context.Context, r *checkReport) {
	up, err := upstream.New(upstream.Config{
		BaseURL: p.url, Proxy: p.config.Proxy, RootCAs: p.config.UpstreamRoots,
		HTTP2: p.config.UpstreamHTTP2, NoRedirects: p.config.NoRedirects,
	})
	if err != nil {
		r.failf("  configuration", "%v", err)
		return
	}
	defer up.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var trace connectionTrace
	begin := time.Now()
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"openai-connect/" + version()}}
	if !p.key.IsZero() {
		header.Set("Authorization", "Bearer "+p.key.Reveal())
	}
	response, err := up.Send(trace.context(ctx), &upstream.Request{Target: "/v1/models", Header: header})
	took := time.Since(begin).Round(time.Millisecond)
	trace.mu.Lock()
	defer trace.mu.Unlock()
	kind := upstream.Kind(0)
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		kind = failure.Kind
	}
	if trace.dnsErr != nil {
		r.failf("  DNS", "%v", trace.dnsErr)
		return
	}
	if trace.addresses != nil {
		r.printf("  DNS", "%s", strings.Join(trace.addresses, ", "))
	}
	if kind == upstream.KindConnect {
		r.failf("  connect", "%v", err)
		return
	}
	if trace.connected != "" {
		r.printf("  connect", "%s", trace.connected)
	}
	if kind == upstream.KindTLS {
		r.failf("  TLS", "%v", err)
		return
	}
	if err == nil && strings.HasPrefix(p.url, "https:") {
		r.printf("  TLS", "ok")
	}
	if err != nil {
		r.failf("  GET /models", "%v", err)
		return
	}
	_ = response.Body.Close()
	status := fmt.Sprintf("%d %s in %v", response.StatusCode, http.StatusText(response.StatusCode), took)
	switch {
	case response.StatusCode == http.StatusUnauthorized && !p.key.IsZero():
		r.failf("  GET /models", "%s: the upstream rejects the key", status)
	case response.StatusCode >= http.StatusInternalServerError:
		r.failf("  GET /models", "%s", status)
	default:
		r.printf("  GET /models", "%s", status)
	}
}

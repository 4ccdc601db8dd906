package lifecycle_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// The upstream sends invalid HTTP/2 settings.
func TestReady_ReportsFailingUpstreamConnections(t *testing.T) {
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		})
		c.Each(nil, nil)
	})
	front := servertest.Start(t, server.Config{Upstream: url, UpstreamRoots: roots, UpstreamHTTP2: true})
	if err := front.Server.Ready(); err != nil {
		t.Errorf("got error %v before the first call", err)
	}
	for range 3 {
		resp, err := servertest.HTTPClient(t, false).Get(front.URL + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("got status %d", resp.StatusCode)
		}
	}
	if err := front.Server.Ready(); err == nil || !strings.Contains(err.Error(), "3 HTTP/2 connections failed") {
		t.Errorf("got error %v after three calls", err)
	}
}

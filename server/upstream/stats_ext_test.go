package upstream_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestStats_CountsOpenConnections(t *testing.T) {
	for _, test := range []struct {
		name  string
		http2 bool
		kept  upstream.Stats // when the answer has been read
	}{
		{"HTTP/1.1", false, upstream.Stats{Idle: 1}},
		{"HTTP/2, of which one that has nothing to do counts as active", true, upstream.Stats{Active: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "answer")
			}))
			s.EnableHTTP2 = true
			s.StartTLS()
			defer s.Close()
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			up, err := upstream.New(upstream.Config{BaseURL: s.URL, RootCAs: roots, HTTP2: test.http2})
			if err != nil {
				t.Fatal(err)
			}
			check := func(when string, want upstream.Stats) {
				t.Helper()
				deadline := time.Now().Add(5 * time.Second)
				for up.Stats() != want && time.Now().Before(deadline) {
					time.Sleep(time.Millisecond) // until the transport's goroutines have noticed
				}
				if got := up.Stats(); got != want {
					t.Errorf("%s: got %+v, want %+v", when, got, want)
				}
			}
			check("at the beginning", upstream.Stats{})
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/models"})
			if err != nil {
				t.Fatal(err)
			}
			check("while an answer is read", upstream.Stats{Active: 1})
			_, _ = io.ReadAll(resp.Body)
			resp.Body.Close()
			check("behind it", test.kept)
			up.CloseIdleConnections()
			check("in the end", upstream.Stats{})
		})
	}
}

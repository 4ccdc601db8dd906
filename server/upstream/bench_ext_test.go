package upstream_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

func BenchmarkHTTP1(b *testing.B) { benchmarkSend(b, false) }

func BenchmarkHTTP2(b *testing.B) { benchmarkSend(b, true) }

// benchmarkSend measures requests over one connection to an https upstream that
// reads the body and responds with a small JSON object.
func benchmarkSend(b *testing.B, http2 bool) {
	b.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"chatcmpl-1","object":"chat.completion"}`)
	}))
	server.EnableHTTP2 = http2
	server.StartTLS()
	b.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	up := newUpstream(b, upstream.Config{BaseURL: server.URL, HTTP2: http2, RootCAs: roots})
	small, large := bytes.Repeat([]byte("x"), 1<<10), bytes.Repeat([]byte("x"), 1<<20)
	for _, row := range []struct {
		name   string
		length int64
		body   func() io.Reader
	}{
		{"no body", 0, func() io.Reader { return nil }},
		{"a small body in memory", 1 << 10, func() io.Reader { return bytes.NewReader(small) }},
		{"a small body from a reader", 1 << 10, func() io.Reader { return struct{ io.Reader }{bytes.NewReader(small)} }},
		{"a large body in memory", 1 << 20, func() io.Reader { return bytes.NewReader(large) }},
		{"a large body from a reader", 1 << 20, func() io.Reader { return struct{ io.Reader }{bytes.NewReader(large)} }},
		{"a body of unknown length", -1, func() io.Reader { return struct{ io.Reader }{bytes.NewReader(small)} }},
	} {
		b.Run(row.name, func(b *testing.B) {
			header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
			b.ReportAllocs()
			for b.Loop() {
				resp, err := up.Send(b.Context(), &upstream.Request{
					Method: http.MethodPost, Target: "/v1/chat/completions", Header: header, Body: row.body(), ContentLength: row.length,
				})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestSend_SendsAnEmptyBodyAsNone(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", len(r.TransferEncoding), " ", len(body), " ", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for protocol, config := range map[string]upstream.Config{
		"HTTP/1.1": {BaseURL: plain.URL},
		"HTTP/2":   {BaseURL: secure.URL, HTTP2: true, RootCAs: rootsOf(secure)},
	} {
		up, err := upstream.New(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.CloseIdleConnections)
		for _, method := range []string{"GET", "DELETE", "OPTIONS", "POST", "PUT"} {
			resp, err := up.Send(t.Context(), &upstream.Request{Method: method, Target: "/v1/models", Body: bytes.NewReader(nil), ContentLength: -1})
			if err != nil {
				t.Errorf("%s over %s: %v", method, protocol, err)
				continue
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := method + " 0 0 <nil>"; err != nil || string(got) != want {
				t.Errorf("%s over %s: the upstream received %q, want %q (%v)", method, protocol, got, want, err)
			}
		}
	}
}

package soak_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

// clientField names the client of a request, so that the upstream can check its key.
const clientField = "X-Soak-Client"

// provider is the upstream: the sandbox with faults, uploads, and WebSockets. It checks
// every key.
type provider struct {
	url  string
	keys map[string]string // by client

	mu      sync.Mutex
	strange []string // requests with another client's key
}

func startProvider(t *testing.T, keys map[string]string) *provider {
	t.Helper()
	p := &provider{keys: keys}
	mux := http.NewServeMux()
	mux.Handle("/", sandbox.New())
	mux.HandleFunc("POST /v1/files", serveUpload)
	mux.HandleFunc("GET /v1/realtime", serveRealtime)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.check(r)
		mux.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) check(r *http.Request) {
	client := r.Header.Get(clientField)
	if want, ok := p.keys[client]; ok && r.Header.Get("Authorization") == "Bearer "+want {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strange = append(p.strange, r.Method+" "+r.URL.Path+" of client "+client)
}

// serveUpload responds with the digest of an upload.
func serveUpload(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	if _, err := io.Copy(digest, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id": "file-1", "object": "file", "sha256": "`+hex.EncodeToString(digest.Sum(nil))+`"}`)
}

// serveRealtime echoes messages, and reports usage as the Realtime API does.
func serveRealtime(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// serveHTTP2 serves only HTTP/2 over TLS.
func serveHTTP2(listener net.Listener, config *tls.Config, finish *atomic.Bool) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, finish) }),
		TLSConfig:         config,
		Protocols:         protocols,
		ReadHeaderTimeout: time.Minute,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
	return server.ServeTLS(listener, "", "")
}

func handle(w http.ResponseWriter, r *http.Request, finish *atomic.Bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	for _, field := range fixture.Header() {
		w.Header().Set(field[0], field[1])
	}
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, fixture.Completion) // It fails if the client has disconnected.
		return
	}
	interval, err := time.ParseDuration(r.Header.Get(fixture.IntervalHeader))
	if err != nil || interval <= 0 {
		http.Error(w, "missing or invalid interval of a stream", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	control := http.NewResponseController(w)
	err = stream(interval, finish, func(event []byte, _ bool) error {
		if _, err := w.Write(event); err != nil {
			return err
		}
		return control.Flush()
	})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

package client_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
)

// An endless response is aborted at the message limit, also if it is compressed.
func TestHostileServer_CannotExceedMessageLimit(t *testing.T) {
	t.Parallel()
	const megabyte = 1 << 20
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, _ = writer.Write(make([]byte, megabyte))
	_ = writer.Close()
	bomb := bytes.Repeat(zipped.Bytes(), 100) // RFC 1952: members are concatenated
	for name, row := range map[string]struct {
		status      int
		contentType string
		gzip        bool
	}{
		"an answer without end":  {http.StatusOK, "application/proto", false},
		"an answer in gzip":      {http.StatusOK, "application/proto", true},
		"an error without end":   {http.StatusInternalServerError, "application/json", false},
		"an error in gzip":       {http.StatusInternalServerError, "application/json", true},
		"a stream of one answer": {http.StatusOK, "application/connect+proto", false},
	} {
		t.Run(name, func(t *testing.T) {
			front, stop := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", row.contentType)
				if row.gzip {
					w.Header().Set("Content-Encoding", "gzip")
					w.WriteHeader(row.status)
					_, _ = w.Write(bomb)
					return
				}
				w.WriteHeader(row.status)
				if row.contentType == "application/connect+proto" {
					_, _ = w.Write([]byte{0, 0x04, 0, 0, 1}) // 64 MiB and a byte follow.
				}
				for err := error(nil); err == nil; {
					_, err = w.Write(make([]byte, megabyte))
				}
			}))
			defer stop()
			openai := client.New(front, client.WithHTTPClient(newHTTPClient(t, client.Connect)), client.WithMaxRetries(0))
			var err error
			if row.contentType == "application/connect+proto" {
				for _, err = range openai.Chat.Stream(t.Context(), ask(client.User("Hello!"))) {
					break
				}
			} else {
				_, err = openai.Chat.Create(t.Context(), ask(client.User("Hello!")))
			}
			if connect.CodeOf(err) != connect.CodeResourceExhausted {
				t.Errorf("got error %v", err)
			}
		})
	}
}

package passthrough_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// Concurrent streams with their own markers arrive complete and unmixed, in both directions.
func TestStream_KeepsConcurrentStreamsApart(t *testing.T) {
	const events = 20
	want := func(marker string) string {
		var text strings.Builder
		for i := range events {
			fmt.Fprintf(&text, "data: %s %d\n\n", marker, i)
		}
		return text.String()
	}
	// The upstream streams when all clients have connected.
	serve := func(arrived *sync.WaitGroup) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			marker, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("upstream: %v", err)
			}
			w.Header().Set("Content-Type", "text/event-stream")
			flush(w)
			arrived.Done()
			arrived.Wait()
			for i := range events {
				fmt.Fprintf(w, "data: %s %d\n\n", marker, i)
				flush(w)
			}
		}
	}
	for _, from := range []struct {
		name    string
		config  func(http.HandlerFunc) upstream.Config
		streams int
	}{
		{"from an upstream over HTTP/1.1", func(handler http.HandlerFunc) upstream.Config {
			return upstream.Config{BaseURL: "http://" + listen(t, handler)}
		}, 1000},
		{
			"from an upstream over HTTP/2", func(handler http.HandlerFunc) upstream.Config { return serveTLS(t, handler) },
			200, // as many TLS handshakes, which is what takes the time here
		},
	} {
		for _, client := range clients {
			t.Run(fmt.Sprintf("%d %s, %s", from.streams, client.name, from.name), func(t *testing.T) {
				var arrived sync.WaitGroup
				arrived.Add(from.streams)
				url := "http://" + forwardWith(t, from.config(serve(&arrived)), noOptions) + "/v1/x"
				httpClient := client.new(t)
				var done sync.WaitGroup
				for i := range from.streams {
					done.Go(func() {
						marker := fmt.Sprintf("stream %d", i)
						resp, err := httpClient.Post(url, "application/json", strings.NewReader(marker))
						if err != nil {
							t.Errorf("%s: %v", marker, err)
							arrived.Done()
							return
						}
						defer resp.Body.Close()
						got, err := io.ReadAll(resp.Body)
						if err != nil {
							t.Errorf("%s: truncated after %d bytes: %v", marker, len(got), err)
						} else if string(got) != want(marker) {
							t.Errorf("%s: got %.100q", marker, got)
						}
					})
				}
				done.Wait()
			})
		}
	}
}

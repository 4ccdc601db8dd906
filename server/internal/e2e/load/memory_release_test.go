package load_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// Calls of every kind end in every way: answered, rejected, canceled, or aborted
// by the upstream. No buffered bytes remain.
func TestMemory_IsReleasedAfterEveryCall(t *testing.T) {
	t.Parallel()
	const callers, callsEach = 16, 15
	var calm atomic.Bool
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if calm.Load() {
			servertest.JSON(http.StatusOK, e2etest.Completion("hi"))(w, r)
			return
		}
		if rand.IntN(4) > 0 {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		switch rand.IntN(8) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			<-r.Context().Done()
		case 2:
			servertest.JSON(http.StatusTooManyRequests, `{"error": {"message": "slow down"}}`)(w, r)
		case 3:
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, e2etest.Chunk(0, "hi")+e2etest.Finish(0, "stop")+e2etest.DoneEvent)
		case 4:
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, `{"choices": [`)
			panic(http.ErrAbortHandler)
		case 5:
			servertest.JSON(http.StatusOK, e2etest.Completion(strings.Repeat("long ", 20_000)))(w, r)
		default:
			servertest.JSON(http.StatusOK, e2etest.Completion("hi"))(w, r)
		}
	})
	observer, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config := e2etest.PolicyConfig(t, upstream.URL, `models: ["*"]`)
	config.MaxBufferedBytes, config.Observer = 1<<20, observer
	front := e2etest.StartServer(t, config)

	raw := []*http.Client{servertest.HTTPClient(t, false), servertest.HTTPClient(t, true)}
	texts := []string{"Hello", hexProse(70 << 10), hexProse(200 << 10), strings.Repeat("a", 600<<10)}
	calls := []func(ctx context.Context, text string){func(ctx context.Context, text string) {
		body := io.Reader(strings.NewReader(fmt.Sprintf(`{"model": "m", "messages": [{"role": "user", "content": %q}]}`, text)))
		compressed := rand.IntN(2) == 0
		if compressed {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			_, _ = io.Copy(w, body)
			_ = w.Close()
			body = &packed
		}
		if rand.IntN(3) == 0 {
			body = struct{ io.Reader }{body} // of unknown length
		}
		path := []string{"/v1/chat/completions", "/v1/models"}[rand.IntN(2)]
		method := map[string]string{"/v1/models": http.MethodGet}[path]
		request, err := http.NewRequestWithContext(ctx, method, front.URL+path, body)
		if err != nil {
			t.Error(err)
			return
		}
		if method == "" {
			request.Method = http.MethodPost
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+servertest.Key)
		if compressed {
			request.Header.Set("Content-Encoding", "gzip")
		}
		response, err := raw[rand.IntN(len(raw))].Do(request)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}}
	for _, protocol := range servertest.Protocols() {
		for _, options := range [][]connecthttp.Option{nil, {connecthttp.WithSendGzip()}} {
			client := front.Client(t, protocol, options...)
			calls = append(calls, func(ctx context.Context, text string) {
				_, _ = client.CreateChatCompletion(ctx, helloWith(text))
			}, func(ctx context.Context, text string) {
				stream, err := client.StreamChatCompletion(ctx, helloWith(text))
				if err != nil {
					return
				}
				for err == nil {
					_, err = stream.Receive()
				}
				_ = stream.Close()
			})
		}
	}

	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range callsEach {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(50))*time.Millisecond)
				calls[rand.IntN(len(calls))](ctx, texts[rand.IntN(len(texts))])
				cancel()
			}
		})
	}
	all.Wait()
	awaitMetric(t, observer, "openai_connect_buffered_bytes", "0")
	// All of the budget is available again.
	calm.Store(true)
	client := front.Client(t, servertest.Protocols()[0])
	for range 10 {
		if _, err := client.CreateChatCompletion(e2etest.Context(t), helloWith(texts[2])); err != nil {
			t.Fatal(err)
		}
	}
}

// The upstream answers unary and streaming calls with one message that exceeds the
// budget.
func TestMemory_WholeResponsesAreBounded(t *testing.T) {
	t.Parallel()
	answer := e2etest.Completion(strings.Repeat("long ", 500_000))
	for _, row := range []struct{ name, contentType, coding, body string }{
		{"JSON", "application/json", "", answer},
		{"JSON with a stream's content type", "text/event-stream", "", answer},
		{"JSON in gzip", "application/json", "gzip", e2etest.Gzip(answer)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", row.contentType)
				if row.coding != "" {
					w.Header().Set("Content-Encoding", row.coding)
				}
				_, _ = io.WriteString(w, row.body)
			})
			client := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, MaxBufferedBytes: 2 << 20}).Client(t, servertest.Protocols()[0])
			_, err := client.CreateChatCompletion(e2etest.Context(t), helloWith("Hello"))
			if code := connect.CodeOf(err); code != connect.CodeResourceExhausted {
				t.Errorf("got error %v for a unary call", err)
			}
			stream, err := client.StreamChatCompletion(e2etest.Context(t), helloWith("Hello"))
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			if _, err = stream.Receive(); connect.CodeOf(err) != connect.CodeResourceExhausted {
				t.Errorf("got error %v for a stream", err)
			}
		})
	}
}

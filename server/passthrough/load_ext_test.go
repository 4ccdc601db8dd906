package passthrough_test

import (
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// Of the streams that are open at the same time, each carrying its own marker
// up and down, every one arrives whole and unmixed.
func TestConcurrentStreams(t *testing.T) {
	const events = 20
	want := func(marker string) string {
		var text strings.Builder
		for i := range events {
			fmt.Fprintf(&text, "data: %s %d\n\n", marker, i)
		}
		return text.String()
	}
	// An upstream that streams once all clients are there.
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
							t.Errorf("%s was cut short after %d bytes: %v", marker, len(got), err)
						} else if string(got) != want(marker) {
							t.Errorf("%s got %.100q", marker, got)
						}
					})
				}
				done.Wait()
			})
		}
	}
}

// A body of any size passes through the same few buffers, every byte in order.
func TestLargeBodiesInConstantMemory(t *testing.T) {
	const allowed = 32 << 20 // of additional heap, for client, server and upstream together

	pattern := make([]byte, 1<<20+7) // of no length that buffers have
	for i := range pattern {
		pattern[i] = byte(i * i >> 7)
	}
	body := func(size int64) io.Reader { return io.LimitReader(&repeat{pattern: pattern}, size) }
	sum := func(t *testing.T, size int64, body io.Reader) uint32 {
		t.Helper()
		hash := crc32.NewIEEE()
		runtime.GC()
		heap := newHeapMeter()
		n, err := io.Copy(io.MultiWriter(hash, heap), body)
		if err != nil || n != size {
			t.Errorf("got %d bytes of %d, %v", n, size, err)
		}
		t.Logf("%d MB with at most %d KB of additional heap", n>>20, heap.grown()>>10)
		if heap.grown() > allowed {
			t.Errorf("the heap grew by %d MB", heap.grown()>>20)
		}
		return hash.Sum32()
	}
	for _, from := range []struct {
		name   string
		config func(http.HandlerFunc) upstream.Config
		size   int64
	}{
		{"an upstream over HTTP/1.1", func(handler http.HandlerFunc) upstream.Config {
			return upstream.Config{BaseURL: "http://" + listen(t, handler)}
		}, 300 << 20},
		{"an upstream over HTTP/2", func(handler http.HandlerFunc) upstream.Config { return serveTLS(t, handler) }, 100 << 20},
	} {
		for _, client := range clients {
			size := from.size
			if testing.Short() {
				size /= 10
			}
			hash := crc32.NewIEEE()
			if _, err := io.Copy(hash, body(size)); err != nil {
				t.Fatal(err)
			}
			want := hash.Sum32()
			t.Run("download "+client.name+" from "+from.name, func(t *testing.T) {
				config := from.config(func(w http.ResponseWriter, _ *http.Request) {
					io.Copy(onlyWriter{w}, body(size)) // shows at the other end
				})
				resp, err := client.new(t).Get("http://" + forwardWith(t, config, noOptions) + "/v1/x")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got := sum(t, size, resp.Body); got != want {
					t.Error("the download differs")
				}
			})
			t.Run("upload "+client.name+" to "+from.name, func(t *testing.T) {
				config := from.config(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, sum(t, size, r.Body))
				})
				resp, err := client.new(t).Post("http://"+forwardWith(t, config, noOptions)+"/v1/x", "application/octet-stream", onlyReader{body(size)})
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != strconv.FormatUint(uint64(want), 10) {
					t.Errorf("the upload differs: %q, %v", got, err)
				}
			})
		}
	}
}

// repeat gives its pattern again and again.
type repeat struct {
	pattern []byte
	at      int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.pattern[r.at:])
	r.at = (r.at + n) % len(r.pattern)
	return n, nil
}

// heapMeter is written what passes, and looks at the heap now and then.
type heapMeter struct {
	sample    []metrics.Sample
	base, top uint64
	passed    int
}

func newHeapMeter() *heapMeter {
	meter := &heapMeter{sample: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	metrics.Read(meter.sample)
	meter.base = meter.sample[0].Value.Uint64()
	meter.top = meter.base
	return meter
}

func (m *heapMeter) Write(p []byte) (int, error) {
	const often = 1 << 20
	if m.passed += len(p); m.passed >= often {
		m.passed = 0
		metrics.Read(m.sample)
		m.top = max(m.top, m.sample[0].Value.Uint64())
	}
	return len(p), nil
}

func (m *heapMeter) grown() uint64 { return m.top - m.base }

// onlyReader and onlyWriter hide the shortcuts that bodies of known kinds take.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

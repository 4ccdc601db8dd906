package passthrough_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// largeBodyVariable is the environment variable for the size of large bodies in MB.
const largeBodyVariable = "OPENAI_CONNECT_LARGE_BODY"

// largeBody returns the size of large bodies in bytes.
func largeBody(tb testing.TB) int64 {
	tb.Helper()
	const usual = 300 << 20
	if text := os.Getenv(largeBodyVariable); text != "" {
		megabytes, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			tb.Fatalf("%s: %v", largeBodyVariable, err)
		}
		return megabytes << 20
	}
	if testing.Short() {
		return usual / 10
	}
	return usual
}

// patternOf returns a body of the given size.
func patternOf(size int64) io.Reader {
	pattern := make([]byte, 1<<20+7) // of no length that buffers have
	for i := range pattern {
		pattern[i] = byte(i * i >> 7)
	}
	return io.LimitReader(&repeat{pattern: pattern}, size)
}

// sumOf reads a body of the given size and returns its checksum. It checks that neither
// client, server nor upstream buffers the body on the heap.
func sumOf(t *testing.T, size int64, body io.Reader) uint32 {
	t.Helper()
	const allowed = 32 << 20 // of additional heap, for the three together
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

// A body of any size is copied with the same few buffers.
func TestLarge_CopiesBodiesInConstantMemory(t *testing.T) {
	for _, from := range []struct {
		name   string
		config func(http.HandlerFunc) upstream.Config
		size   int64
	}{
		{"an upstream over HTTP/1.1", func(handler http.HandlerFunc) upstream.Config {
			return upstream.Config{BaseURL: "http://" + listen(t, handler)}
		}, largeBody(t)},
		{"an upstream over HTTP/2", func(handler http.HandlerFunc) upstream.Config { return serveTLS(t, handler) }, largeBody(t) / 3},
	} {
		for _, client := range clients {
			size := from.size
			hash := crc32.NewIEEE()
			if _, err := io.Copy(hash, patternOf(size)); err != nil {
				t.Fatal(err)
			}
			want := hash.Sum32()
			t.Run("download "+client.name+" from "+from.name, func(t *testing.T) {
				config := from.config(func(w http.ResponseWriter, _ *http.Request) {
					io.Copy(onlyWriter{w}, patternOf(size)) // shows at the other end
				})
				resp, err := client.new(t).Get("http://" + forwardWith(t, config, noOptions) + "/v1/x")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got := sumOf(t, size, resp.Body); got != want {
					t.Error("the download differs")
				}
			})
			t.Run("upload "+client.name+" to "+from.name, func(t *testing.T) {
				config := from.config(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, sumOf(t, size, r.Body))
				})
				resp, err := client.new(t).Post("http://"+forwardWith(t, config, noOptions)+"/v1/x", "application/octet-stream", onlyReader{patternOf(size)})
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

// repeat returns its pattern repeatedly.
type repeat struct {
	pattern []byte
	at      int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.pattern[r.at:])
	r.at = (r.at + n) % len(r.pattern)
	return n, nil
}

// heapMeter is a writer that measures the heap from time to time.
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

// onlyReader and onlyWriter hide optimizations for known types.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// A file is uploaded like in OpenAI's SDKs, as one part of a form. All parts arrive in order
// and nothing is buffered.
func TestLarge_CopiesMultipartUploadsInConstantMemory(t *testing.T) {
	size := largeBody(t)
	hash := crc32.NewIEEE()
	if _, err := io.Copy(hash, patternOf(size)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"purpose: batch", "expires_after[anchor]: created_at", "expires_after[seconds]: 3600",
		fmt.Sprintf("file \"lots of it.jsonl\": %d", hash.Sum32()), "purpose: again",
	}
	parts := make(chan []string, 1)
	config := upstream.Config{BaseURL: "http://" + listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, err := readParts(t, r, size)
		if err != nil {
			t.Errorf("upstream: %v", err)
		}
		parts <- got
	}))}
	body, to := io.Pipe()
	form := multipart.NewWriter(to)
	go func() { to.CloseWithError(writeParts(form, size)) }()
	resp, err := newHTTP1Client(t).Post("http://"+forwardWith(t, config, noOptions)+"/v1/files", form.FormDataContentType(), body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := await(t, parts, "the parts"); !slices.Equal(got, want) {
		t.Errorf("upstream received %q, want %q", got, want)
	}
}

func writeParts(form *multipart.Writer, size int64) error {
	errs := []error{
		form.WriteField("purpose", "batch"),
		form.WriteField("expires_after[anchor]", "created_at"),
		form.WriteField("expires_after[seconds]", "3600"),
	}
	file, err := form.CreateFormFile("file", "lots of it.jsonl")
	if err == nil {
		_, err = io.Copy(file, patternOf(size))
	}
	return errors.Join(append(errs, err, form.WriteField("purpose", "again"), form.Close())...)
}

// readParts returns each part: its name, and its value or its file's checksum.
func readParts(t *testing.T, r *http.Request, size int64) (parts []string, err error) {
	t.Helper()
	form, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	for {
		part, err := form.NextPart()
		switch {
		case err == io.EOF:
			return parts, nil
		case err != nil:
			return parts, err
		case part.FileName() != "":
			parts = append(parts, fmt.Sprintf("%s %q: %d", part.FormName(), part.FileName(), sumOf(t, size, part)))
		default:
			value, err := io.ReadAll(part)
			if err != nil {
				return parts, err
			}
			parts = append(parts, part.FormName()+": "+string(value))
		}
	}
}

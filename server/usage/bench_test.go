package usage

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// chunk is an event of a chat stream, of 318 bytes.
const chunk = `data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",` +
	`"created":1741569952,"model":"gpt-5.4-mini-2026-03-17","service_tier":"default",` +
	`"system_fingerprint":"fp_fc9f1d7035","choices":[{"index":0,"delta":{"content":" together"},` +
	`"logprobs":null,"finish_reason":null}],"obfuscation":"pX2"}` + "\n\n"

// runningTotal is an event with the usage so far, which some servers send in each event.
const runningTotal = `data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",` +
	`"created":1741569952,"model":"m","choices":[{"index":0,"delta":{"content":" together"}}],` +
	`"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}` + "\n\n"

func eventMeter() *responseMeter {
	return newResponseMeter(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}}, Request{ConsumesTokens: true}, nil)
}

func TestTap_AllocatesNothingPerEvent(t *testing.T) {
	for _, text := range []string{chunk, runningTotal} {
		m, event := eventMeter(), []byte(text)
		for range 2 { // The following events reuse the memory of these.
			m.write(event)
		}
		if allocations := testing.AllocsPerRun(1000, func() { m.write(event) }); allocations != 0 {
			t.Errorf("got %v allocations, want 0, for the event %s", allocations, text)
		}
	}
}

func TestTap_IdleStreamTakesLittleMemory(t *testing.T) {
	const streams, limit = 1000, 1024
	meters := make([]*responseMeter, streams)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range meters {
		meters[i] = eventMeter()
		meters[i].write([]byte(chunk))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / streams
	runtime.KeepAlive(meters)
	t.Logf("%d bytes per stream", each)
	if each > limit {
		t.Errorf("got %d bytes per stream, want at most %d", each, limit)
	}
}

func BenchmarkEvent(b *testing.B) {
	for _, row := range []struct{ name, text string }{{"Chunk", chunk}, {"RunningTotal", runningTotal}} {
		b.Run(row.name, func(b *testing.B) {
			m, event := eventMeter(), []byte(row.text)
			b.ReportAllocs()
			b.SetBytes(int64(len(event)))
			for b.Loop() {
				m.write(event)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, row := range []struct{ name, text string }{
		{"Small", `{"model":"gpt-5.4-mini","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"Hello!"}],"stream":true}`},
		{"Image", `{"model":"m","messages":[{"content":[{"image_url":{"url":"` + strings.Repeat("QUJD", 1<<18) + `"}}]}]}`},
	} {
		b.Run(row.name, func(b *testing.B) {
			text := []byte(row.text)
			s := scanner{roleOf: requestRole, finder: &modelFinder{root: requestFields}}
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s.reset()
				s.write(text)
			}
		})
	}
}

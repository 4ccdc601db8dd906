package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

func askRaw(t *testing.T, f *observetest.Front, stream bool, fault string) {
	t.Helper()
	body := `{"model": "m", "messages": [{"role": "user", "content": "` + prompt + `"}]`
	if stream {
		body += `, "stream": true, "stream_options": {"include_usage": true}`
	}
	request, err := http.NewRequest(http.MethodPost, f.URL+"/v1/chat/completions?password=hunter2", strings.NewReader(body+"}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range fields(fault) {
		request.Header.Set(name, value)
	}
	resp, err := f.HTTP().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && fault == "" {
		t.Fatal(err)
	}
}

package observetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// gateway notes in a call what it asks for and what became of it, for requests
// and answers as these tests have them.
type gateway struct{ next upstream.Sender }

// Send implements [upstream.Sender].
func (g *gateway) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	c := request.FromContext(ctx)
	if req.Body != nil && strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
		content, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		var asked struct {
			Model  string `json:"model"`
			Stream bool   `json:"stream"`
		}
		_ = json.Unmarshal(content, &asked)
		c.SetRequest(asked.Model, asked.Stream)
		req.Body, req.ContentLength = bytes.NewReader(content), int64(len(content))
	}
	resp, err := g.next.Send(ctx, req)
	if err != nil {
		return nil, err
	}
	c.SetResponse(resp.StatusCode, false)
	if resp.StatusCode/100 == 2 {
		resp.Body = &tap{ReadCloser: resp.Body, call: c}
	}
	return resp, nil
}

// tap reads an answer as it passes.
type tap struct {
	io.ReadCloser

	call *request.Record
	all  []byte
	rest []byte // the line that isn't whole yet
}

// Read implements [io.Reader].
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.all, t.rest = append(t.all, p[:n]...), append(t.rest, p[:n]...)
	for {
		line, rest, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			break
		}
		t.rest = rest
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && string(data) != "[DONE]" {
			t.call.RecordEvent(time.Now())
			t.note(data)
		}
	}
	t.note(t.all) // of an answer that is no stream, if all has come
	return n, err
}

func (t *tap) note(text []byte) {
	var answer struct {
		Model string
		Usage *struct {
			PromptTokens     int64 `json:"prompt_tokens"`
			CompletionTokens int64 `json:"completion_tokens"`
			TotalTokens      int64 `json:"total_tokens"`
		}
	}
	if json.Unmarshal(text, &answer) != nil || answer.Model == "" {
		return
	}
	used := t.call.Progress().Usage
	if events := t.call.Progress().Events; events > 0 && used.Total == 0 {
		used = usage.Usage{Output: int64(events), Estimated: true}
	}
	if u := answer.Usage; u != nil {
		used = usage.Usage{Input: u.PromptTokens, Output: u.CompletionTokens, Total: u.TotalTokens}
	}
	t.call.RecordUsage(answer.Model, used)
}

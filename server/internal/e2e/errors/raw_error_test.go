package errors_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// addServerHeaders adds the headers that the server adds to a response.
func addServerHeaders(header http.Header) {
	header.Add("Via", "1.1 openai-connect")
	if strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		header.Set("X-Accel-Buffering", "no")
	}
}

// checkRaw compares a response through the server with the upstream's response:
// the status, the header, the trailer, the body, and truncation of the body.
func checkRaw(t *testing.T, scripts map[string]e2etest.Script) {
	t.Helper()
	url := e2etest.ServeScripts(t, scripts)
	front := e2etest.StartServer(t, server.Config{Upstream: url})
	direct := servertest.HTTPClient(t, false)
	for _, method := range []struct {
		name  string
		http2 bool
	}{{"over HTTP/1.1", false}, {"over HTTP/2", true}} {
		through := servertest.HTTPClient(t, method.http2)
		for _, script := range slices.Sorted(maps.Keys(scripts)) {
			t.Run("raw "+method.name+", "+script, func(t *testing.T) {
				got, want := fetch(t, through, front.URL, script), fetch(t, direct, url, script)
				addServerHeaders(want.header)
				if got.status != want.status {
					t.Errorf("got status %d, want %d", got.status, want.status)
				}
				if !reflect.DeepEqual(got.header, want.header) {
					t.Errorf("got header\n%v\nwant\n%v", got.header, want.header)
				}
				if !reflect.DeepEqual(got.trailer, want.trailer) {
					t.Errorf("got trailer\n%v\nwant\n%v", got.trailer, want.trailer)
				}
				if !bytes.Equal(got.body, want.body) {
					t.Errorf("got body\n%.2000q\nwant\n%.2000q", got.body, want.body)
				}
				if got.truncated != want.truncated {
					t.Errorf("got truncated: %v, want %v", got.truncated, want.truncated)
				}
			})
		}
	}
}

// rawResponse is a response as a raw client receives it.
type rawResponse struct {
	status          int
	header, trailer http.Header
	body            []byte
	truncated       bool
}

func fetch(t *testing.T, client *http.Client, base, script string) rawResponse {
	t.Helper()
	request, err := e2etest.NewRawRequest(e2etest.Context(t), base, script)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return rawResponse{response.StatusCode, response.Header, response.Trailer, body, err != nil}
}

// A raw client receives a truncated response unchanged. The tests of typed errors also
// compare complete error responses.
func TestRawError_IsForwardedUnchanged(t *testing.T) {
	t.Parallel()
	const body = `{"error": {"message":"slow down",  "type":"rate_limit_error", "param":null,"code":"x"}}` + "\n"
	checkRaw(t, map[string]e2etest.Script{
		"every header": e2etest.Reply(429, body, e2etest.JSONType, "X-Request-Id: req_1", "Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: true",
			"X-Ratelimit-Remaining-Requests: 0", "Server: cloudflare", "Set-Cookie: a=b", "Set-Cookie: c=d", "Date: Wed, 21 Oct 2015 07:28:00 GMT"),
		"no content type":               e2etest.Reply(500, body),
		"large error":                   e2etest.Reply(500, `{"error":"`+strings.Repeat("é", 100_000)+`"}`, e2etest.JSONType),
		"malformed JSON":                e2etest.Reply(200, `{"choices":[`, e2etest.JSONType),
		"unfinished stream":             e2etest.Stream(e2etest.Chunk(0, "a")),
		"unfinished event":              e2etest.Stream(e2etest.Chunk(0, "a"), "data: {"),
		"truncated unary response":      e2etest.TruncatedReply(10, 200, e2etest.Completion("Hello!"), e2etest.JSONType),
		"truncated error":               e2etest.TruncatedReply(10, 500, body, e2etest.JSONType),
		"truncated stream":              e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")),
		"stream truncated in an event":  e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")[:30]),
		"stream truncated after [DONE]": e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.DoneEvent),
		"stream truncated at its start": func(conn *upstreamtest.Conn) { e2etest.BeginStream(conn); conn.Close() },
	})
}

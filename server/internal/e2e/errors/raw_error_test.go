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

// addedByTheServer are the headers that the server adds to an answer.
func addedByTheServer(header http.Header) {
	header.Add("Via", "1.1 openai-connect")
	if strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		header.Set("X-Accel-Buffering", "no")
	}
}

// checkRaw compares what a client gets through the server with what it gets
// without, byte by byte: the status, the header, and the body, and whether that
// broke off.
func checkRaw(t *testing.T, scripts map[string]e2etest.Script) {
	t.Helper()
	url := e2etest.ServeScripts(t, scripts)
	front := e2etest.StartServer(t, server.Config{Upstream: url})
	direct := servertest.HTTPClient(t, false)
	for _, way := range []struct {
		name  string
		http2 bool
	}{{"over HTTP/1.1", false}, {"over HTTP/2", true}} {
		through := servertest.HTTPClient(t, way.http2)
		for _, script := range slices.Sorted(maps.Keys(scripts)) {
			t.Run("raw "+way.name+", "+script, func(t *testing.T) {
				got, want := fetch(t, through, front.URL, script), fetch(t, direct, url, script)
				addedByTheServer(want.header)
				if got.status != want.status {
					t.Errorf("the status is %d, not %d", got.status, want.status)
				}
				if !reflect.DeepEqual(got.header, want.header) {
					t.Errorf("the header is\n%v, not\n%v", got.header, want.header)
				}
				if !reflect.DeepEqual(got.trailer, want.trailer) {
					t.Errorf("the trailer is\n%v, not\n%v", got.trailer, want.trailer)
				}
				if !bytes.Equal(got.body, want.body) {
					t.Errorf("the body is\n%.2000q, not\n%.2000q", got.body, want.body)
				}
				if got.broken != want.broken {
					t.Errorf("the body is broken: %v, and not %v", got.broken, want.broken)
				}
			})
		}
	}
}

// fetched is an answer as a raw client gets it.
type fetched struct {
	status          int
	header, trailer http.Header
	body            []byte
	broken          bool
}

func fetch(t *testing.T, client *http.Client, base, script string) fetched {
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
	return fetched{response.StatusCode, response.Header, response.Trailer, body, err != nil}
}

// Raw, a broken answer is a broken answer: what a client sees through the server
// is what it sees without. Errors that are whole, the tests of typed errors
// compare too.
func TestRawAnswersBreakAsTheUpstreams(t *testing.T) {
	t.Parallel()
	const body = `{"error": {"message":"slow down",  "type":"rate_limit_error", "param":null,"code":"x"}}` + "\n"
	checkRaw(t, map[string]e2etest.Script{
		"every header": e2etest.Reply(429, body, e2etest.JSONType, "X-Request-Id: req_1", "Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: true",
			"X-Ratelimit-Remaining-Requests: 0", "Server: cloudflare", "Set-Cookie: a=b", "Set-Cookie: c=d", "Date: Wed, 21 Oct 2015 07:28:00 GMT"),
		"no content type":           e2etest.Reply(500, body),
		"a large error":             e2etest.Reply(500, `{"error":"`+strings.Repeat("é", 100_000)+`"}`, e2etest.JSONType),
		"malformed JSON":            e2etest.Reply(200, `{"choices":[`, e2etest.JSONType),
		"an unfinished stream":      e2etest.Stream(e2etest.Chunk(0, "a")),
		"an unfinished event":       e2etest.Stream(e2etest.Chunk(0, "a"), "data: {"),
		"a reply that breaks off":   e2etest.TruncatedReply(10, 200, e2etest.Completion("Hello!"), e2etest.JSONType),
		"an error that breaks off":  e2etest.TruncatedReply(10, 500, body, e2etest.JSONType),
		"a stream that breaks off":  e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")),
		"a stream cut in an event":  e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")[:30]),
		"a stream cut behind done":  e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.DoneEvent),
		"a stream cut at its start": func(conn *upstreamtest.Conn) { e2etest.BeginStream(conn); conn.Close() },
	})
}

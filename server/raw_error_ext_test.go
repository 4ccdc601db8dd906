package server_test

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
func checkRaw(t *testing.T, scripts map[string]script) {
	t.Helper()
	url := serveScripts(t, scripts)
	front := startFront(t, server.Config{Upstream: url})
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
	request, err := rawRequest(within(t), base, script)
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
	checkRaw(t, map[string]script{
		"every header": reply(429, body, jsonType, "X-Request-Id: req_1", "Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: true",
			"X-Ratelimit-Remaining-Requests: 0", "Server: cloudflare", "Set-Cookie: a=b", "Set-Cookie: c=d", "Date: Wed, 21 Oct 2015 07:28:00 GMT"),
		"no content type":           reply(500, body),
		"a large error":             reply(500, `{"error":"`+strings.Repeat("é", 100_000)+`"}`, jsonType),
		"malformed JSON":            reply(200, `{"choices":[`, jsonType),
		"an unfinished stream":      stream(chunk(0, "a")),
		"an unfinished event":       stream(chunk(0, "a"), "data: {"),
		"a reply that breaks off":   replyCut(10, 200, completion("Hello!"), jsonType),
		"an error that breaks off":  replyCut(10, 500, body, jsonType),
		"a stream that breaks off":  streamCut(chunk(0, "a"), chunk(0, "b")),
		"a stream cut in an event":  streamCut(chunk(0, "a"), chunk(0, "b")[:30]),
		"a stream cut behind done":  streamCut(chunk(0, "a"), done),
		"a stream cut at its start": func(conn *upstreamtest.Conn) { beginStream(conn); conn.Close() },
	})
}

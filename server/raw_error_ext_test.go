package server_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Raw, an error is the upstream's byte by byte, and a broken answer is a broken
// answer: what a client sees through the server is what it sees without.
func TestRawErrorsAreTheUpstreams(t *testing.T) {
	t.Parallel()
	const body = `{"error": {"message":"slow down",  "type":"rate_limit_error", "param":null,"code":"x"}}` + "\n"
	scripts := map[string]script{
		"a redirect":                reply(307, "", "Location: https://elsewhere.example/"),
		"an HTML page":              reply(502, "<html><title>Bad Gateway</title></html>", htmlType),
		"gzip":                      reply(500, gzipped(body), jsonType, "Content-Encoding: gzip"),
		"no content type":           reply(500, body),
		"no body":                   reply(503, ""),
		"no content":                reply(204, ""),
		"a large error":             reply(500, `{"error":"`+strings.Repeat("é", 100_000)+`"}`, jsonType),
		"an error of status 200":    reply(200, body, jsonType),
		"an empty body":             reply(200, "", jsonType),
		"malformed JSON":            reply(200, `{"choices":[`, jsonType),
		"an error event":            stream(chunk(0, "a"), "event: error\n"+event(body), done),
		"an unfinished stream":      stream(chunk(0, "a")),
		"an unfinished event":       stream(chunk(0, "a"), "data: {"),
		"an empty stream":           stream(),
		"a reply that breaks off":   replyCut(10, 200, completion("Hello!"), jsonType),
		"an error that breaks off":  replyCut(10, 500, body, jsonType),
		"a stream that breaks off":  streamCut(chunk(0, "a"), chunk(0, "b")),
		"a stream cut in an event":  streamCut(chunk(0, "a"), chunk(0, "b")[:30]),
		"a stream cut behind done":  streamCut(chunk(0, "a"), done),
		"a stream cut at its start": func(conn *upstreamtest.Conn) { beginStream(conn); conn.Close() },
	}
	for _, status := range []int{400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 418, 422, 429, 499, 500, 501, 502, 503, 504, 520, 529} {
		scripts["the status "+strconv.Itoa(status)] = reply(status, body, jsonType,
			"X-Request-Id: req_1", "Retry-After: 7", "Retry-After-Ms: 7000", "X-Ratelimit-Remaining-Requests: 0", "Server: cloudflare", "Set-Cookie: a=b")
	}
	url := serveScripts(t, scripts)
	front := startFront(t, server.Config{Upstream: url})
	type answer struct {
		status int
		header http.Header
		body   []byte
		broken bool
	}
	fetch := func(client *http.Client, base, script string) answer {
		request, err := rawRequest(within(t), base, script)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		header := maps.Clone(response.Header)
		for _, added := range []string{"Via", "X-Accel-Buffering"} {
			delete(header, added)
		}
		return answer{response.StatusCode, header, text, err != nil}
	}
	direct := servertest.HTTPClient(t, false)
	for _, way := range []struct {
		name  string
		http2 bool
	}{{"over HTTP/1.1", false}, {"over HTTP/2", true}} {
		through := servertest.HTTPClient(t, way.http2)
		for _, script := range slices.Sorted(maps.Keys(scripts)) {
			t.Run(way.name+", "+script, func(t *testing.T) {
				got, want := fetch(through, front.URL, script), fetch(direct, url, script)
				if got.status != want.status {
					t.Errorf("the status is %d, not %d", got.status, want.status)
				}
				if !reflect.DeepEqual(got.header, want.header) {
					t.Errorf("the header is\n%v, not\n%v", got.header, want.header)
				}
				if !bytes.Equal(got.body, want.body) {
					t.Errorf("the body is\n%q, not\n%q", got.body, want.body)
				}
				if got.broken != want.broken {
					t.Errorf("the body is broken: %v, and not %v", got.broken, want.broken)
				}
			})
		}
	}
}

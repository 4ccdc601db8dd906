package smuggling_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// An HTTP/2 request that would mean something else in HTTP/1.1 is rejected.
func TestSmuggling_HTTP2(t *testing.T) {
	t.Parallel()
	with := func(fields ...e2etest.HeaderField) []e2etest.HeaderField {
		return e2etest.RequestFields("POST", "/v1/x", fields...)
	}
	split := "x\r\n" + e2etest.Smuggled + ": y"
	type row struct {
		name   string
		fields []e2etest.HeaderField
		body   []string
		// bodies are the bodies of the requests that the upstream receives, or nil if
		// the request is rejected.
		bodies []string
	}
	rows := []row{
		{"a line end in the path", e2etest.RequestFields("GET", "/v1/x HTTP/1.1\r\n"+e2etest.Smuggled+": y\r\n\r\n"), nil, nil},
		{"a space in the path", e2etest.RequestFields("GET", "/v1/x "+e2etest.Smuggled), nil, nil},
		{"a relative path", e2etest.RequestFields("GET", e2etest.Smuggled), nil, nil},
		{"a line end in the method", e2etest.RequestFields("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "/v1/x"), nil, nil},
		{"a space in the method", e2etest.RequestFields("GET /v1/"+e2etest.Smuggled, "/v1/x"), nil, nil},
		{"an empty path", e2etest.RequestFields("GET", ""), nil, nil},
		{"an empty method", e2etest.RequestFields("", "/v1/x"), nil, nil},
		{"a line end in the authority", []e2etest.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: split}, {Name: ":path", Value: "/v1/x"}}, nil, nil},
		{"another scheme", []e2etest.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http://x/\r\n"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: "/v1/x"}}, nil, nil},
		{"two paths", with(e2etest.HeaderField{Name: ":path", Value: "/v1/" + e2etest.Smuggled}), nil, nil},
		{"two methods", with(e2etest.HeaderField{Name: ":method", Value: "GET"}), nil, nil},
		{"a pseudo-header field after a field", with(e2etest.HeaderField{Name: "a", Value: "b"}, e2etest.HeaderField{Name: ":authority", Value: "y"}), nil, nil},
		{"an unknown pseudo-header field", with(e2etest.HeaderField{Name: ":" + e2etest.Smuggled, Value: "y"}), nil, nil},
		{"a :status", with(e2etest.HeaderField{Name: ":status", Value: "200"}), nil, nil},
		{"an unexpected :protocol", with(e2etest.HeaderField{Name: ":protocol", Value: "websocket"}), nil, nil},
		{"CONNECT", []e2etest.HeaderField{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "evil.example:443"}}, nil, nil},

		{"a line end in a value", with(e2etest.HeaderField{Name: "a", Value: split}), nil, nil},
		{"a bare LF in a value", with(e2etest.HeaderField{Name: "a", Value: "x\n" + e2etest.Smuggled + ": y"}), nil, nil},
		{"a bare CR in a value", with(e2etest.HeaderField{Name: "a", Value: "x\r" + e2etest.Smuggled + ": y"}), nil, nil},
		{"a NUL in a value", with(e2etest.HeaderField{Name: "a", Value: "x\x00"}), nil, nil},
		{"a line end in a name", with(e2etest.HeaderField{Name: "a\r\n" + e2etest.Smuggled, Value: "y"}), nil, nil},
		{"a colon in a name", with(e2etest.HeaderField{Name: e2etest.Smuggled + ": y", Value: "z"}), nil, nil},
		{"a space in a name", with(e2etest.HeaderField{Name: "transfer-encoding ", Value: "chunked"}), nil, nil},
		{"an empty name", with(e2etest.HeaderField{Name: "", Value: "y"}), nil, nil},
		{"capitals in a name", with(e2etest.HeaderField{Name: "Transfer-Encoding", Value: "chunked"}), nil, nil},

		{"a coding", with(e2etest.HeaderField{Name: "transfer-encoding", Value: "chunked"}), []string{"0\r\n\r\n" + next}, nil},
		{"a connection", with(e2etest.HeaderField{Name: "connection", Value: "content-length"}), []string{"hello"}, nil},
		{"keep-alive", with(e2etest.HeaderField{Name: "keep-alive", Value: "timeout=5"}), nil, nil},
		{"proxy-connection", with(e2etest.HeaderField{Name: "proxy-connection", Value: "keep-alive"}), nil, nil},
		{"an upgrade", with(e2etest.HeaderField{Name: "upgrade", Value: "h2c"}), nil, nil},
		{"te with more than trailers", with(e2etest.HeaderField{Name: "te", Value: "chunked"}), nil, nil},

		{"a length above the body's", with(e2etest.HeaderField{Name: "content-length", Value: "9"}), []string{"hello"}, nil},
		{"a length below the body's", with(e2etest.HeaderField{Name: "content-length", Value: "2"}), []string{next}, nil},
		{"a length of zero and a body", with(e2etest.HeaderField{Name: "content-length", Value: "0"}), []string{next}, nil},
		{"a length and no body", with(e2etest.HeaderField{Name: "content-length", Value: "5"}), nil, nil},
		{"two lengths", with(e2etest.HeaderField{Name: "content-length", Value: "5"}, e2etest.HeaderField{Name: "content-length", Value: "0"}), []string{"hello"}, nil},

		{"te with trailers", with(e2etest.HeaderField{Name: "te", Value: "trailers"}), []string{"hello"}, []string{"hello"}},
		{"a host that differs from the authority", with(e2etest.HeaderField{Name: "host", Value: "evil.example"}), []string{"hello"}, []string{"hello"}},
		{"a body that looks like a request", with(), []string{next}, []string{next}},
		{"a body in DATA frames that look like chunks", with(), []string{"0\r\n\r\n", next}, []string{"0\r\n\r\n" + next}},
	}
	for _, length := range []string{"+5", "-5", "5, 5", "0x5", " ", "", "18446744073709551621", "5\r\nx: y"} {
		rows = append(rows, row{fmt.Sprintf("length %q", length), with(e2etest.HeaderField{Name: "content-length", Value: length}), []string{"hello"}, nil})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			upstream := e2etest.StartStrictUpstream(t)
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			client := e2etest.DialHTTP2(t, front)
			if err := client.Send(1, row.fields, row.body...); err != nil {
				t.Fatal(err)
			}
			outcome := client.Outcome(1)
			if outcome != "closed" { // The connection is still in sync.
				if err := client.Send(3, e2etest.RequestFields("GET", e2etest.LastTarget)); err != nil {
					t.Fatal(err)
				}
				got := client.Outcome(3)
				if refused := row.bodies == nil && got == "closed"; got != "200" && !refused {
					t.Errorf("next request: got outcome %s", got)
				}
			}
			var bodies []string
			for _, request := range upstream.Take() {
				if request.Target() == e2etest.LastTarget {
					continue
				}
				if strings.Contains(request.Value("Host"), "evil") {
					t.Errorf("got Host %s", request.Value("Host"))
				}
				bodies = append(bodies, request.Body)
			}
			if !slices.Equal(bodies, row.bodies) {
				t.Errorf("got request bodies %q at the upstream, want %q; outcome %s", bodies, row.bodies, outcome)
			}
			if (outcome == "200") != (row.bodies != nil) {
				t.Errorf("got outcome %s", outcome)
			}
		})
	}
}

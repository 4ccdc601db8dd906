package transcode

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// FuzzHeaders maps a header in both directions. It is given as lines; lines that net/http
// would reject are ignored.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"authorization: Bearer key\nx-tag: one\nX-Tag: two, three\nx-empty:",
		"host: a\ncontent-type: a/b\naccept: */*\nte: trailers\ngrpc-timeout: 1S\nconnect-protocol-version: 1",
		"connection: x-private, keep-alive\nx-private: 1\nkeep-alive: 1\nproxy-connection: 1\nupgrade: h2c",
		"Connection: close\nconnection: X-A,,X-B \nx-a: 1\nX-B: 2\nx-a-b: 3",
		"cookie: a=b\norigin: https://a\nsec-fetch-mode: cors\nx-forwarded-for: ::1\nforwarded: for=a\nvia: 1.1 a",
		"x-key-bin: AP8\nx-text-bin: not base64!\nx-padded-bin: AA==\nX-Both-Bin: AP8,AP8\n-bin: \xff\nx-bin:",
		"x-name: caf\u00e9\nx-latin: \xe9\x80\xff\nx-tab: a\tb",
		"retry-after: 1\nx-request-id: 1\nset-cookie: a\nserver: b\ndate: c\naccess-control-allow-origin: *\naccept-encoding: br",
		"content-: 1\nsec-: 1\ngrpc-: 1\nconnect: 1\n!#$%&'*+-.^_`|~: 1\nx--y: 1\nACCEPTANCE: 1\nconnection: connection",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header := make(http.Header)
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, ":")
			value = textproto.TrimString(value)
			if httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value) {
				header.Add(name, value)
			}
		}
		before := header.Clone()
		up := requestHeader(metadataOf(header), &operation{Operation: new(restjson.Operation)})
		checkMapping(t, header, up, stopsGoingUp, func(_, value string) string { return value }, "Accept", "Accept-Encoding")

		metadata := new(connect.Header)
		responseMetadata(metadata, header)
		down := make(http.Header)
		maps.Insert(down, metadata.All())
		checkMapping(t, header, down, stopsComingDown, func(name, value string) string {
			if _, err := connect.DecodeBinaryHeader(value); strings.HasSuffix(name, "-Bin") && err != nil {
				return connect.EncodeBinaryHeader([]byte(value))
			}
			return value
		})
		if differing(before, header) != "" {
			t.Errorf("the header %q became %q", before, header)
		}
	})
}

func metadataOf(header http.Header) *connect.Header {
	metadata := new(connect.Header)
	for name, values := range header {
		metadata.SetValues(name, values)
	}
	return metadata
}

// checkMapping checks that every field of a header is either blocked or mapped with all
// values in order, and that only the added ones are new. Mapped fields are valid HTTP.
func checkMapping(
	t *testing.T, header, mapped http.Header, stops func(string) bool, value func(name, value string) string, added ...string,
) {
	t.Helper()
	want := make(http.Header)
	for name, values := range header {
		if stops(strings.ToLower(name)) || named(header["Connection"], name) {
			continue
		}
		for _, v := range values {
			want.Add(name, value(name, v))
		}
	}
	for _, name := range added {
		if want[name] != nil {
			t.Errorf("%s would pass", name)
		}
		want[name] = mapped[name]
	}
	if name := differing(mapped, want); name != "" {
		t.Errorf("%q is %q, not %q", name, mapped[name], want[name])
	}
	for name, values := range mapped {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, invalid) {
			t.Errorf("%q with the values %q is not valid HTTP", name, values)
		}
	}
}

func invalid(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }

// differing returns the name of a field that differs between two headers.
func differing(a, b http.Header) string {
	for _, pair := range [2][2]http.Header{{a, b}, {b, a}} {
		for name, values := range pair[0] {
			if !slices.Equal(values, pair[1][name]) {
				return name
			}
		}
	}
	return ""
}

// named reports whether a Connection header names a field. Its elements are separated by
// commas only.
func named(connection []string, name string) bool {
	for _, value := range connection {
		for element := range strings.SplitSeq(value, ",") {
			if http.CanonicalHeaderKey(strings.Trim(element, " \t")) == name {
				return true
			}
		}
	}
	return false
}

// The table, written independently. Both expect lower case.
func stopsGoingUp(name string) bool {
	switch name {
	case "host", "expect", "x-grpc-web", "x-user-agent", "cookie", "origin", "referer", "forwarded", "via", "x-real-ip":
		return true
	}
	return ofOneHop(name) || beginsWith(name, "content-", "accept", "connect-", "grpc-", "sec-", "x-forwarded-")
}

func stopsComingDown(name string) bool {
	switch name {
	case "set-cookie", "alt-svc", "server", "date", "strict-transport-security", "accept-encoding":
		return true
	}
	return ofOneHop(name) || beginsWith(name, "content-", "access-control-", "connect-", "grpc-")
}

func ofOneHop(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade":
		return true
	}
	return false
}

func beginsWith(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

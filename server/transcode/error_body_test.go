package transcode

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParseError checks that an error found in any body has content.
func FuzzParseError(f *testing.F) {
	for _, seed := range []string{
		`{"error":{"message":"no","type":"t","param":null,"code":"c"}}`, `{"error":{}}`, `{"error":"no"}`, `{"error":null}`, `{"error":[]}`,
		`{"object":"error","message":"no","code":400}`, `{"message":"no"}`, `{"message":{}}`, `{"detail":"no"}`, `{"detail":[{"msg":"no"}]}`,
		`{"detail":null}`, `{"ERROR":"no"}`, `{}`, `[]`, ``, `{`, "<html>", `{"error":"\ud800"}`, `{"detail":"\ud800"}`, `{"error":"x","error":{}}`,
		`[{"error":{"message":"no"}}]`, `[{},{}]`, `[[]]`, `{"object":"error","message":{"detail":[]}}`, `{"object":"error","message":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		detail := parseError(body)
		if detail == nil {
			return
		}
		response := &http.Response{StatusCode: http.StatusTeapot, Header: make(http.Header)}
		err := upstreamError(errorCode(detail), response, detail, body)
		if err.Message() == "" || !utf8.ValidString(err.Message()) || len(err.Details()) < 1 || len(err.Details()) > 2 {
			t.Errorf("%q became %v with %d details", body, err, len(err.Details()))
		}
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		media, coding, body string
		want                string
	}{
		{"text/html", "", "", "an empty body"},
		{"text/html; charset=utf-8", "", "<p>", "an HTML page"},
		{"TEXT/HTML", "", "<TITLE\n lang=en>\n Bad\n\tGateway </TITLE>", "an HTML page (“Bad Gateway”)"},
		{"text/html", "", "<title>never ends", "an HTML page"},
		{"application/json", "", " \n<!DOCTYPE html><title></title>", "an HTML page"},
		{"", "", "<HTML><head>", "an HTML page"},
		{"application/json", "", "{}", "JSON"},
		{"application/problem+json; charset=utf-8", "", "{}", "JSON"},
		{"text/plain", "", "x", "text/plain"},
		{"", "", "x", "a body without a content type"},
		{"no type at all", "", "x", "a body without a content type"},
		{"application/json", "gzip", "x", "a body in the encoding gzip, which was not requested"},
		{"application/json", "Identity", "x", "JSON"},
	} {
		response := &http.Response{Header: http.Header{"Content-Type": {test.media}, "Content-Encoding": {test.coding}}}
		if got := describe(response, []byte(test.body)); got != test.want {
			t.Errorf("%q in %q, %.20q: it is %q, not %q", test.media, test.coding, test.body, got, test.want)
		}
	}
	endless := []byte("<title>" + strings.Repeat("é", 10_000) + "</title>")
	if got := describe(&http.Response{Header: http.Header{"Content-Type": {"text/html"}}}, endless); len(got) > 2*maxExcerpt {
		t.Errorf("a title of %d bytes is told in %d", len(endless), len(got))
	}
}

package e2etest

import (
	"bytes"
	"net/http"
	"testing"
)

// CheckRequestHeader checks that a request came with these fields and a User-Agent,
// and with no others.
func CheckRequestHeader(t *testing.T, got, want http.Header) {
	t.Helper()
	got, want = got.Clone(), want.Clone()
	if agent := got.Get("User-Agent"); agent == "" || len(got["User-Agent"]) > 1 {
		t.Errorf("the user agent is %q", got["User-Agent"])
	}
	got.Del("User-Agent")
	var gotText, wantText bytes.Buffer
	_ = got.Write(&gotText)
	_ = want.Write(&wantText)
	if gotText.String() != wantText.String() {
		t.Errorf("the header is\n%s\nnot\n%s", &gotText, &wantText)
	}
}

package e2etest

import (
	"bytes"
	"net/http"
	"testing"
)

// CheckRequestHeader checks that a request has the headers in want, a User-Agent,
// and no others.
func CheckRequestHeader(t *testing.T, got, want http.Header) {
	t.Helper()
	got, want = got.Clone(), want.Clone()
	if agent := got.Get("User-Agent"); agent == "" || len(got["User-Agent"]) > 1 {
		t.Errorf("got User-Agent %q, want one value", got["User-Agent"])
	}
	got.Del("User-Agent")
	var gotText, wantText bytes.Buffer
	_ = got.Write(&gotText)
	_ = want.Write(&wantText)
	if gotText.String() != wantText.String() {
		t.Errorf("got headers\n%s\nwant\n%s", &gotText, &wantText)
	}
}

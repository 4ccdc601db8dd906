package apierror_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/upstream"
)

var overloaded = &apierror.Error{
	Status: http.StatusServiceUnavailable, Type: apierror.ServerError, Code: apierror.CodeOverloaded, Message: "try \"later\"",
	Header: http.Header{"X-A": {"b"}}, RetryAfter: 3 * time.Second,
}

const overloadedBody = `{"error":{"message":"try \"later\"","type":"server_error","param":null,"code":"server_overloaded"}}`

func TestAPIError_WriteTo(t *testing.T) {
	w := httptest.NewRecorder()
	overloaded.WriteTo(w)
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != overloadedBody {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Retry-After": "3", "X-A": "b", "WWW-Authenticate": ""} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	w = httptest.NewRecorder()
	(&apierror.Error{Status: http.StatusUnauthorized}).WriteTo(w)
	if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate is %q", got)
	}
}

func TestAPIError_Response(t *testing.T) {
	for _, test := range []struct {
		name   string
		length int64
		header http.Header
		unread int
	}{
		{"a short body is read", 4, nil, 0},
		{"a body of unknown length isn't", -1, nil, 4},
		{"a long body isn't", 1 << 20, nil, 4},
		{"a body that the client has not sent isn't", 4, http.Header{"Expect": {"100-continue"}}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := strings.NewReader("body")
			resp := overloaded.Response(&upstream.Request{Method: http.MethodPost, Header: test.header, Body: body, ContentLength: test.length})
			text, err := io.ReadAll(resp.Body)
			if err != nil || string(text) != overloadedBody || resp.ContentLength != int64(len(text)) {
				t.Errorf("got %s, %v, length %d", text, err, resp.ContentLength)
			}
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "3" || resp.Header.Get("Date") == "" {
				t.Errorf("got %d %v", resp.StatusCode, resp.Header)
			}
			if body.Len() != test.unread {
				t.Errorf("%d bytes of the body are unread, want %d", body.Len(), test.unread)
			}
		})
	}
}

func TestAPIError_Connect(t *testing.T) {
	for status, code := range map[int]connect.Code{
		http.StatusUnauthorized: connect.CodeUnauthenticated, http.StatusForbidden: connect.CodePermissionDenied,
		http.StatusRequestURITooLong: connect.CodeResourceExhausted, http.StatusServiceUnavailable: connect.CodeUnavailable,
	} {
		e := (&apierror.Error{Status: status, Message: "message"}).Connect()
		if e.Code() != code || e.Message() != "message" || len(e.Details()) != 1 {
			t.Errorf("status %d: got %v with %d details", status, e, len(e.Details()))
		}
	}
	if e := overloaded.Connect(); len(e.Details()) != 2 {
		t.Errorf("%d details, want the error and RetryInfo", len(e.Details()))
	}
}

func TestAPIError_ForLimit(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		code  string
		retry bool
	}{
		{"a body larger than the budget", &memory.LimitError{Limit: 1}, apierror.CodeRequestTooLarge, false},
		{"a budget in use", &memory.LimitError{Limit: 1, Temporary: true}, apierror.CodeOverloaded, true},
		{"a slow client", &memory.LimitError{Limit: 1, Temporary: true, Slow: true}, apierror.CodeRequestTimeout, true},
	} {
		e, ok := apierror.ForLimit(test.err)
		if !ok || e.Code != test.code || (e.RetryAfter > 0) != test.retry || e.Message != test.err.Error() {
			t.Errorf("%s: got %+v, %t", test.name, e, ok)
		}
	}
	if e, ok := apierror.ForLimit(io.EOF); ok {
		t.Errorf("got %v for another error", e)
	}
}

package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

// TestSandboxFaults_BreakStream checks the body and how it ends.
func TestSandboxFaults_BreakStream(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	body := userRequest("Hi", `"stream":true`)
	whole := create(t, server, body).body
	first, _, _ := strings.Cut(whole, "\n\n")
	for name, row := range map[string]struct {
		headers []string
		want    string // the body
		broken  bool
	}{
		"abort after the headers":                {[]string{"x-sandbox-fault", "abort", "x-sandbox-after", "0"}, "", true},
		"abort after a chunk":                    {[]string{"x-sandbox-fault", "abort", "x-sandbox-after", "1"}, first + "\n\n", true},
		"abort before [DONE]":                    {[]string{"x-sandbox-fault", "abort"}, strings.TrimSuffix(whole, "data: [DONE]\n\n"), true},
		"abort after more chunks than there are": {[]string{"x-sandbox-fault", "abort", "x-sandbox-after", "999"}, strings.TrimSuffix(whole, "data: [DONE]\n\n"), true},
		"cut in the first chunk":                 {[]string{"x-sandbox-fault", "cut", "x-sandbox-after", "0"}, (first + "\n\n")[:(len(first)+2)/2], true},
		"cut in [DONE]":                          {[]string{"x-sandbox-fault", "cut"}, strings.TrimSuffix(whole, "[DONE]\n\n") + "[", true},
		"end without [DONE]":                     {[]string{"x-sandbox-fault", "end"}, strings.TrimSuffix(whole, "data: [DONE]\n\n"), false},
		"end after a chunk":                      {[]string{"x-sandbox-fault", "end", "x-sandbox-after", "1"}, first + "\n\n", false},
		"end before any chunk":                   {[]string{"x-sandbox-fault", "end", "x-sandbox-after", "0"}, "", false},
		"a malformed chunk":                      {[]string{"x-sandbox-fault", "malformed", "x-sandbox-after", "0"}, "data: " + first[6:][:(len(first)-6)/2] + whole[len(first):], false},
		"an error is the last event":             {[]string{"x-sandbox-fault", "error", "x-sandbox-after", "1"}, first + "\n\n" + `data: {"error":{"message":"The sandbox was asked to fail with status 500.","type":"server_error","param":null,"code":null}}` + "\n\n", false},
		"an error with another status":           {[]string{"x-sandbox-fault", "error", "x-sandbox-after", "0", "x-sandbox-status", "429"}, `data: {"error":{"message":"The sandbox was asked to fail with status 429.","type":"requests","param":null,"code":"rate_limit_exceeded"}}` + "\n\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, body, row.headers...)
			if r.status != http.StatusOK || r.body != row.want {
				t.Errorf("status %d, got\n%s\nwant\n%s", r.status, r.body, row.want)
			}
			if broken := errors.Is(r.err, io.ErrUnexpectedEOF); broken != row.broken {
				t.Errorf("the body ended with %v", r.err)
			}
		})
	}
}

func TestSandboxFaults_BreakUnaryResponse(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	unary, streamed := userRequest("Hi"), userRequest("Hi", `"stream":true`)
	whole := create(t, server, unary).body
	half := whole[:(len(whole)-1)/2]
	for name, row := range map[string]struct {
		body    string
		headers []string
		status  int
		media   string
		want    string
		broken  bool
	}{
		"an empty body":                     {unary, []string{"x-sandbox-fault", "empty"}, 200, "", "", false},
		"an empty body instead of a stream": {streamed, []string{"x-sandbox-fault", "empty"}, 200, "", "", false},
		"truncated JSON":                    {unary, []string{"x-sandbox-fault", "malformed"}, 200, "application/json", half + "\n", false},
		"an error with status 200":          {unary, []string{"x-sandbox-fault", "error", "x-sandbox-status", "503"}, 200, "application/json", `{"error":{"message":"The sandbox was asked to fail with status 503.","type":"server_error","param":null,"code":null}}` + "\n", false},
		"a closed connection":               {unary, []string{"x-sandbox-fault", "abort"}, 200, "application/json", half, true},
		"a cut":                             {unary, []string{"x-sandbox-fault", "cut"}, 200, "application/json", half, true},
		"JSON instead of a stream":          {streamed, []string{"x-sandbox-fault", "json"}, 200, "application/json", whole, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body, row.headers...)
			if r.status != row.status || r.body != row.want || r.header.Get("Content-Type") != row.media {
				t.Errorf("status %d, %s, got\n%s\nwant\n%s", r.status, r.header.Get("Content-Type"), r.body, row.want)
			}
			if broken := errors.Is(r.err, io.ErrUnexpectedEOF); broken != row.broken {
				t.Errorf("the body ended with %v", r.err)
			}
		})
	}
}

func TestSandboxFaults_SendHTMLPage(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for status, headers := range map[int][]string{
		502: {"x-sandbox-fault", "html"},
		403: {"x-sandbox-fault", "html", "x-sandbox-status", "403"},
		503: {"x-sandbox-fault", "html", "x-sandbox-status", "503"},
	} {
		for _, r := range []fullResponse{
			create(t, server, userRequest("Hi"), headers...),
			send(t, server, http.MethodGet, "/v1/models", "", headers...),
		} {
			if r.status != status || r.header.Get("Content-Type") != "text/html; charset=utf-8" ||
				!strings.HasPrefix(r.body, "<!DOCTYPE html>") {
				t.Errorf("status %d, %s: %s", r.status, r.header.Get("Content-Type"), r.body)
			}
		}
	}
}

func TestSandboxFaults_CloseConnectionBeforeHeaders(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	request := newRequest(t, server, http.MethodPost, "/v1/chat/completions", userRequest("Hi"), "x-sandbox-fault", "close")
	response, err := server.Client().Do(request)
	if err == nil {
		response.Body.Close()
		t.Fatalf("status %d", response.StatusCode)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the request failed with %v", err)
	}
}

func TestSandboxControls_RejectInvalidValues(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct {
		headers []string
		param   string
	}{
		"an unknown control":                      {[]string{"x-sandbox-colour", "red"}, "x-sandbox-colour"},
		"a delay without a unit":                  {[]string{"x-sandbox-delay", "5"}, "x-sandbox-delay"},
		"a negative delay":                        {[]string{"x-sandbox-chunk-delay", "-1s"}, "x-sandbox-chunk-delay"},
		"a success status":                        {[]string{"x-sandbox-status", "200"}, "x-sandbox-status"},
		"an invalid status":                       {[]string{"x-sandbox-status", "600"}, "x-sandbox-status"},
		"an unknown fault":                        {[]string{"x-sandbox-fault", "fire"}, "x-sandbox-fault"},
		"an empty fault":                          {[]string{"x-sandbox-fault", ""}, "x-sandbox-fault"},
		"a position without a fault":              {[]string{"x-sandbox-after", "1"}, "x-sandbox-after"},
		"a position for a fault without one":      {[]string{"x-sandbox-after", "1", "x-sandbox-fault", "hang"}, "x-sandbox-after"},
		"a negative position":                     {[]string{"x-sandbox-after", "-1", "x-sandbox-fault", "abort"}, "x-sandbox-after"},
		"a status for a fault without one":        {[]string{"x-sandbox-status", "500", "x-sandbox-fault", "hang"}, "x-sandbox-status"},
		"no tokens":                               {[]string{"x-sandbox-tokens", "0"}, "x-sandbox-tokens"},
		"too many tokens":                         {[]string{"x-sandbox-tokens", "1000001"}, "x-sandbox-tokens"},
		"an unknown answer":                       {[]string{"x-sandbox-answer", "yes"}, "x-sandbox-answer"},
		"an invalid value for unknown fields":     {[]string{"x-sandbox-unknown", "true"}, "x-sandbox-unknown"},
		"the end of a stream for a unary request": {[]string{"x-sandbox-fault", "end"}, "x-sandbox-fault"},
		"JSON for a unary request":                {[]string{"x-sandbox-fault", "json"}, "x-sandbox-fault"},
	} {
		r := create(t, server, userRequest("Hi", `"store":true`), row.headers...)
		failed := lookup(t, decode(t, r.body), "error").(map[string]any)
		if r.status != http.StatusBadRequest || failed["param"] != row.param ||
			!strings.Contains(failed["message"].(string), row.param) {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
	many := create(t, server, userRequest("Hi", `"store":true,"n":2`), "x-sandbox-tokens", "600000")
	if many.status != http.StatusBadRequest || lookup(t, decode(t, many.body), "error", "param") != "x-sandbox-tokens" {
		t.Errorf("too many tokens for all choices: status %d: %s", many.status, many.body)
	}
	if list := send(t, server, http.MethodGet, "/v1/chat/completions", ""); !strings.Contains(list.body, `"data":[]`) {
		t.Errorf("a rejected request was stored: %s", list.body)
	}
}

func TestSandboxControls_RejectRepeatedHeader(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	request := newRequest(t, server, http.MethodGet, "/v1/models", "")
	request.Header["X-Sandbox-Delay"] = []string{"1ms", "1ms"}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", response.StatusCode)
	}
}

// TestSandboxControls_DelayResponse uses the fake clock of synctest.
func TestSandboxControls_DelayResponse(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		body    string
		headers [2]string
		want    time.Duration
	}{
		"no delay":                {userRequest("Hi"), [2]string{"x-sandbox-delay", "0"}, 0},
		"before a unary response": {userRequest("Hi"), [2]string{"x-sandbox-delay", "1h30m"}, 90 * time.Minute},
		"before a stream":         {userRequest("Hi", `"stream":true`), [2]string{"x-sandbox-delay", "2s"}, 2 * time.Second},
		"only between chunks":     {userRequest("Hi", `"stream":true,"max_tokens":3`), [2]string{"x-sandbox-chunk-delay", "1s"}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(row.body))
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set(row.headers[0], row.headers[1])
				began := time.Now()
				sandbox.New().ServeHTTP(httptest.NewRecorder(), request)
				if took := time.Since(began); took != row.want {
					t.Errorf("the response took %v, want %v", took, row.want)
				}
			})
		})
	}
}

func TestSandbox_ReportsProcessingTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/models", http.NoBody)
		request.Header.Set("X-Sandbox-Delay", "1234ms")
		recorder := httptest.NewRecorder()
		sandbox.New().ServeHTTP(recorder, request)
		if got := recorder.Header().Get("Openai-Processing-Ms"); got != "1234" {
			t.Errorf("openai-processing-ms is %q", got)
		}
	})
}

// TestSandboxControls_StopWaitingWhenClientDisconnects relies on the server's Close, which
// waits for the handlers. If a handler hangs, the test times out.
func TestSandboxControls_StopWaitingWhenClientDisconnects(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		headers []string
		lines   int // of the body before the wait, negative for no headers
	}{
		"a hang":                   {[]string{"x-sandbox-fault", "hang"}, -1},
		"a delay":                  {[]string{"x-sandbox-delay", "24h"}, -1},
		"a delay between chunks":   {[]string{"x-sandbox-chunk-delay", "24h"}, 1},
		"a stall after the header": {[]string{"x-sandbox-fault", "stall", "x-sandbox-after", "0"}, 0},
		"a stall in the stream":    {[]string{"x-sandbox-fault", "stall", "x-sandbox-after", "3"}, 3},
		"a stall before the end":   {[]string{"x-sandbox-fault", "stall"}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered := make(chan struct{}, 1)
			inner := sandbox.New()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				entered <- struct{}{}
				inner.ServeHTTP(w, r)
			}))
			defer server.Close()
			defer server.Client().CloseIdleConnections()
			ctx, disconnect := context.WithCancel(t.Context())
			defer disconnect()
			request := newRequest(t, server, http.MethodPost, "/v1/chat/completions",
				userRequest("Hi", `"stream":true,"max_tokens":2`), row.headers...).WithContext(ctx)
			if row.lines < 0 {
				go func() {
					<-entered
					disconnect()
				}()
				response, err := server.Client().Do(request)
				if err == nil {
					response.Body.Close()
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the request failed with %v", err)
				}
				return
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewScanner(response.Body)
			for range row.lines {
				if !lines.Scan() || !strings.HasPrefix(lines.Text(), "data: {") || !lines.Scan() {
					t.Fatalf("got %q, %v", lines.Text(), lines.Err())
				}
			}
			disconnect()
		})
	}
}

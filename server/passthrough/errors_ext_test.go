package passthrough_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

const secret = "s3cret"

// Failures before the response are reported in OpenAI's error format, so that SDKs show
// them, and logged, without secrets.
func TestError_HasOpenAIsFormatBeforeTheResponse(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(*testing.T) upstream.Config {
		return func(t *testing.T) upstream.Config {
			t.Helper()
			return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					conn.Send(text)
				}
			})}
		}
	}
	for _, test := range []struct {
		name    string
		config  func(*testing.T) upstream.Config
		status  int
		code    string
		message string
	}{
		{
			name: "the connection is refused",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				listener.Close()
				return upstream.Config{BaseURL: "http://" + listener.Addr().String()}
			},
			status: http.StatusBadGateway, code: "upstream_unreachable",
			message: "could not connect: connect: connection refused",
		},
		{
			name: "the certificate is not trusted",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				return upstream.Config{BaseURL: serveTLS(t, nil).BaseURL}
			},
			status: http.StatusBadGateway, code: "upstream_unreachable",
			message: "TLS handshake failed",
		},
		{
			name: "no response arrives in time",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				return upstream.Config{
					BaseURL:               upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.WaitEnd() }),
					ResponseHeaderTimeout: 20 * time.Millisecond,
				}
			},
			status: http.StatusGatewayTimeout, code: "upstream_timeout",
			message: "no response headers in time: waited 20ms",
		},
		{
			name:   "the upstream closes without a response",
			config: answer(""),
			status: http.StatusBadGateway, code: "upstream_closed",
			message: "connection closed before response headers",
		},
		{
			name:   "the upstream does not speak HTTP",
			config: answer("SSH-2.0-" + secret + "\n\n"),
			status: http.StatusBadGateway, code: "upstream_invalid_response",
			message: "invalid HTTP response",
		},
		{
			name:   "the header is too large",
			config: answer("HTTP/1.1 200 OK\nX-A: " + strings.Repeat("v", 1<<20) + "\n\n"),
			status: http.StatusBadGateway, code: "upstream_invalid_response",
			message: "response headers are too large: the limit is 1048576 bytes",
		},
		{
			name:   "the upstream switches protocols without a request",
			config: answer("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n"),
			status: http.StatusBadGateway, code: "upstream_invalid_response",
			message: "switched to a protocol that was not requested",
		},
	} {
		for _, client := range clients {
			t.Run(test.name+", "+client.name, func(t *testing.T) {
				t.Parallel()
				var log syncBuffer
				config := test.config(t)
				address := forwardWith(t, config, passthrough.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/x?key="+secret, strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+secret)
				resp, err := client.new(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				host := config.BaseURL[strings.Index(config.BaseURL, "//")+2:]
				checkError(t, resp, test.status, "upstream_error", test.code, "upstream "+host+": ", test.message)
				for _, want := range []string{"level=WARN", "method=POST", "path=/v1/x", test.message} {
					if !strings.Contains(log.String(), want) {
						t.Errorf("the log %q does not contain %q", log.String(), want)
					}
				}
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log %q contains a secret", log.String())
				}
			})
		}
	}
}

// checkError checks that resp is an error in OpenAI's format.
func checkError(t *testing.T, resp *http.Response, status int, kind, code string, says ...string) {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if param, ok := body.Error["param"]; !ok || param != nil {
		t.Errorf("got param %v, want null", param)
	}
	if resp.StatusCode != status || body.Error["type"] != kind || body.Error["code"] != code {
		t.Errorf("got %d, type %v, code %v, want %d, %s, %s", resp.StatusCode, body.Error["type"], body.Error["code"], status, kind, code)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got Content-Type %q", got)
	}
	for _, want := range says {
		if message, ok := body.Error["message"].(string); !ok || !strings.Contains(message, want) {
			t.Errorf("the message %q does not contain %q", body.Error["message"], want)
		}
	}
	if bytes.Contains(text, []byte(secret)) {
		t.Errorf("the error %s contains a secret", text)
	}
}

// A truncated body is logged.
func TestError_LogsATruncatedBody(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send(streamHeader)
		}
	})
	var log syncBuffer
	address := forwardWith(t, upstream.Config{BaseURL: url}, passthrough.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	client := connect(t, address)
	client.Send("GET /v1/x?key=" + secret + " HTTP/1.1\nHost: x\n\n")
	client.WaitEnd()
	if text := log.String(); !strings.Contains(text, "path=/v1/x") || !strings.Contains(text, "cut short") || strings.Contains(text, secret) {
		t.Errorf("got log %q", text)
	}
}

// A deadline set by the embedding server is reported as a timeout.
func TestError_ReportsTheDeadlineOfTheRequest(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.WaitEnd() })
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	handler := passthrough.New(up, noOptions)
	address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Millisecond)
		defer cancel()
		handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	resp, err := clients[0].new(t).Post("http://"+address+"/v1/x", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	checkError(t, resp, http.StatusGatewayTimeout, "upstream_error", "upstream_timeout", "deadline")
}

func TestError_RejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(*upstreamtest.Conn) {
		t.Error("the upstream received a request")
	})
	address := forward(t, url)
	for _, test := range []struct {
		name, request string
		status        int
		code, says    string
	}{
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\nHost: evil.example:443\n\n", http.StatusMethodNotAllowed, "method_not_allowed", "CONNECT"},
		{"CONNECT with a path", "CONNECT /v1/x HTTP/1.1\nHost: x\n\n", http.StatusMethodNotAllowed, "method_not_allowed", "CONNECT"},
		{"a target with another scheme", "GET ftp://evil.example/ HTTP/1.1\nHost: x\n\n", http.StatusBadRequest, "invalid_request", "request-target"},
		{"an opaque target", "GET mailto:evil@example HTTP/1.1\nHost: x\n\n", http.StatusBadRequest, "invalid_request", "request-target"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := connect(t, address)
			client.Send(test.request)
			resp, err := http.ReadResponse(client.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			checkError(t, resp, test.status, "invalid_request_error", test.code, test.says)
		})
	}
}

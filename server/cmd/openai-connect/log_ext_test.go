package main_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// maxLine is how many bytes a line of the log may have.
const maxLine = 8 << 10

// logged stops a process, and returns the lines of its log.
func (p *process) logged(t *testing.T) []string {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.exitsCleanly(t)
	var lines []string
	for line := range strings.Lines(p.stderr.String()) {
		if len(line) > maxLine {
			t.Errorf("a line has %d bytes: %.200q", len(line), line)
		}
		lines = append(lines, line)
	}
	return lines
}

// say sends bytes on a new connection and reads it to the end.
func say(t *testing.T, address, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testTimeout))
	_, _ = io.WriteString(conn, text)
	_, _ = io.Copy(io.Discard, conn) // a reset is an end too
}

func TestLog_HasNoSecretsFromPathsOrMethods(t *testing.T) {
	t.Parallel()
	const held = "held:key+of/upstream"
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(held), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			admin := commandtest.FreeAddress(t)
			// Nobody listens there, so each call is a warning.
			p := start(t, nil, "--upstream", "http://"+commandtest.FreeAddress(t), "--listen", "127.0.0.1:0", "--upstream-key-file", key, "--allow-anonymous",
				"--access-log", "--log-content", "--log-format", format, "--log-level", "debug", "--admin", admin)
			secrets := []string{"sk-abcdefghijklmnop", "oc-abcdefghijklmnop", held}
			for _, secret := range secrets {
				for _, path := range []string{
					"/v1/" + secret, "/v1/x%2F" + secret, "/v1/" + strings.ReplaceAll(secret, "k", "%6b"), "/v1/" + strings.ReplaceAll(secret, "k", "%256B"),
					"/openaiconnect.chat.v1.ChatService/" + secret, "/" + secret, "/v1/models?key=" + secret, "//" + secret,
				} {
					for _, address := range []string{p.address, admin} {
						say(t, address, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
					}
				}
				say(t, p.address, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: "+
					strconv.Itoa(len(secret)+4)+"\r\n\r\n[\""+secret+"\"]")
			}
			for _, method := range []string{"sk-abcdefghijklmnop", "oc-abcdefghijklmnop"} {
				say(t, p.address, method+" /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
				say(t, admin, method+" /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
				say(t, p.address, method+"\r\n\r\n")
			}
			lines := p.logged(t)
			if len(lines) < 10 {
				t.Errorf("got log %q", lines)
			}
			for _, line := range lines {
				for _, secret := range append(secrets, "held%3Akey", "%6b", "%256B") {
					if strings.Contains(line, secret) {
						t.Errorf("a line has a secret: %s", line)
					}
				}
				if format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
			}
		})
	}
}

func TestLog_LimitsRepeatedWarnings(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, "--upstream", "http://"+commandtest.FreeAddress(t), "--listen", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key, "--log-format", format)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			defer client.CloseIdleConnections()
			const flood = 200
			for i := range flood {
				say(t, p.address, "\x16\x03\x01\x00\x05hello")
				response, err := client.Get(fmt.Sprintf("%s/v1/%d/%s", p.url, i, strings.Repeat("x", 12_000)))
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			}
			counts := make(map[string]int)
			suppressed := 0
			for _, line := range p.logged(t) {
				for _, kind := range []string{"TLS handshake error", "upstream failed"} {
					if strings.Contains(line, kind) {
						counts[kind]++
					}
				}
				if format == "json" {
					var fields struct{ Suppressed int }
					if err := json.Unmarshal([]byte(line), &fields); err != nil {
						t.Errorf("%v: %s", err, line)
					}
					suppressed += fields.Suppressed
				} else if _, count, ok := strings.Cut(line, "suppressed="); ok {
					var n int
					_, _ = fmt.Sscan(count, &n)
					suppressed += n
				}
			}
			lines := 0
			for kind, n := range counts {
				if n == 0 || n > flood/2 {
					t.Errorf("%d lines of %q", n, kind)
				}
				lines += n
			}
			if len(counts) != 2 || suppressed == 0 || lines+suppressed < 2*flood || lines+suppressed > 2*flood+100 {
				t.Errorf("%v lines, and %d were left out", counts, suppressed)
			}
		})
	}
}

func TestLog_LimitsContents(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(bytes.Repeat([]byte("\"\\\x01"), 5000))
	})
	for _, format := range []string{"text", "json"} {
		p := start(t, nil, "--upstream", upstream.URL, "--listen", "127.0.0.1:0", "--log-content", "--access-log", "--log-format", format)
		response, err := http.Post(p.url+"/v1/"+strings.Repeat("p", 9000), "application/json", strings.NewReader(strings.Repeat("<é>", 5000)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		contents := 0
		for _, line := range p.logged(t) {
			if strings.Contains(line, "content") {
				contents++
			}
			if format == "json" && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
		if contents < 2 {
			t.Errorf("%s: %d lines have contents", format, contents)
		}
	}
}

package main_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// outcome is how the command ended.
type outcome struct {
	status         int
	stdout, stderr string
}

// end runs the command until it ends by itself.
func end(t *testing.T, settings []string, arguments ...string) outcome {
	t.Helper()
	var output, stderr bytes.Buffer
	command := command(t.Context(), t, settings, arguments...)
	command.Stdout, command.Stderr = &output, &stderr
	err := command.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return outcome{command.ProcessState.ExitCode(), output.String(), stderr.String()}
}

func TestFlags_InvalidValuesNameTheFlag(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	chain, key := certificate(t)
	_, another := certificate(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"no port", []string{"--listen", "localhost"}, []string{"--listen: ", `"localhost"`, "HOST:PORT"}},
		{"no address", []string{"--listen", ""}, []string{"--listen: ", "HOST:PORT"}},
		{"an invalid port", []string{"--listen", "127.0.0.1:99999"}, []string{"--listen: ", "99999"}},
		{"a port that is taken", []string{"--listen", taken.Addr().String()}, []string{"--listen: ", taken.Addr().String(), "in use"}},
		{"no upstream", []string{"--upstream", ""}, []string{"--upstream: ", "empty"}},
		{"an upstream without a scheme", []string{"--upstream", "api.openai.com"}, []string{"--upstream: ", "https://"}},
		{"an upstream of another scheme", []string{"--upstream", "ftp://example.com"}, []string{"--upstream: ", `"ftp"`}},
		{"an upstream with a query", []string{"--upstream", "https://example.com/v1?a=b"}, []string{"--upstream: ", "query"}},
		{"an upstream with a password", []string{"--upstream", "https://me:secret@example.com"}, []string{"--upstream: ", "password"}},
		{"an unsupported proxy scheme", []string{"--proxy", "ftp://me:secret@example.com"}, []string{"--proxy: ", "socks5h"}},
		{"a proxy with a path", []string{"--proxy", "http://me:secret@example.com/path"}, []string{"--proxy: ", "path"}},
		{"a proxy with a fragment", []string{"--proxy", "http://me:secret@example.com:1#a"}, []string{"--proxy: ", "fragment"}},
		{"a proxy with an empty query", []string{"--proxy", "socks5://me:secret@example.com:1?"}, []string{"--proxy: ", "query"}},
		{"two proxies", []string{"--proxy", "http://me:secret@a,b:3128"}, []string{"--proxy: ", "several hosts"}},
		{"two upstreams", []string{"--upstream", "https://a,b/v1"}, []string{"--upstream: ", "several hosts"}},
		{"an upstream with a fragment", []string{"--upstream", "https://a/v1#"}, []string{"--upstream: ", "fragment"}},
		{"a collector with a fragment", []string{"--otlp-endpoint", "http://a:4318/#b"}, []string{"--otlp-endpoint: ", "fragment"}},
		{"a collector with a password", []string{"--otlp-endpoint", "http://me:secret@a:4318"}, []string{"--otlp-endpoint: ", "OTEL_EXPORTER_OTLP_HEADERS"}},
		{"two collectors", []string{"--otlp-endpoint", "grpc://a:4317,b:4317"}, []string{"--otlp-endpoint: ", "several hosts"}},
		{"an ACME directory with a fragment", []string{"--domain", "a.example.com", "--acme-directory", "https://a/#b"}, []string{"--acme-directory: ", "fragment"}},
		{"an ACME directory with a password", []string{"--domain", "a.example.com", "--acme-directory", "https://me:secret@a/"}, []string{"--acme-directory: ", "password"}},
		{"a server to chat with that has an empty fragment", []string{"chat", "--server", "http://a#", "hello"}, []string{"--server: ", "fragment"}},
		{"two servers to chat with", []string{"chat", "--server", "http://a,b", "hello"}, []string{"--server: ", "several hosts"}},
		{"two stores", redis("redis://a,b"), []string{"--redis: ", "several hosts"}},
		{"two stores with ports", redis("redis://a:6379,b:6379"), []string{"--redis: ", "several hosts"}},
		{"a store with an unknown parameter", redis("redis://a?foo=bar"), []string{"--redis: ", `"foo"`}},
		{"a store with a fragment", redis("redis://a#b"), []string{"--redis: ", "fragment"}},
		{"a store with an invalid database", redis("redis://a/zero"), []string{"--redis: ", "database"}},
		{"a store of another scheme", redis("unix:///run/redis.sock"), []string{"--redis: ", "redis://"}},
		{"missing roots", []string{"--upstream-ca", missing}, []string{"--upstream-ca: ", missing}},
		{"a file without roots", []string{"--upstream-ca", key}, []string{"--upstream-ca: ", key, "no certificate"}},
		{"a certificate without a key", []string{"--tls-cert", chain}, []string{"--tls-cert: ", "--tls-key"}},
		{"a key without a certificate", []string{"--tls-key", key}, []string{"--tls-key: ", "--tls-cert"}},
		{"a missing certificate", []string{"--tls-cert", missing, "--tls-key", key}, []string{"--tls-cert: ", missing}},
		{"a missing key", []string{"--tls-cert", chain, "--tls-key", missing}, []string{"--tls-key: ", missing}},
		{"a key of another certificate", []string{"--tls-cert", chain, "--tls-key", another}, []string{"--tls-cert", "--tls-key: ", "match"}},
		{"a file without a certificate", []string{"--tls-cert", "/dev/null", "--tls-key", key}, []string{"--tls-cert", "--tls-key: ", "PEM"}},
		{"a URL with a path for an origin", []string{"--cors-origin", "https://app.example.com/chat"}, []string{"--cors-origin: ", `"https://app.example.com/chat"`}},
		{"one invalid origin of two", []string{"--cors-origin", "https://app.example.com,nowhere"}, []string{"--cors-origin: ", `"nowhere"`}},
		{"any origin and one more", []string{"--cors-origin", "*", "--cors-origin", "https://app.example.com"}, []string{"--cors-origin: ", `"*"`, "cannot be combined"}},
		{"an empty list of origins", []string{"--cors-origin="}, []string{"--cors-origin: ", "none"}},
		{"an origin with a password", []string{"--cors-origin", "https://me:secret@example.com"}, []string{"--cors-origin: ", "user"}},
		{"a time without a unit", []string{"--drain-timeout", "5"}, []string{"--drain-timeout: ", `"5"`, "unit"}},
		{"no time", []string{"--response-header-timeout", "0s"}, []string{"--response-header-timeout: ", "0s"}},
		{"a negative time", []string{"--response-header-timeout=-1s"}, []string{"--response-header-timeout: ", "-1s"}},
		{"a negative limit of the shutdown", []string{"--drain-timeout=-1s"}, []string{"--drain-timeout: ", "-1s"}},
		{"a negative delay of the shutdown", []string{"--drain-delay=-1s"}, []string{"--drain-delay: ", "-1s"}},
		{"a connection age below a second", []string{"--max-connection-age=999ms"}, []string{"--max-connection-age: ", "999ms", "1s"}},
		{"a negative connection age", []string{"--max-connection-age=-1h"}, []string{"--max-connection-age: ", "-1h"}},
		{"a word for a number", []string{"--max-message-bytes", "many"}, []string{"--max-message-bytes: ", `"many"`}},
		{"nothing", []string{"--max-message-bytes", "0"}, []string{"--max-message-bytes: ", "0"}},
		{"less than nothing", []string{"--max-buffered-bytes=-5"}, []string{"--max-buffered-bytes: ", "-5"}},
		{"an unknown level", []string{"--log-level", "loud"}, []string{"--log-level: ", `"loud"`, "debug, info, warn and error"}},
		{"an unknown flag", []string{"--nope"}, []string{"--nope"}},
		{"a flag without a value", []string{"--listen"}, []string{"--listen: ", "needs a value", "openai-connect --help"}},
		{"an unknown command", []string{"nope"}, []string{"nope", "serve, check, clients and chat", "--help"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkRejected(t, end(t, nil, row.arguments...), row.says)
		})
	}
}

// redis are arguments for counting in a store.
func redis(url string) []string { return []string{"--clients", os.DevNull, "--redis", url} }

// checkRejected checks that the command ended with one line that says these.
func checkRejected(t *testing.T, got outcome, says []string) {
	t.Helper()
	if got.status != 1 || got.stdout != "" {
		t.Errorf("exit status %d, stdout %q", got.status, got.stdout)
	}
	line, ok := strings.CutPrefix(got.stderr, "openai-connect: ")
	if !ok || strings.Index(line, "\n") != len(line)-1 {
		t.Fatalf("got stderr %q", got.stderr)
	}
	for i, text := range says {
		if !strings.Contains(line, text) || i == 0 && !strings.HasPrefix(line, text) && strings.HasSuffix(text, ": ") {
			t.Errorf("%q does not contain %q", line, text)
		}
	}
	if strings.Contains(line, "secret") {
		t.Errorf("%q contains a secret", line)
	}
}

// TestFlags_EachHasAVariable finds the flags in the help, and gives each a wrong
// value by its variable.
func TestFlags_EachHasAVariable(t *testing.T) {
	t.Parallel()
	help := end(t, nil, "--help")
	if help.status != 0 || help.stderr != "" {
		t.Fatalf("the help ends with %+v", help)
	}
	flags := regexp.MustCompile(`(?m)^ {2,6}--([a-z0-9-]+)`).FindAllStringSubmatch(help.stdout, -1)
	var names []string
	for _, flag := range flags {
		names = append(names, flag[1])
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "version" })
	wrong := map[string]string{
		"config": "/nowhere",
		"listen": "x", "upstream": "x", "tls-cert": "x", "tls-key": "x", "cors-origin": "x", "allowed-host": "*", "trusted-proxies": "x", "proxy-protocol": "x",
		"upstream-key-file": "x", "client-key-file": "x", "allow-anonymous": "x", "forward-organization": "x", "clients": "x",
		"domain": "192.0.2.1", "http-listen": ":80", "certificate-dir": "x",
		"proxy": "ftp://x", "upstream-ca": "x", "upstream-http2": "x", "no-follow-redirects": "x",
		"acme-directory": "x", "acme-email": "x", "acme-ca": "x",
		"response-header-timeout": "x", "drain-timeout": "x", "drain-delay": "x", "max-connection-age": "x",
		"max-message-bytes": "x", "max-buffered-bytes": "x",
		"client-stall-timeout": "x", "client-idle-timeout": "x",
		"max-connections": "x",
		"log-level":       "x", "log-format": "x", "access-log": "x", "log-content": "x",
		"admin": "x", "admin-pprof": "x", "otlp-endpoint": "x",
		"upstreams": "x", "upstream-retries": "x", "max-calls": "x", "max-queue": "x",
		"redis": "x", "redis-password-file": "x",
	}
	if len(names) != len(wrong) {
		t.Errorf("got flags %q", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			variable := "OPENAI_CONNECT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if !strings.Contains(help.stdout, "($"+variable+")") {
				t.Errorf("the help does not mention %s", variable)
			}
			// Were the variable not read, the address would be complained of.
			settings := []string{"OPENAI_CONNECT_LISTEN=127.0.0.1:99999", variable + "=" + wrong[name]}
			checkRejected(t, end(t, settings), []string{"--" + name})
		})
	}
}

func TestFlags_OverrideVariables(t *testing.T) {
	t.Parallel()
	p := start(t, []string{"OPENAI_CONNECT_UPSTREAM=sandbox", "OPENAI_CONNECT_LISTEN=x"}, "serve", "--listen", "127.0.0.1:0")
	if _, err := connectTo(t, p).CreateChatCompletion(t.Context(), hello()); err != nil {
		t.Error(err)
	}
}

func hello() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	}
}

func connectTo(t *testing.T, p *process) chatv1connect.ChatServiceClient {
	t.Helper()
	return chatv1connect.NewChatServiceClient(connect.NewClient(connecthttp.NewTransport(servertest.HTTPClient(t, false), p.url)))
}

func TestFlags_LimitsAreApplied(t *testing.T) {
	t.Parallel()
	unary := func(ctx context.Context, client chatv1connect.ChatServiceClient) error {
		_, err := client.CreateChatCompletion(ctx, hello())
		return err
	}
	for name, row := range map[string]struct {
		flag, value string
		fault       string
		call        func(context.Context, chatv1connect.ChatServiceClient) error
		code        connect.Code
		says        string
	}{
		"of a request":            {"max-message-bytes", "20", "", unary, connect.CodeResourceExhausted, "20"},
		"of a reply":              {"max-message-bytes", "50", "", unary, connect.CodeResourceExhausted, "50 bytes"},
		"of the wait for headers": {"response-header-timeout", "50ms", "hang", unary, connect.CodeUnavailable, "50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, []string{"OPENAI_CONNECT_UPSTREAM=sandbox"}, "--listen", "127.0.0.1:0", "--"+row.flag, row.value)
			ctx, info := connect.NewClientContext(t.Context())
			if row.fault != "" {
				info.RequestHeader().Set("X-Sandbox-Fault", row.fault)
			}
			err := row.call(ctx, connectTo(t, p))
			if connect.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVersion_IsPrinted(t *testing.T) {
	t.Parallel()
	got := end(t, nil, "--version")
	if got.status != 0 || got.stderr != "" || !regexp.MustCompile(`^\S+\n$`).MatchString(got.stdout) {
		t.Errorf("got %+v", got)
	}
	// Deployments set such a variable for ends of their own.
	got = end(t, []string{"OPENAI_CONNECT_VERSION=1.2.3"}, "--listen", "x")
	checkRejected(t, got, []string{"--listen: "})
}

func TestHelp_OfServeIsPrintedOnce(t *testing.T) {
	t.Parallel()
	got := end(t, nil, "serve", "--help")
	if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "--upstream") {
		t.Errorf("got %+v", got)
	}
	if count := strings.Count(got.stdout, "Usage:"); count != 1 {
		t.Errorf("the help has %d usages:\n%s", count, got.stdout)
	}
}

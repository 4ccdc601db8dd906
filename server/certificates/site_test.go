package certificates

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/internal/acmetest"
)

const (
	// testTimeout bounds the wait for an expected event.
	testTimeout = 30 * time.Second

	activeMessage = "certificate active"
	failedMessage = "failed to obtain certificate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, acmetest.Leaks()...) }

// environment is an authority and a storage directory, used by successive sites.
type environment struct {
	authority *acmetest.Authority
	storage   string

	// domain is the domain of the certificate. It is unique, because certmagic has
	// one list of challenges, and one of renewals, per process.
	domain string
}

var environments atomic.Int32

// newEnvironment returns an environment whose authority issues certificates with a
// validity.
func newEnvironment(t *testing.T, validity time.Duration) *environment {
	t.Helper()
	domain := fmt.Sprintf("api%d.example.com", environments.Add(1))
	return &environment{acmetest.Start(t, validity), filepath.Join(t.TempDir(), "certificates"), domain}
}

// openPorts makes the site reachable for the authority, over HTTP and HTTPS.
func (p *environment) openPorts(s *site) {
	p.authority.HTTP.Open(s.http)
	p.authority.TLS.Open(s.https)
}

// site is a server for HTTPS and HTTP, with automatic certificates.
type site struct {
	*ACME
	*environment

	https, http string // addresses
	log         lines
	close       func()
}

// open runs a site until the test ends or close is called.
func (p *environment) open(t *testing.T, change func(*Config)) *site {
	t.Helper()
	s := &site{environment: p, log: make(lines, 1000)}
	https, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Domains:   []string{p.domain},
		HTTPS:     https.Addr(),
		HTTP:      plain.Addr(),
		Directory: p.authority.Directory,
		Roots:     p.authority.APIRoots(),
		Storage:   p.storage,
		Logger:    slog.New(slog.NewTextHandler(s.log, nil)),
		backoff:   func(int) time.Duration { return time.Millisecond },
	}
	if change != nil {
		change(&config)
	}
	s.ACME, err = NewACME(context.WithoutCancel(t.Context()), config)
	if err != nil {
		t.Fatal(err)
	}
	s.https, s.http = https.Addr().String(), plain.Addr().String()
	front := &http.Server{
		TLSConfig: s.TLS(),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	back := &http.Server{Handler: s.RedirectHandler()}
	ended := make(chan error, 2)
	go func() { ended <- front.ServeTLS(https, "", "") }()
	go func() { ended <- back.Serve(plain) }()
	closed := false
	s.close = func() {
		if closed {
			return
		}
		closed = true
		s.Close()
		_, _ = front.Close(), back.Close()
		<-ended
		<-ended
	}
	t.Cleanup(s.close)
	return s
}

// dial opens a connection for a domain. It offers the protocols with ALPN.
func (s *site) dial(t *testing.T, name string, protocols ...string) (*tls.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: s.authority.Roots, NextProtos: protocols}}
	conn, err := dialer.DialContext(ctx, "tcp", s.https)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn), nil
}

// serial returns the serial number of the certificate of a new connection.
func (s *site) serial(t *testing.T) string {
	t.Helper()
	conn, err := s.dial(t, s.domain)
	if err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// lines receives the logged lines.
type lines chan string

// Write is called for each line.
func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// await waits for a line with the text.
func (l lines) await(t *testing.T, text string) string {
	t.Helper()
	timeout := time.After(testTimeout)
	var before strings.Builder
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
			before.WriteString(line)
		case <-timeout:
			t.Fatalf("%q was not logged, only\n%s", text, &before)
		}
	}
}

// rest returns the lines that have not been read.
func (l lines) rest() string {
	var rest strings.Builder
	for {
		select {
		case line := <-l:
			rest.WriteString(line)
		default:
			return rest.String()
		}
	}
}

// sendRaw sends the bytes of a request and returns the status, header and body of the response.
func sendRaw(t *testing.T, address, text string) (int, http.Header, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

// Package acmetest runs an ACME authority, Let's Encrypt's Pebble, on loopback. It
// resolves every name to 127.0.0.1 and validates each challenge.
package acmetest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// Authority is an ACME authority.
type Authority struct {
	// Directory is the URL of its directory.
	Directory string

	// Roots contains the root of the certificates that it issues.
	Roots *x509.CertPool

	// HTTP and TLS are the gates to which it sends challenges: ports 80 and 443 of
	// every domain. They are initially shut.
	HTTP, TLS *Gate

	server *httptest.Server
	api    *Gate
	orders atomic.Int32
}

// settings sets Pebble's options, which only the environment can set: validate without
// delay, reject no valid nonce, and validate each order.
var settings = sync.OnceValue(func() error {
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
})

// Start runs an authority until the test ends. Its certificates have this validity.
func Start(tb testing.TB, validity time.Duration) *Authority {
	tb.Helper()
	if err := settings(); err != nil {
		tb.Fatal(err)
	}
	a := &Authority{api: newGate(tb), HTTP: newGate(tb), TLS: newGate(tb)}
	output := new(output)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of the authority:\n%s", output)
		}
	})
	logger := log.New(output, "", 0)
	store := db.NewMemoryStore()
	const ecdsa, noAlternates, oneIntermediate = "ecdsa", 0, 1
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(validity.Seconds())}}
	issuer := ca.New(logger, store, "", ecdsa, noAlternates, oneIntermediate, profiles)
	validator := va.New(logger, a.HTTP.port(), a.TLS.port(), true, resolver(tb), store)
	front := wfe.New(logger, store, validator, issuer, []string{"example.net"}, true, false, 0, 0)
	handler := front.Handler()
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			a.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	a.server.Config.ErrorLog = logger // Clients either trust it or reject it.
	a.server.StartTLS()
	tb.Cleanup(a.server.Close)
	a.Directory = "https://" + a.api.listener.Addr().String() + wfe.DirectoryPath
	a.Up()
	a.Roots = x509.NewCertPool()
	a.Roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
	return a
}

// Down makes the authority unreachable.
func (a *Authority) Down() { a.api.Shut() }

// Up makes the authority reachable again.
func (a *Authority) Up() { a.api.Open(a.server.Listener.Addr().String()) }

// APIRoots returns the roots to trust for the authority's API.
func (a *Authority) APIRoots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.server.Certificate())
	return roots
}

// APIRootsPEM returns APIRoots in PEM form.
func (a *Authority) APIRootsPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
}

// Orders returns the number of certificate orders.
func (a *Authority) Orders() int { return int(a.orders.Load()) }

// resolver runs a name server that resolves every name to 127.0.0.1, and returns its
// address.
func resolver(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		answer := new(dns.Msg).SetReply(request)
		for _, question := range request.Question {
			if question.Qtype == dns.TypeA {
				header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
				answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(answer)
	})}
	started, ended := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	tb.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			tb.Error(err)
		}
		<-ended
	})
	return listener.Addr().String()
}

// Leaks returns options that ignore goroutines that an authority and certmagic cannot
// end: one waits for validations, one for orders, and one polls every five seconds for
// the release of a lock.
func Leaks() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	}
}

// output is a buffer for concurrent writers.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends text.
func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(text)
}

// String returns the written text.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

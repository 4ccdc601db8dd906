// Package tuned provides a net/http/httputil.ReverseProxy with settings for event streams:
// immediate flushing, enough idle connections, pooled buffers, and full duplex, which
// prevents truncated streams.
package tuned

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// Main is the main function of a command that serves the proxy, wrapped by wrap, over
// HTTP/1.1 and HTTP/2 without TLS.
func Main(wrap func(proxy http.Handler) (http.Handler, error)) {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	upstream := flag.String("upstream", "", "base `URL` of the upstream")
	ca := flag.String("ca", "", "PEM `file` of the upstream's root certificate")
	http2 := flag.Bool("http2", false, "use HTTP/2 to the upstream")
	flag.Parse()
	proxy, err := newProxy(*upstream, *ca, *http2)
	if err == nil {
		proxy, err = wrap(proxy)
	}
	if err == nil {
		err = serve(*listen, proxy)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(address string, handler http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Addr: address, Handler: handler, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func newProxy(upstream, ca string, http2 bool) (http.Handler, error) {
	target, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		MaxIdleConns:        0, // no limit
		MaxIdleConnsPerHost: 1 << 20,
		IdleConnTimeout:     time.Hour,
		DisableCompression:  true,
		ForceAttemptHTTP2:   http2,
	}
	if ca != "" {
		text, err := os.ReadFile(ca) //nolint:gosec // chosen by the benchmark
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		transport.TLSClientConfig = &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0),
		}
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		BufferPool:    new(buffers),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // It fails for HTTP/2, which is always full duplex.
		proxy.ServeHTTP(w, r)
	}), nil
}

// buffers is a pool of buffers for copying bodies.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

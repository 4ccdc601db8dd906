package main

import (
	"crypto/x509"
	"fmt"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// maxRootsBytes bounds a file of roots. The system's has a quarter of a megabyte.
const maxRootsBytes = 16 << 20

// transportFlags are about the way to the upstream.
type transportFlags struct {
	Proxy             string `help:"Proxy on the way to the upstream, such as http://user:password@proxy.example:3128; also https, socks5 or socks5h. 'none' for a direct way. By default what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say." placeholder:"URL"`
	UpstreamCA        string `name:"upstream-ca" help:"Roots to trust for the upstream beside the system's, a PEM file." placeholder:"FILE"`
	UpstreamHTTP2     bool   `name:"upstream-http2" env:"OPENAI_CONNECT_UPSTREAM_HTTP2" help:"Speak HTTP/2 to an https upstream that knows it: for thousands of open streams, which share connections then."`
	NoFollowRedirects bool   `help:"Leave the upstream's redirects to the client. Otherwise they are followed, as far as that is safe."`
}

// check says what is wrong with the flags' values.
func (f *transportFlags) check() error {
	if f.Proxy != "" {
		if _, err := upstream.ParseProxy(f.Proxy); err != nil {
			return fmt.Errorf("--proxy: %w", err)
		}
	}
	return nil
}

// roots returns the roots to trust for the upstream, nil for the system's.
func (f *transportFlags) roots() (*x509.CertPool, error) {
	roots, err := rootsWith(f.UpstreamCA)
	if err != nil {
		return nil, fmt.Errorf("--upstream-ca: %w", err)
	}
	return roots, nil
}

// rootsWith returns the system's roots and those of a PEM file, or nil, which is
// the system's alone, if no file is named.
func rootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // as said
	}
	text, err := readfile.Read(file, maxRootsBytes, readfile.Patience)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return roots, nil
}

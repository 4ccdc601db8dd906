package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// upstreamFlags name the upstreams and configure connections to them.
type upstreamFlags struct {
	Upstream          string `help:"The proxied API: a base URL as OpenAI's SDKs take it, or 'sandbox' for the embedded one, which needs no key. Default: https://api.openai.com/v1." placeholder:"URL"`
	Upstreams         string `help:"YAML file with several upstreams, or several keys of one, in order of preference. Each has a name, a url and optionally a key. The file also sets retries and cooldown." placeholder:"FILE"`
	UpstreamRetries   int    `help:"Maximum number of retries of a request after a failed connection or, if the request is idempotent, after a closed one." default:"0" min:"0" max:"5"`
	Proxy             string `help:"Proxy for connections to the upstream, such as http://user:password@proxy.example:3128. The schemes are http, https, socks5 and socks5h. 'none' disables proxies. Default: HTTPS_PROXY, HTTP_PROXY and NO_PROXY apply." placeholder:"URL"`
	UpstreamCA        string `name:"upstream-ca" help:"PEM file of root certificates to trust for the upstream, in addition to the system's." placeholder:"FILE"`
	UpstreamHTTP2     bool   `name:"upstream-http2" env:"OPENAI_CONNECT_UPSTREAM_HTTP2" help:"Use HTTP/2 for an https upstream that supports it. Streams then share connections, which helps with thousands of them."`
	NoFollowRedirects bool   `help:"Return the upstream's redirects to the client. By default the server follows them where that is safe."`

	ResponseHeaderTimeout time.Duration `help:"Maximum time until the upstream's response begins. A reasoning model can take many minutes." default:"30m" min:"1ns"`
}

// failover returns the upstreams if there are several, or retries; otherwise nil.
func (f *upstreamFlags) failover() (*failover.Config, error) {
	if f.Upstreams != "" {
		config, err := failover.ReadFile(f.Upstreams)
		if err != nil {
			return nil, fmt.Errorf("--upstreams: %w", err)
		}
		return config, nil
	}
	if f.UpstreamRetries == 0 {
		return nil, nil //nolint:nilnil // as documented
	}
	name := "upstream"
	if f.Upstream == server.Sandbox {
		name = server.Sandbox
	}
	return &failover.Config{
		Upstreams: []failover.Upstream{{Name: name, BaseURL: cmp.Or(f.Upstream, upstream.DefaultBaseURL)}},
		Retries:   f.UpstreamRetries,
		Cooldown:  failover.DefaultCooldown,
	}, nil
}

// maxRootsBytes limits a file of root certificates. The system's has 256 KiB.
const maxRootsBytes = 16 << 20

// readRoots returns the system's root certificates and those of a PEM file. It
// returns nil, which means the system's, without a file.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // as documented
	}
	text, err := readfile.Read(file, maxRootsBytes, readfile.Timeout)
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

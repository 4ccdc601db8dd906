package upstream

import (
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxyFor returns the proxy that the environment asks for on the way to base,
// or nil for none. Unlike net/http, which then goes without, it refuses what is
// no proxy: whoever set one up does not want to be seen going around it.
func proxyFor(base *url.URL) (*url.URL, error) {
	environment := httpproxy.FromEnvironment()
	variable, address := "HTTPS_PROXY", environment.HTTPSProxy
	if base.Scheme == "http" {
		variable, address = "HTTP_PROXY", environment.HTTPProxy
	}
	if address == "" {
		return nil, nil //nolint:nilnil // there is none, and that is fine
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	// Errors of the parser are not passed on: they repeat the address, and with
	// it a password.
	parsed, err := url.Parse(address)
	if err != nil || parsed.Hostname() == "" {
		return nil, fmt.Errorf("upstream: %s is not a valid URL; write it like http://proxy.example:3128", variable)
	}
	switch parsed.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fmt.Errorf("upstream: the scheme of %s is none of http, https, socks5 and socks5h", variable)
	}
	proxy, err := environment.ProxyFunc()(base)
	if err != nil {
		return nil, fmt.Errorf("upstream: %s cannot be used here", variable)
	}
	return proxy, nil
}

package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// NoProxy as [Config.Proxy] means a direct connection, even if the environment has a proxy.
const NoProxy = "none"

// ParseProxy parses the URL of a proxy, "http://user:password@proxy.example:3128", with
// the scheme http, https, socks5 or socks5h. The default scheme is http. For [NoProxy] it
// returns nil.
//
// An error never contains the input, which may contain a password.
func ParseProxy(raw string) (*url.URL, error) {
	if raw == NoProxy {
		return nil, nil //nolint:nilnil // as documented
	}
	return parseProxy(raw)
}

// parseProxy is [ParseProxy] without [NoProxy].
func parseProxy(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	parsed, err := url.Parse(raw)
	switch {
	case err != nil || parsed.Hostname() == "" || !isValidPort(parsed.Port()):
		return nil, errors.New("invalid URL: want a URL such as http://proxy.example:3128")
	case !isProxyScheme(parsed.Scheme):
		return nil, errors.New("unsupported scheme: want http, https, socks5 or socks5h")
	case strings.Contains(parsed.Host, ","):
		return nil, errors.New("the URL has several hosts: want one proxy")
	case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery:
		return nil, errors.New("the URL has a path or a query: remove everything after the host and port")
	case strings.Contains(raw, "#"):
		return nil, errors.New("the URL has a fragment: remove everything from the #")
	}
	return parsed, nil
}

func isProxyScheme(scheme string) bool {
	switch scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	default:
		return false
	}
}

// proxyFor returns the configured proxy, or else the environment's proxy for base, or else
// nil. It returns an error for an invalid proxy, where net/http would connect directly: a
// configured proxy must not be bypassed.
func proxyFor(base *url.URL, configured string) (*url.URL, error) {
	if configured != "" {
		proxy, err := ParseProxy(configured)
		if err != nil {
			return nil, fmt.Errorf("upstream: Proxy: %w", err)
		}
		return proxy, nil
	}
	environment := httpproxy.FromEnvironment()
	variable, address := "HTTPS_PROXY", environment.HTTPSProxy
	if base.Scheme == "http" {
		variable, address = "HTTP_PROXY", environment.HTTPProxy
	}
	if address == "" {
		return nil, nil //nolint:nilnil // no proxy is valid
	}
	// Errors of url.Parse are not returned: they contain the address, possibly with a
	// password.
	if _, err := parseProxy(address); err != nil {
		return nil, fmt.Errorf("upstream: %s: %w", variable, err)
	}
	proxy, err := environment.ProxyFunc()(base)
	if err != nil {
		return nil, fmt.Errorf("upstream: %s can't be used for this upstream", variable)
	}
	return proxy, nil
}

package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// NoProxy as [Config.Proxy] is to connect directly, whatever the environment
// says.
const NoProxy = "none"

// ParseProxy reads the URL of a proxy as [Config.Proxy] takes it:
// "http://user:password@proxy.example:3128", and likewise with https, socks5 and
// socks5h. Without a scheme it means http. [NoProxy] gives nil.
//
// The error says what to write instead, and never repeats the input, which may
// hold a password.
func ParseProxy(raw string) (*url.URL, error) {
	if raw == NoProxy {
		return nil, nil //nolint:nilnil // as said
	}
	return parseProxy(raw)
}

// parseProxy is [ParseProxy] for a proxy that is there.
func parseProxy(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	parsed, err := url.Parse(raw)
	switch {
	case err != nil || parsed.Hostname() == "" || !isValidPort(parsed.Port()):
		return nil, errors.New("it is not a valid URL; write it like http://proxy.example:3128")
	case !isProxyScheme(parsed.Scheme):
		return nil, errors.New("its scheme is none of http, https, socks5 and socks5h")
	case strings.Contains(parsed.Host, ","):
		return nil, errors.New("it names several hosts; only one proxy is used")
	case strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery:
		return nil, errors.New("it has a path or a query; remove what follows the host and port")
	case strings.Contains(raw, "#"):
		return nil, errors.New("it has a fragment; remove the # and what follows")
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

// proxyFor returns the proxy that is given or else that the environment asks for
// on the way to base, or nil for none. Unlike net/http, which then goes without,
// it refuses what is no proxy: whoever set one up does not want to be seen going
// around it.
func proxyFor(base *url.URL, given string) (*url.URL, error) {
	if given != "" {
		proxy, err := ParseProxy(given)
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
		return nil, nil //nolint:nilnil // there is none, and that is fine
	}
	// Errors of url.Parse are not passed on: they repeat the address, and with it a
	// password.
	if _, err := parseProxy(address); err != nil {
		return nil, fmt.Errorf("upstream: %s: %w", variable, err)
	}
	proxy, err := environment.ProxyFunc()(base)
	if err != nil {
		return nil, fmt.Errorf("upstream: %s cannot be used here", variable)
	}
	return proxy, nil
}

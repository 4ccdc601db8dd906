package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// defaultBasePath is the path of a base URL without a path.
const defaultBasePath = "/v1"

// ParseBaseURL parses a base URL in the form that the OpenAI SDKs accept:
// "https://api.openai.com/v1", "https://openrouter.ai/api/v1". Without a path, as in
// "http://127.0.0.1:8080", the path is /v1. Trailing slashes are ignored.
//
// It rejects userinfo, a query, a fragment, and schemes other than http and https. An error
// never contains the input, which may contain a password.
func ParseBaseURL(raw string) (*url.URL, error) {
	base, err := parseBaseURL(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("upstream base URL: %w", err)
	}
	return base, nil
}

func parseBaseURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("the URL is empty: want a URL such as " + DefaultBaseURL)
	}
	if !strings.Contains(raw, "://") {
		return nil, errors.New("the URL has no scheme: add https:// or http://")
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("invalid URL: want a URL such as " + DefaultBaseURL)
	}
	host := strings.ToLower(strings.TrimSuffix(parsed.Host, ":"))
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, fmt.Errorf("unsupported scheme %q: want https or http", parsed.Scheme)
	case parsed.User != nil:
		return nil, errors.New("the URL contains a user name or password: remove everything up to the @")
	case parsed.RawQuery != "" || parsed.ForceQuery:
		return nil, errors.New("the URL has a query: remove everything from the ?")
	case strings.Contains(raw, "#"):
		return nil, errors.New("the URL has a fragment: remove everything from the #")
	case parsed.Hostname() == "":
		return nil, errors.New("the URL has no host: want a URL such as " + DefaultBaseURL)
	case strings.Contains(host, ","):
		return nil, errors.New("the URL has several hosts: use one, or list several upstreams in a file")
	case strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) >= 0:
		return nil, errors.New("the host is not ASCII: use its xn-- form")
	}
	if !isValidPort(parsed.Port()) {
		return nil, errors.New("the port is out of range: want 1 to 65535")
	}
	rawPath := strings.TrimRight(parsed.EscapedPath(), "/")
	if rawPath == "" {
		rawPath = defaultBasePath
	}
	path, err := url.PathUnescape(rawPath)
	if err != nil {
		return nil, errors.New("the path has a malformed % escape")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: host, Path: path, RawPath: rawPath}, nil
}

// isValidPort reports whether the port of a URL is valid. Empty means no port.
func isValidPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// defaultBasePath is where an OpenAI API is found on a host that was named
// without a path.
const defaultBasePath = "/v1"

// ParseBaseURL reads a base URL as the OpenAI SDKs take it:
// "https://api.openai.com/v1", "https://openrouter.ai/api/v1". Without a path,
// as in "http://127.0.0.1:8080", it means /v1. Trailing slashes do not count.
//
// It refuses what a base URL cannot have, userinfo, a query, a fragment,
// another scheme than http and https, and says what to write instead. The
// error never repeats the input, which may hold a password.
func ParseBaseURL(raw string) (*url.URL, error) {
	base, err := parseBaseURL(strings.TrimSpace(raw))
	if err != nil {
		return nil, fmt.Errorf("upstream base URL: %w", err)
	}
	return base, nil
}

func parseBaseURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("it is empty; write it like " + DefaultBaseURL)
	}
	if !strings.Contains(raw, "://") {
		return nil, errors.New("it has no scheme; put https:// or http:// in front")
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is not a valid URL; write it like " + DefaultBaseURL)
	}
	host := strings.ToLower(strings.TrimSuffix(parsed.Host, ":"))
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, fmt.Errorf("its scheme is %q; only https and http are spoken", parsed.Scheme)
	case parsed.User != nil:
		return nil, errors.New("it holds a user name or password; remove what stands before the @")
	case parsed.RawQuery != "" || parsed.ForceQuery:
		return nil, errors.New("it holds a query; remove the ? and what follows")
	case strings.Contains(raw, "#"):
		return nil, errors.New("it holds a fragment; remove the # and what follows")
	case parsed.Hostname() == "":
		return nil, errors.New("it names no host; write it like " + DefaultBaseURL)
	case strings.Contains(host, ","):
		return nil, errors.New("it names several hosts; name one, and list several upstreams in a file")
	case strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) >= 0:
		return nil, errors.New("its host is not ASCII; write the name in its xn-- form")
	}
	if !isValidPort(parsed.Port()) {
		return nil, errors.New("its port is out of range; a port is a number from 1 to 65535")
	}
	rawPath := strings.TrimRight(parsed.EscapedPath(), "/")
	if rawPath == "" {
		rawPath = defaultBasePath
	}
	path, err := url.PathUnescape(rawPath)
	if err != nil {
		return nil, errors.New("its path has a malformed % escape")
	}
	return &url.URL{Scheme: parsed.Scheme, Host: host, Path: path, RawPath: rawPath}, nil
}

// isValidPort reports whether the port of a URL, empty for none, is one.
func isValidPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

package cors

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	// Any means every origin, including "null" of files and sandboxed frames.
	Any = "*"

	// None means no origin.
	None = "none"
)

// NewPolicy returns a policy that allows the given origins: a list such as
// https://app.example.com and http://localhost:3000, or only [Any], or only [None].
func NewPolicy(origins []string) (*Policy, error) {
	if len(origins) == 0 {
		return nil, fmt.Errorf("no origins given; use %q to allow none", None)
	}
	policy := &Policy{origins: make(map[string]bool)}
	for _, text := range origins {
		text = strings.TrimSpace(text)
		switch {
		case text != Any && text != None:
		case len(origins) > 1:
			return nil, fmt.Errorf("%q cannot be combined with other origins", text)
		default:
			policy.anyOrigin = text == Any
			return policy, nil
		}
		origin, err := parseOrigin(text)
		if err != nil {
			return nil, err
		}
		policy.origins[origin] = true
	}
	return policy, nil
}

// parseOrigin returns the serialization of an origin
// (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
func parseOrigin(text string) (string, error) {
	if strings.Contains(text, "@") {
		return "", errors.New("invalid origin: must not contain a user") // without the value, which may contain a password
	}
	invalid := func(reason string) (string, error) {
		return "", fmt.Errorf("invalid origin %q: %s; want an origin such as https://app.example.com or http://localhost:3000, or %s or %s",
			text, reason, Any, None)
	}
	u, err := url.Parse(text)
	switch {
	case text == "null":
		return invalid("pages with any hidden origin send it")
	case err != nil || u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		return invalid("no scheme and host")
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return invalid("more than a scheme, a host and a port")
	case strings.Contains(u.Host, "*"):
		return invalid("patterns are not supported")
	}
	for _, c := range []byte(u.Host) {
		if c > '~' || c <= ' ' || c == '%' {
			return invalid("browsers send the host in ASCII (xn--…)")
		}
	}
	host := strings.ToLower(u.Host)
	if _, after, found := strings.Cut(host[strings.LastIndexByte(host, ']')+1:], ":"); found {
		port, err := strconv.ParseUint(after, 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != after {
			return invalid("invalid port")
		}
		if u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80 {
			host = strings.TrimSuffix(host, ":"+after) // as browsers do
		}
	}
	return u.Scheme + "://" + host, nil
}

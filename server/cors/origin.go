package cors

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	// Any stands for every origin, those of files and of sandboxed frames too.
	Any = "*"

	// None stands for no origin.
	None = "none"
)

// NewPolicy returns the policy that allows the origins given, or [Any], or
// [None]: one of these two stands alone. An origin is written as browsers write
// it, https://app.example.com or http://localhost:3000. The error says what is
// wrong with which.
func NewPolicy(origins []string) (*Policy, error) {
	if len(origins) == 0 {
		return nil, fmt.Errorf("no origin is given: write %s if there shall be none", None)
	}
	policy := &Policy{origins: make(map[string]bool)}
	for _, text := range origins {
		text = strings.TrimSpace(text)
		switch {
		case text != Any && text != None:
		case len(origins) > 1:
			return nil, fmt.Errorf("%q stands alone: leave out it or the others", text)
		default:
			policy.any = text == Any
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

// parseOrigin returns an origin as it is serialized
// (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
func parseOrigin(text string) (string, error) {
	if strings.Contains(text, "@") {
		return "", errors.New("an origin has no user in it") // There may be a password: it isn't shown.
	}
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("%q %s: give an origin such as https://app.example.com or http://localhost:3000, or %s or %s",
			text, why, Any, None)
	}
	u, err := url.Parse(text)
	switch {
	case text == "null":
		return refuse("is what every page sends whose origin is hidden")
	case err != nil || u.Scheme == "" || u.Host == "" || u.Hostname() == "":
		return refuse("is no origin")
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return refuse("has more than a scheme, a host and a port")
	case strings.Contains(u.Host, "*"):
		return refuse("is a pattern")
	}
	for _, c := range []byte(u.Host) {
		if c > '~' || c <= ' ' || c == '%' {
			return refuse("is not in the form that browsers send, with a host in ASCII (xn--…)")
		}
	}
	host := strings.ToLower(u.Host)
	if _, after, found := strings.Cut(host[strings.LastIndexByte(host, ']')+1:], ":"); found {
		port, err := strconv.ParseUint(after, 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != after {
			return refuse("has a port that there is not")
		}
		if u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80 {
			host = strings.TrimSuffix(host, ":"+after) // as browsers do
		}
	}
	return u.Scheme + "://" + host, nil
}

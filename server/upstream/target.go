package upstream

import (
	"errors"
	"net/url"
	"strings"
)

// apiPrefix is where clients find the API on this server, whatever path it has
// on the proxied host.
const apiPrefix = "/v1"

var (
	errTargetForm = errors.New("the request-target is neither a path nor an http URL")
	errTargetByte = errors.New("the request-target holds a space or a control character")
)

// locate returns the URL that makes net/http write target, byte for byte but
// for the base path, to the proxied host. What arrives at /v1 or under /v1/
// goes under the base path, and any other path to the same origin as it is.
// Nothing is decoded, cleaned or resolved: %2F, "//" and ".." are the
// upstream's to interpret.
//
// The host is never taken from target: of an absolute-form target (RFC 9112
// §3.2.2) only path and query count, and a path that begins with two slashes
// is a path.
func (u *Upstream) locate(target string) (*url.URL, error) {
	origin, err := originForm(target)
	if err != nil {
		return nil, err
	}
	path, query, hasQuery := strings.Cut(origin, "?")
	if rest, ok := strings.CutPrefix(path, apiPrefix); ok && (rest == "" || rest[0] == '/') {
		path = u.basePath + rest
	}
	located := &url.URL{
		Scheme:     u.base.Scheme,
		Host:       u.base.Host,
		RawQuery:   query,
		ForceQuery: hasQuery && query == "",
	}
	switch {
	case u.absolute:
		located.Opaque = "//" + u.base.Host + path
	case !strings.HasPrefix(path, "//"):
		located.Opaque = path
	default:
		// An Opaque of "//a" is written in absolute form, so such a path goes
		// by the decoded way. That has no form for what may not stand in a
		// path unescaped, and for malformed escapes: there the absolute form
		// remains, which every server must accept.
		located.RawPath = path
		if located.Path, err = url.PathUnescape(path); err != nil || located.EscapedPath() != path {
			located.Path, located.RawPath = "", ""
			located.Opaque = "//" + u.base.Host + path
		}
	}
	return located, nil
}

// originForm returns path and query of a request-target as a server receives
// it (RFC 9112 §3.2): origin-form, absolute-form, or the asterisk of OPTIONS.
func originForm(target string) (string, error) {
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return "", errTargetByte
		}
	}
	if strings.HasPrefix(target, "/") || target == "*" {
		return target, nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", errTargetForm
	}
	end := strings.IndexAny(rest, "/?")
	switch {
	case end < 0:
		return "/", nil
	case rest[end] == '?':
		return "/" + rest[end:], nil
	default:
		return rest[end:], nil
	}
}

package upstream

import (
	"errors"
	"strings"
)

// apiPrefix is where clients find the API on this server, whatever path it has
// on the proxied host.
const apiPrefix = "/v1"

var (
	errTargetForm = errors.New("the request-target is neither a path nor an http URL")
	errTargetByte = errors.New("the request-target holds a space or a control character")
)

// locate returns the request-target for the proxied host, in origin-form. What
// arrives at /v1 or under /v1/ goes under the base path, and any other path to
// the same origin as it is. Nothing is decoded, cleaned or resolved: %2F, "//"
// and ".." are the upstream's to interpret.
//
// The host is never taken from target: of an absolute-form target (RFC 9112
// §3.2.2) only path and query count, and a path that begins with two slashes
// is a path.
func (u *Upstream) locate(target string) (string, error) {
	origin, err := originForm(target)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(origin, apiPrefix)
	if ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		located := u.basePath + rest
		if !strings.HasPrefix(located, "/") { // the base path is empty
			located = "/" + located
		}
		return located, nil
	}
	return origin, nil
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

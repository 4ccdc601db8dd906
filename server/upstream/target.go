package upstream

import (
	"errors"
	"strings"
)

// apiPrefix is the path of the API on this server, whatever its path on the proxied host.
const apiPrefix = "/v1"

var (
	errTargetForm = errors.New("invalid request-target: want a path or an http URL")
	errTargetByte = errors.New("invalid request-target: it contains a space or a control character")
)

// locate returns the request-target for the proxied host, in origin-form. /v1 and paths
// under /v1/ are moved under the base path. Any other path is unchanged. Nothing is decoded,
// cleaned or resolved: the upstream interprets %2F, "//" and "..".
//
// The host of target is ignored: only the path and query of an absolute-form target (RFC
// 9112 §3.2.2) are used, and a path that begins with two slashes is a path.
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

// originForm returns the path and query of a request-target in any form that a server
// receives (RFC 9112 §3.2): origin-form, absolute-form, or the asterisk of OPTIONS.
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

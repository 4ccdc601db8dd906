package access

import (
	"maps"
	"net/http"
	"strings"
)

// Where clients show what they have, in the order in which it is looked for. The
// first that is there counts:
//
//   - "Authorization: Bearer TOKEN" (RFC 6750 §2.1), once;
//   - "Api-Key: TOKEN", of Azure's clients;
//   - the WebSocket subprotocol "openai-insecure-api-key.TOKEN", of pages, which
//     can set no header: https://platform.openai.com/docs/guides/realtime-websocket
const (
	bearer      = "Bearer"
	subprotocol = "openai-insecure-api-key."

	authorizationField = "Authorization"
	apiKeyField        = "Api-Key"
	subprotocolField   = "Sec-Websocket-Protocol"
)

// Shown returns the token that a client shows, and false if it shows none.
func Shown(header http.Header) (string, bool) {
	if values := header[authorizationField]; len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) > 1 || !strings.EqualFold(scheme, bearer) {
			return "", false
		}
		return strings.Trim(token, " "), true
	}
	if values := header[apiKeyField]; len(values) > 0 {
		return values[0], len(values) == 1
	}
	for _, offered := range header[subprotocolField] {
		for name := range strings.SplitSeq(offered, ",") {
			if token, ok := strings.CutPrefix(strings.Trim(name, " \t"), subprotocol); ok {
				return token, true
			}
		}
	}
	return "", false
}

// Strip returns a request without any credential of the client's, wherever it may
// be shown. Of the request that is given no field changes.
func Strip(r *http.Request) *http.Request {
	if r.Trailer == nil {
		// Fields that come unannounced are put into the map that is there, and
		// otherwise into one that r alone would have.
		r.Trailer = make(http.Header)
	}
	stripped := r.WithContext(r.Context())
	stripped.Header = maps.Clone(r.Header)
	StripHeader(stripped.Header)
	return stripped
}

// StripHeader takes the credentials of a client out of a header, whose values may be
// shared.
func StripHeader(header http.Header) {
	delete(header, authorizationField)
	delete(header, apiKeyField)
	offers, ok := header[subprotocolField]
	if !ok {
		return
	}
	var kept []string
	for _, offered := range offers {
		if rest := withoutCredential(offered); rest != "" {
			kept = append(kept, rest)
		}
	}
	if kept == nil {
		delete(header, subprotocolField)
		return
	}
	header[subprotocolField] = kept
}

// withoutCredential returns a list of subprotocols without those that are
// credentials, and as it is if none is.
func withoutCredential(offered string) string {
	var kept []string
	found := false
	for name := range strings.SplitSeq(offered, ",") {
		if strings.HasPrefix(strings.Trim(name, " \t"), subprotocol) {
			found = true
			continue
		}
		kept = append(kept, name)
	}
	if !found {
		return offered
	}
	return strings.Trim(strings.Join(kept, ","), " \t")
}

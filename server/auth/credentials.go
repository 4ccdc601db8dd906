package auth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Places where clients put their API key, in the order in which they are tried:
//
//   - "Authorization: Bearer KEY" (RFC 6750 §2.1), of OpenAI's clients, and of
//     Anthropic's with an auth token;
//   - "Api-Key: KEY", of Azure's clients;
//   - "X-Api-Key: KEY", of Anthropic's clients;
//   - the WebSocket subprotocol "openai-insecure-api-key.KEY", of web pages, which
//     can set no header: https://platform.openai.com/docs/guides/realtime-websocket
//   - the query parameters "api-key=KEY" and "Authorization=Bearer KEY" of a
//     WebSocket, of Azure's clients in web pages.
//
// A header field that occurs twice is not tried.
const (
	bearer      = "Bearer"
	subprotocol = "openai-insecure-api-key."

	authorizationField = "Authorization"
	apiKeyField        = "Api-Key"
	anthropicField     = "X-Api-Key"
	subprotocolField   = "Sec-Websocket-Protocol"
)

// Fields, and the beginnings of subprotocols, that name an account of the upstream.
const (
	organizationField = "Openai-Organization"
	projectField      = "Openai-Project"

	organizationSubprotocol = "openai-organization."
	projectSubprotocol      = "openai-project."
)

// Shown returns the different API keys that a request shows, at most one for each
// place. There are none if it shows none.
func Credentials(r *http.Request) []string {
	var keys []string
	add := func(key string, ok bool) {
		if ok && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if values := r.Header[authorizationField]; len(values) == 1 {
		add(bearerKey(values[0]))
	}
	for _, name := range [...]string{apiKeyField, anthropicField} {
		if values := r.Header[name]; len(values) == 1 {
			add(values[0], true)
		}
	}
	add(subprotocolKey(r.Header))
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return keys
	}
	_, query, _ := strings.Cut(r.RequestURI, "?")
	for pair := range strings.SplitSeq(query, "&") {
		name, value := parameter(pair)
		switch name {
		case apiKeyField:
			add(value, true)
		case authorizationField:
			add(bearerKey(value))
		}
	}
	return keys
}

// bearerKey returns the key of an Authorization, and false for another scheme.
func bearerKey(authorization string) (string, bool) {
	scheme, key, _ := strings.Cut(authorization, " ")
	return strings.Trim(key, " "), strings.EqualFold(scheme, bearer)
}

// subprotocolKey returns the first key among the subprotocols of a WebSocket.
func subprotocolKey(header http.Header) (string, bool) {
	for _, offered := range header[subprotocolField] {
		for name := range strings.SplitSeq(offered, ",") {
			if key, ok := strings.CutPrefix(strings.Trim(name, " \t"), subprotocol); ok {
				return key, true
			}
		}
	}
	return "", false
}

// parameter returns the name, spelt like a header field, and the value of a
// parameter of a query. The name is empty if it can't be decoded.
func parameter(pair string) (name, value string) {
	name, value, _ = strings.Cut(pair, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return "", ""
	}
	value, err = url.QueryUnescape(value)
	if err != nil {
		value = ""
	}
	return http.CanonicalHeaderKey(name), value
}

// Strip returns a copy of a request without the client's API key, in every place
// where [Shown] looks for it. Unless forwardOrganization is set, the copy has no
// OpenAI-Organization and no OpenAI-Project either: they belong to the client's
// account and not to the one of the key that replaces the client's. The request
// itself is not changed.
func StripCredentials(r *http.Request, forwardOrganization bool) *http.Request {
	if r.Trailer == nil {
		// Fields that come unannounced are put into the map that is there, and
		// otherwise into one that r alone would have.
		r.Trailer = make(http.Header)
	}
	stripped := r.WithContext(r.Context())
	stripped.Header = maps.Clone(r.Header)
	StripHeaderCredentials(stripped.Header, forwardOrganization)
	if target := withoutKeyInQuery(r.RequestURI); target != r.RequestURI {
		location := *r.URL
		_, location.RawQuery, _ = strings.Cut(target, "?")
		stripped.RequestURI, stripped.URL = target, &location
	}
	return stripped
}

// withoutKeyInQuery returns a request-target without the parameters that hold a key.
// The others stay as they are written.
func withoutKeyInQuery(target string) string {
	path, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	pairs := strings.Split(query, "&")
	kept := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
		name, _ := parameter(pair)
		return name == apiKeyField || name == authorizationField
	})
	switch len(kept) {
	case len(pairs):
		return target
	case 0:
		return path
	default:
		return path + "?" + strings.Join(kept, "&")
	}
}

// StripHeader does to a header what [Strip] does to the header of a request. The values may
// be shared.
func StripHeaderCredentials(header http.Header, forwardOrganization bool) {
	delete(header, authorizationField)
	delete(header, apiKeyField)
	delete(header, anthropicField)
	stop := []string{subprotocol}
	if !forwardOrganization {
		delete(header, organizationField)
		delete(header, projectField)
		stop = append(stop, organizationSubprotocol, projectSubprotocol)
	}
	offers, ok := header[subprotocolField]
	if !ok {
		return
	}
	var kept []string
	for _, offered := range offers {
		if rest := withoutPrefixes(offered, stop); rest != "" {
			kept = append(kept, rest)
		}
	}
	if kept == nil {
		delete(header, subprotocolField)
		return
	}
	header[subprotocolField] = kept
}

// withoutPrefixes returns a list of subprotocols without those that begin with one of
// the prefixes. It returns the list unchanged if none does.
func withoutPrefixes(offered string, prefixes []string) string {
	var kept []string
	found := false
	for name := range strings.SplitSeq(offered, ",") {
		trimmed := strings.Trim(name, " \t")
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(trimmed, prefix) }) {
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

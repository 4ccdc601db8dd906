package auth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The places of an API key, in order of preference:
//
//   - "Authorization: Bearer KEY" (RFC 6750 §2.1): OpenAI's clients, and Anthropic's with
//     an auth token;
//   - "Api-Key: KEY": Azure's clients;
//   - "X-Api-Key: KEY": Anthropic's clients;
//   - the WebSocket subprotocol "openai-insecure-api-key.KEY": web pages, which cannot set
//     headers (https://platform.openai.com/docs/guides/realtime-websocket);
//   - the query parameters "api-key=KEY" and "Authorization=Bearer KEY" of a WebSocket:
//     Azure's clients in web pages.
//
// A header that occurs twice is ignored.
const (
	bearer      = "Bearer"
	subprotocol = "openai-insecure-api-key."

	authorizationField = "Authorization"
	apiKeyField        = "Api-Key"
	anthropicField     = "X-Api-Key"
	subprotocolField   = "Sec-Websocket-Protocol"
)

// Headers, and prefixes of subprotocols, that name an account of the upstream.
const (
	organizationField = "Openai-Organization"
	projectField      = "Openai-Project"

	organizationSubprotocol = "openai-organization."
	projectSubprotocol      = "openai-project."
)

// Credentials returns the API keys in a request, without duplicates, and at most one per
// place.
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

// bearerKey returns the key in an Authorization header, and false for other schemes.
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

// parameter returns the name of a query parameter, in the canonical form of a header, and
// its value. The name is empty if it can't be decoded.
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

// StripCredentials returns a copy of a request without API keys, in every place where
// [Credentials] finds them. Unless forwardOrganization is set, it also removes
// OpenAI-Organization and OpenAI-Project, which name the account of the removed key. The
// request itself is not modified.
func StripCredentials(r *http.Request, forwardOrganization bool) *http.Request {
	if r.Trailer == nil {
		// net/http adds unannounced trailers to this map. If it were nil, net/http would
		// create one that the copy does not have.
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

// withoutKeyInQuery returns a request target without the query parameters that contain a
// key. The other parameters stay unchanged.
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

// StripHeaderCredentials removes from a header what [StripCredentials] removes from the
// header of a request. It does not modify slices of values.
func StripHeaderCredentials(header http.Header, forwardOrganization bool) {
	delete(header, authorizationField)
	delete(header, apiKeyField)
	delete(header, anthropicField)
	prefixes := []string{subprotocol}
	if !forwardOrganization {
		delete(header, organizationField)
		delete(header, projectField)
		prefixes = append(prefixes, organizationSubprotocol, projectSubprotocol)
	}
	offers, ok := header[subprotocolField]
	if !ok {
		return
	}
	var kept []string
	for _, offered := range offers {
		if rest := withoutPrefixes(offered, prefixes); rest != "" {
			kept = append(kept, rest)
		}
	}
	if kept == nil {
		delete(header, subprotocolField)
		return
	}
	header[subprotocolField] = kept
}

// withoutPrefixes removes the subprotocols that start with one of the prefixes from a
// list. If there are none, it returns the list unchanged.
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

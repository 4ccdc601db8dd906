package auth

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A request can contain API keys in the following places, in order of preference:
//
//   - "Authorization: Bearer KEY" (RFC 6750 §2.1), sent by OpenAI's clients, and by
//     Anthropic's clients with an auth token;
//   - "Api-Key: KEY", sent by Azure's clients;
//   - "X-Api-Key: KEY", sent by Anthropic's clients;
//   - the WebSocket subprotocol "openai-insecure-api-key.KEY", sent by web pages, which
//     cannot set headers (https://platform.openai.com/docs/guides/realtime-websocket);
//   - the query parameters "api-key=KEY" and "Authorization=Bearer KEY" of a WebSocket, sent
//     by Azure's clients in web pages.
//
// The first three are ignored if the header occurs more than once.
const (
	bearer      = "Bearer"
	subprotocol = "openai-insecure-api-key."

	authorizationHeader = "Authorization"
	apiKeyHeader        = "Api-Key"
	anthropicHeader     = "X-Api-Key"
	subprotocolHeader   = "Sec-Websocket-Protocol"
)

// Headers and prefixes of WebSocket subprotocols that select an organization or a project
// of the upstream.
const (
	organizationHeader = "Openai-Organization"
	projectHeader      = "Openai-Project"

	organizationSubprotocol = "openai-organization."
	projectSubprotocol      = "openai-project."
)

// Credentials returns the API keys in a request, without duplicates.
func Credentials(r *http.Request) []string {
	var keys []string
	add := func(key string, ok bool) {
		if ok && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if values := r.Header[authorizationHeader]; len(values) == 1 {
		add(bearerKey(values[0]))
	}
	for _, name := range [...]string{apiKeyHeader, anthropicHeader} {
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
		case apiKeyHeader:
			add(value, true)
		case authorizationHeader:
			add(bearerKey(value))
		}
	}
	return keys
}

// bearerKey returns the key in an Authorization header. It returns false if the scheme is
// not Bearer.
func bearerKey(authorization string) (string, bool) {
	scheme, key, _ := strings.Cut(authorization, " ")
	return strings.Trim(key, " "), strings.EqualFold(scheme, bearer)
}

// subprotocolKey returns the first key among the offered WebSocket subprotocols.
func subprotocolKey(header http.Header) (string, bool) {
	for _, offered := range header[subprotocolHeader] {
		for name := range strings.SplitSeq(offered, ",") {
			if key, ok := strings.CutPrefix(strings.Trim(name, " \t"), subprotocol); ok {
				return key, true
			}
		}
	}
	return "", false
}

// parameter decodes a query parameter. It returns the name in the canonical form of a header
// name. A name or value that can't be decoded is returned as an empty string.
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

// StripCredentials returns a copy of a request without the API keys that [Credentials]
// returns. Unless forwardOrganization is set, it also removes OpenAI-Organization and
// OpenAI-Project, which belong to the account of the removed key. The header and URL of the
// original request are not modified.
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
// key. It does not change the other parameters.
func withoutKeyInQuery(target string) string {
	path, query, found := strings.Cut(target, "?")
	if !found {
		return target
	}
	pairs := strings.Split(query, "&")
	kept := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
		name, _ := parameter(pair)
		return name == apiKeyHeader || name == authorizationHeader
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

// StripHeaderCredentials removes the same headers and subprotocols as [StripCredentials]. It
// does not modify slices of values.
func StripHeaderCredentials(header http.Header, forwardOrganization bool) {
	delete(header, authorizationHeader)
	delete(header, apiKeyHeader)
	delete(header, anthropicHeader)
	prefixes := []string{subprotocol}
	if !forwardOrganization {
		delete(header, organizationHeader)
		delete(header, projectHeader)
		prefixes = append(prefixes, organizationSubprotocol, projectSubprotocol)
	}
	offers, ok := header[subprotocolHeader]
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
		delete(header, subprotocolHeader)
		return
	}
	header[subprotocolHeader] = kept
}

// withoutPrefixes removes the subprotocols with one of the prefixes from a comma-separated
// list. If no subprotocol matches, it returns the list unchanged.
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

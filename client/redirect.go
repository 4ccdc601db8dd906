package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect/v2"
)

// maxRedirects is how many redirects are followed, as in net/http.
const maxRedirects = 10

// maxShownAddress is how much of an address an error shows, in bytes.
const maxShownAddress = 200

// sameOriginClient sends requests as the given client does, but follows redirects
// within the origin of a request only: RFC 6454, section 4. A redirect to another
// origin is an error. net/http would follow it with the request and most of its
// headers.
type sameOriginClient struct{ given *http.Client }

// Do sends a request. It is called by the transport of the RPC protocol.
func (c sameOriginClient) Do(request *http.Request) (*http.Response, error) {
	client := *c.given
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		if err := checkRedirect(c.given, request, via); err != nil {
			return err
		}
		return checkOrigin(via[0].URL, request.URL)
	}
	response, err := client.Do(request) //nolint:gosec // the server is the caller's choice
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return response, err
	}
	if refused, ok := errors.AsType[*connect.Error](failed.Err); ok {
		return nil, refused
	}
	if strings.HasPrefix(failed.Err.Error(), "failed to parse Location header") { // It has all of the address.
		return nil, connect.NewError(connect.CodeInternal, "the server redirects to an address that is not a URL")
	}
	if address, err := url.Parse(failed.URL); err == nil { // It may be the URL of a redirect.
		failed.URL = shown(address)
	}
	return nil, err
}

// checkRedirect is the client's own rule, or net/http's.
func checkRedirect(client *http.Client, request *http.Request, via []*http.Request) error {
	switch {
	case client.CheckRedirect != nil:
		return client.CheckRedirect(request, via)
	case len(via) >= maxRedirects:
		return connect.Errorf(connect.CodeInternal, "the server redirects in circles: stopped after %d redirects", maxRedirects)
	default:
		return nil
	}
}

func checkOrigin(asked, redirected *url.URL) error {
	if originOf(asked) == originOf(redirected) {
		return nil
	}
	return connect.Errorf(connect.CodeInternal,
		"the server redirects to another origin, %s, which would receive the API key and the request: not followed", shown(redirected))
}

// originOf is the scheme, host and port of a URL.
func originOf(address *url.URL) string {
	scheme, port := strings.ToLower(address.Scheme), address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(address.Hostname()), port)
}

// shown is an address without what may be secret: the user, the password and the
// query.
func shown(address *url.URL) string {
	bare := url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}
	text := bare.String()
	if len(text) > maxShownAddress {
		text = strings.ToValidUTF8(text[:maxShownAddress], "") + "…"
	}
	return text
}

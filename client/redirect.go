package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect/v2"
)

// maxRedirects is the maximum number of redirects, as in net/http.
const maxRedirects = 10

// maxErrorURL is the maximum length of a URL in an error, in bytes.
const maxErrorURL = 200

// sameOriginClient sends requests with an HTTP client and follows only redirects to the
// origin of the request (RFC 6454, section 4). A redirect to another origin is an error,
// because net/http would send the request and most headers to the other origin.
type sameOriginClient struct{ inner *http.Client }

// Do sends a request. connect-go calls it.
func (c sameOriginClient) Do(request *http.Request) (*http.Response, error) {
	client := *c.inner
	client.CheckRedirect = func(request *http.Request, via []*http.Request) error {
		if err := checkRedirect(c.inner, request, via); err != nil {
			return err
		}
		return checkOrigin(via[0].URL, request.URL)
	}
	response, err := client.Do(request) //nolint:gosec // the caller chooses the server
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return response, err
	}
	if rejected, ok := errors.AsType[*connect.Error](failed.Err); ok {
		return nil, rejected
	}
	if strings.HasPrefix(failed.Err.Error(), "failed to parse Location header") { // The error quotes the whole URL.
		return nil, connect.NewError(connect.CodeInternal, "invalid redirect from the server: its Location header is not a URL")
	}
	if location, err := url.Parse(failed.URL); err == nil { // failed.URL may come from a redirect.
		failed.URL = redactURL(location)
	}
	return nil, err
}

// checkRedirect applies the client's CheckRedirect, or the default of net/http.
func checkRedirect(client *http.Client, request *http.Request, via []*http.Request) error {
	switch {
	case client.CheckRedirect != nil:
		return client.CheckRedirect(request, via)
	case len(via) >= maxRedirects:
		return connect.Errorf(connect.CodeInternal, "stopped after %d redirects from the server", maxRedirects)
	default:
		return nil
	}
}

// checkOrigin returns an error unless both URLs have the same origin.
func checkOrigin(original, location *url.URL) error {
	if originOf(original) == originOf(location) {
		return nil
	}
	return connect.Errorf(connect.CodeInternal,
		"redirect to another origin not followed: %s would receive the API key and the request", redactURL(location))
}

// originOf returns the scheme, host and port of a URL.
func originOf(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return fmt.Sprintf("%s://%s:%s", scheme, strings.ToLower(u.Hostname()), port)
}

// redactURL returns a URL for an error message, without the parts that may be secret: user
// information, query and fragment. It truncates a long URL.
func redactURL(u *url.URL) string {
	public := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := public.String()
	if len(text) > maxErrorURL {
		text = strings.ToValidUTF8(text[:maxErrorURL], "") + "…"
	}
	return text
}

package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
)

// Kind is the kind of an [Error].
type Kind int

// The kinds of [Error].
const (
	// KindRequest: the request could not be sent, because its target or a header is invalid
	// or its body could not be read. The upstream is not at fault.
	KindRequest Kind = iota + 1
	// KindConnect: no connection to the upstream or its proxy, because the name was not
	// found, the connection was refused, or it timed out.
	KindConnect
	// KindTLS: the TLS handshake failed, often because the certificate is not trusted.
	KindTLS
	// KindTimeout: no response header arrived in time.
	KindTimeout
	// KindClosed: the upstream closed the connection or stream before the response header.
	KindClosed
	// KindHeaderTooLarge: the response header exceeds the limit.
	KindHeaderTooLarge
	// KindMalformed: the upstream sent invalid HTTP.
	KindMalformed
	// KindTruncated: the response body ended early.
	KindTruncated
)

// String returns a description of the kind.
func (k Kind) String() string {
	switch k {
	case KindRequest:
		return "the request could not be sent"
	case KindConnect:
		return "could not connect"
	case KindTLS:
		return "TLS handshake failed"
	case KindTimeout:
		return "no response headers in time"
	case KindClosed:
		return "connection closed before response headers"
	case KindHeaderTooLarge:
		return "response headers are too large"
	case KindMalformed:
		return "invalid HTTP response"
	case KindTruncated:
		return "response cut short"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Error is the failure of an exchange with the upstream. Its text may be shown to clients:
// it contains no headers, no body, and no address of this server's network.
type Error struct {
	Kind   Kind
	Host   string // the proxied host, with its port if the base URL has one
	Detail string // details of the cause, possibly empty

	// Unprocessed reports that the upstream certainly has not processed the request and
	// won't (RFC 9113 §8.7), whatever the kind.
	Unprocessed bool

	refusedStream bool // the upstream refused the HTTP/2 stream, not the connection
	staleConn     bool // the HTTP/2 connection was probably stale

	// cause is set for KindRequest, and for a redirect to a non-public address. Network
	// errors are not exposed, because a timeout could be mistaken for the caller's.
	cause error
}

// Error implements error.
func (e *Error) Error() string {
	text := "upstream " + e.Host + ": " + e.Kind.String()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the error of reading the request's body, or nil.
func (e *Error) Unwrap() error {
	return e.cause
}

func (h *http1Client) newError(kind Kind, detail string) *Error {
	return &Error{Kind: kind, Host: h.authority, Detail: detail}
}

func (h *http1Client) requestError(cause error) *Error {
	detail := errorDetail(cause)
	if _, ok := errors.AsType[textproto.ProtocolError](cause); ok {
		detail = "its trailer is malformed" // the error's text quotes it
	}
	return &Error{Kind: KindRequest, Host: h.authority, Detail: detail, cause: cause}
}

// errorDetail returns the text of err without the addresses in errors of package net: of
// this machine, its resolver, or a proxy.
func errorDetail(err error) string {
	prefix := ""
	for {
		network, ok := errors.AsType[*net.OpError](err)
		if !ok {
			break
		}
		if network.Op == "proxyconnect" || network.Op == "socks connect" {
			prefix = "proxy: "
		}
		err = network.Err
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return prefix + lookup.Err
	}
	return prefix + err.Error()
}

// isDisconnect reports whether err means that a connection ended, and not that invalid
// data was received.
func isDisconnect(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// contextError returns the error of a context that is done. It wraps ctx.Err() as well as the
// cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

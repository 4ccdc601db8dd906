package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
)

// Kind is what went wrong between this server and the upstream.
type Kind int

// The kinds of [Error].
const (
	// KindRequest: the request could not be sent, as its target or a field is
	// not valid HTTP or its body could not be read. The upstream is not to
	// blame.
	KindRequest Kind = iota + 1
	// KindConnect: no connection, to the upstream or to the proxy before it;
	// the name was not found, the connection refused, or no answer came within
	// the connect timeout.
	KindConnect
	// KindTLS: there was a connection, but no TLS session on it; often a
	// certificate that is not trusted.
	KindTLS
	// KindTimeout: no response header came in time.
	KindTimeout
	// KindClosed: the upstream closed the connection or stream before it had
	// sent a response header.
	KindClosed
	// KindHeaderTooLarge: the response header exceeds the limit.
	KindHeaderTooLarge
	// KindMalformed: what the upstream sent is not valid HTTP.
	KindMalformed
	// KindTruncated: the upstream broke off in the middle of a response body.
	KindTruncated
)

// String says what the kind means, as part of a sentence.
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
		return "closed the connection before it sent response headers"
	case KindHeaderTooLarge:
		return "response headers are too large"
	case KindMalformed:
		return "sent what is not valid HTTP"
	case KindTruncated:
		return "broke off in the middle of the response"
	default:
		return fmt.Sprintf("Kind(%d)", int(k))
	}
}

// Error is a failure of an exchange with the upstream. Its text names the host
// and what happened, and is fit to be shown to clients: it holds nothing of a
// header or a body, and no address of this server's network.
type Error struct {
	Kind   Kind
	Host   string // the proxied host, with its port if that was given
	Detail string // more about the cause, possibly empty

	// Unprocessed is set if the upstream said, or if it is certain, that it has not
	// acted on the request and won't (RFC 9113 §8.7), whatever the kind.
	Unprocessed bool

	refusedStream bool // the upstream refused the stream of HTTP/2, and not the connection
	staleConn     bool // the connection of HTTP/2 was closing, as far as that can be told

	// cause is set for KindRequest, and for an address that redirects may not
	// lead to. Others of the network stay hidden, as a time-out could be taken for
	// the caller's.
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

// Unwrap returns what failed in reading the request's body, or nil.
func (e *Error) Unwrap() error {
	return e.cause
}

func (h *http1Client) newError(kind Kind, detail string) *Error {
	return &Error{Kind: kind, Host: h.authority, Detail: detail}
}

func (h *http1Client) requestError(cause error) *Error {
	detail := errorDetail(cause)
	if _, ok := errors.AsType[textproto.ProtocolError](cause); ok {
		detail = "its trailer is malformed" // the error's own text quotes it
	}
	return &Error{Kind: KindRequest, Host: h.authority, Detail: detail, cause: cause}
}

// reason returns what err says without the addresses that errors of package net
// begin with: of this machine, of its resolver, of a proxy.
func errorDetail(err error) string {
	prefix := ""
	for {
		network, ok := errors.AsType[*net.OpError](err)
		if !ok {
			break
		}
		if network.Op == "proxyconnect" || network.Op == "socks connect" {
			prefix = "the proxy on the way: "
		}
		err = network.Err
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return prefix + lookup.Err
	}
	return prefix + err.Error()
}

// isBreak reports whether err means that a connection ended, rather than that
// something wrong was received on it.
func isDisconnect(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// contextError returns the error of a context that is done. Beside the cause,
// if one was given, it is always the context's own.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

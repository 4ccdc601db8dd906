package telemetry

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	// aborted is the code of a request whose response broke off, or whose client
	// disconnected before the response.
	aborted = "aborted"
	// success is the code of a successful RPC.
	success = "ok"
	// unknownStatus is the code of an unregistered HTTP status.
	unknownStatus = "other"
)

// recordCode is an interceptor that records the code of an RPC.
func recordCode(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		request.FromContext(ctx).Code = errorCode(err)
		return err
	}
}

// errorCode returns the code of an RPC that returned err.
func errorCode(err error) string {
	failure, authored := errors.AsType[*connect.Error](err)
	switch {
	case err == nil:
		return success
	case authored:
		return failure.Code().String()
	case errors.Is(err, context.Canceled):
		return connect.CodeCanceled.String()
	case errors.Is(err, context.DeadlineExceeded):
		return connect.CodeDeadlineExceeded.String()
	default:
		return connect.CodeUnknown.String()
	}
}

// rpcCode returns the code of an RPC that didn't reach a handler: the one in gRPC's header
// field, or the one that Connect clients derive from the status
// (https://connectrpc.com/docs/protocol#http-to-error-code).
func rpcCode(header http.Header, status int) string {
	if field := header.Get("Grpc-Status"); field != "" {
		number, err := strconv.ParseUint(field, 10, 8)
		switch {
		case err == nil && number == 0:
			return success
		case err == nil && connect.Code(number) <= connect.CodeUnauthenticated:
			return connect.Code(number).String()
		}
		return connect.CodeUnknown.String()
	}
	switch status {
	case http.StatusOK, http.StatusNoContent:
		return success
	case http.StatusBadRequest:
		return connect.CodeInternal.String()
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated.String()
	case http.StatusForbidden:
		return connect.CodePermissionDenied.String()
	case http.StatusNotFound:
		return connect.CodeUnimplemented.String()
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return connect.CodeUnavailable.String()
	default:
		return connect.CodeUnknown.String()
	}
}

// code returns the outcome of the request, one of a fixed set.
func (x *observation) code() string {
	switch {
	case x.record.Aborted:
		return aborted
	case x.record.Protocol != request.Raw:
		return x.record.Code
	default:
		return statusLabel(x.record.Status)
	}
}

// statusLabel returns the label value of a registered HTTP status.
func statusLabel(status int) string {
	switch {
	case http.StatusText(status) == "":
		return unknownStatus
	default:
		return strconv.Itoa(status)
	}
}

// failureLabel returns the label value of an error of an upstream.
func failureLabel(err error) string {
	failure, ok := errors.AsType[*upstream.Error](err)
	switch {
	case ok:
		return kindLabels[failure.Kind]
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	default: // the client left
		return "canceled"
	}
}

var kindLabels = map[upstream.Kind]string{
	upstream.KindRequest:        "invalid_request",
	upstream.KindConnect:        "connection_failed",
	upstream.KindTLS:            "tls_failed",
	upstream.KindTimeout:        "timeout",
	upstream.KindClosed:         "closed",
	upstream.KindHeaderTooLarge: "header_too_large",
	upstream.KindMalformed:      "malformed",
	upstream.KindTruncated:      "truncated",
}

package transcode

import (
	"encoding/base64"
	"net/http"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// maxError is the maximum size of an encoded error: gRPC peers drop larger trailers.
const maxError = 4 << 10

// newError returns an RPC error with the upstream's error as a detail, and with the retry
// delay unless it is nil.
func newError(code connect.Code, detail *restv1.Error, retry *time.Duration) *connect.Error {
	details := []proto.Message{detail}
	if retry != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(*retry)})
	}
	truncateDetails(code, detail, details)
	err := connect.NewError(code, detail.GetMessage())
	for _, d := range details {
		compressedMark, packErr := connectproto.NewErrorDetail(d)
		if packErr != nil {
			return err.WithCause(packErr)
		}
		err = err.WithDetail(compressedMark)
	}
	return err
}

// truncateDetails truncates the longest strings of an error until its encoding fits.
func truncateDetails(code connect.Code, e *restv1.Error, details []proto.Message) {
	for encodedSize(code, e.GetMessage(), details) > maxError {
		longest := &e.Message
		for _, text := range []*string{&e.Type, e.Param, e.Code, &e.RequestId, &e.BodyExcerpt, &e.ExtraJson} { //nolint:protogetter // modified below
			if text != nil && len(*text) > len(*longest) {
				longest = text
			}
		}
		if longest == &e.ExtraJson {
			e.ExtraJson = "" // Truncated JSON would be invalid.
			continue
		}
		*longest = truncate(*longest, min(len(*longest)*3/4, maxError))
	}
}

// encodedSize returns the size of an error's grpc-message and grpc-status-details-bin.
func encodedSize(code connect.Code, message string, details []proto.Message) int {
	status := &spb.Status{Code: int32(code), Message: message}
	for _, d := range details {
		compressedMark, err := anypb.New(d)
		if err != nil {
			continue
		}
		status.Details = append(status.Details, compressedMark)
	}
	size := base64.StdEncoding.EncodedLen(proto.Size(status))
	for i := range len(message) {
		if c := message[i]; c < ' ' || c > '~' || c == '%' {
			size += 2 // percent-encoded
		}
		size++
	}
	return size
}

// truncate truncates a string to n bytes and marks the truncation.
func truncate(text string, n int) string {
	const mark = "…"
	if len(text) <= n {
		return text
	}
	end := max(n-len(mark), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// retryDelay returns the delay before a retry that a response header states, nil if none.
func retryDelay(header http.Header) *time.Duration {
	return plausible(httpx.RetryAfter(header))
}

// plausible returns a delay, or nil if it is missing or implausibly large.
func plausible(delay time.Duration, ok bool) *time.Duration {
	if !ok || delay >= httpx.MaxWait {
		return nil
	}
	return &delay
}

package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxBody is the maximum size of a request body in bytes. Larger bodies get status 413.
const maxBody = 64 << 20

// An exchange is a request and its response.
type exchange struct {
	w             http.ResponseWriter
	r             *http.Request
	id            string // from the path
	body          []byte
	controls      controls
	now           func() time.Time
	start         time.Time
	headerWritten bool
}

func (x *exchange) readBody() error {
	tooLarge := &apiError{
		status:  http.StatusRequestEntityTooLarge,
		message: fmt.Sprintf("The request body is larger than %d bytes.", maxBody),
		kind:    typeInvalidRequest,
	}
	if x.r.ContentLength > maxBody {
		return tooLarge
	}
	var err error
	x.body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge
	case err != nil:
		return invalid("", "", "The request body could not be read: %v.", err)
	default:
		return nil
	}
}

// setStandardHeaders sets the headers that OpenAI sends with every response.
func (x *exchange) setStandardHeaders() {
	sum := sha256.New()
	_, _ = io.WriteString(sum, x.r.Method+" "+x.r.URL.RequestURI()+"\n")
	_, _ = sum.Write(x.body)
	header := x.w.Header()
	for name, value := range map[string]string{
		"X-Request-Id":                   requestHash(sum.Sum(nil)).id("req_"),
		"Openai-Version":                 "2020-10-01",
		"Openai-Organization":            Model,
		"X-Ratelimit-Limit-Requests":     "10000",
		"X-Ratelimit-Remaining-Requests": "9999",
		"X-Ratelimit-Reset-Requests":     "6ms",
		"X-Ratelimit-Limit-Tokens":       "2000000",
		"X-Ratelimit-Remaining-Tokens":   "1999000",
		"X-Ratelimit-Reset-Tokens":       "30ms",
	} {
		header.Set(name, value)
	}
}

// applyControls applies the controls that do not depend on the operation.
func (x *exchange) applyControls() error {
	var err error
	if x.controls, err = readControls(x.r.Header); err != nil {
		return err
	}
	if wait(x.r.Context(), x.controls.delay) != nil {
		x.abort()
	}
	status := x.controls.status
	switch x.controls.fault {
	case faultHang:
		x.stall()
	case faultClose:
		x.abort()
	case faultEmpty:
		x.writeHeader(http.StatusOK, "")
	case faultHTML:
		if status == 0 {
			status = http.StatusBadGateway
		}
		x.writeHeader(status, "text/html; charset=utf-8")
		x.write(webPage(status))
	case faultError:
	default:
		if status != 0 {
			return errorForStatus(status)
		}
	}
	return nil
}

func webPage(status int) []byte {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	return []byte("<!DOCTYPE html>\n<html><head><title>" + title + "</title></head>\n" +
		"<body><h1>" + title + "</h1><p>This page was sent by an intermediary, not by the API.</p></body></html>\n")
}

// checkContentType rejects a body that is not declared as uncompressed JSON.
func (x *exchange) checkContentType() error {
	kind := x.r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(kind)
	if err != nil || media != "application/json" {
		return &apiError{
			status:  http.StatusUnsupportedMediaType,
			message: fmt.Sprintf("Unsupported content type %q: want application/json.", truncate(kind, maxQuotedValue)),
			kind:    typeInvalidRequest,
		}
	}
	if encoding := x.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &apiError{
			status:  http.StatusUnsupportedMediaType,
			message: fmt.Sprintf("Unsupported content encoding %q: want an uncompressed body.", truncate(encoding, maxQuotedValue)),
			kind:    typeInvalidRequest,
		}
	}
	return nil
}

func (x *exchange) strictness() strictness { return strictness{acceptUnknown: x.controls.unknown} }

// writeHeader sends the status and the headers. contentType may be empty.
func (x *exchange) writeHeader(status int, contentType string) {
	header := x.w.Header()
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if hasRetryAfter(status) {
		header.Set("Retry-After", retryAfterSeconds)
	}
	header.Set("Openai-Processing-Ms", strconv.FormatInt(x.now().Sub(x.start).Milliseconds(), 10))
	x.headerWritten = true
	x.w.WriteHeader(status)
}

// write sends part of the body. It aborts the exchange if the client has disconnected,
// as flush does.
func (x *exchange) write(data []byte) {
	if _, err := x.w.Write(data); err != nil {
		x.abort()
	}
}

// flush sends buffered data.
func (x *exchange) flush() {
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		x.abort()
	}
}

// abort closes the connection, or resets the HTTP/2 stream.
func (x *exchange) abort() { panic(http.ErrAbortHandler) }

// stall sends nothing until the client disconnects.
func (x *exchange) stall() {
	<-x.r.Context().Done()
	x.abort()
}

func (x *exchange) noContent() error {
	x.writeHeader(http.StatusNoContent, "")
	return nil
}

// writeError sends an error response.
func (x *exchange) writeError(err error) {
	var known *apiError
	if !errors.As(err, &known) {
		known = errorForStatus(http.StatusInternalServerError)
		known.message = err.Error()
	}
	x.writeJSON(known.status, known.body())
}

// respond sends a value as JSON, or injects the requested fault.
func (x *exchange) respond(value any) {
	body := encode(value)
	half := slices.Clone(body[:len(body)/2])
	switch x.controls.fault {
	case faultMalformed:
		x.writeJSON(http.StatusOK, half)
	case faultError:
		x.writeJSON(http.StatusOK, x.controls.apiError().body())
	case faultStall, faultAbort, faultCut:
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		x.writeHeader(http.StatusOK, "application/json")
		x.write(half)
		x.flush()
		if x.controls.fault == faultStall {
			x.stall()
		}
		x.abort()
	default:
		x.writeJSON(http.StatusOK, body)
	}
}

// writeJSON sends a JSON body, with a final line break for terminals.
func (x *exchange) writeJSON(status int, body []byte) {
	body = append(body, '\n')
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.writeHeader(status, "application/json")
	x.write(body)
}

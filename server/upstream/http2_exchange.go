package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	frames "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Exchange is one request and its response on a stream, and the response's body.
type http2Exchange struct {
	conn         *http2Conn
	ctx          context.Context //nolint:containedctx // the context passed to Send
	req          *Request
	id           uint32
	headerOffset int64 // end of the header in all bytes that the connection writes; set under conn.mu

	framesBefore int64 // frames that the connection had received when the exchange started

	progress    chan struct{} // has an element if the response has changed
	uploadReady chan struct{} // has an element if an upload may be able to continue
	unwatch     func() bool   // stops watching ctx

	// The following fields are guarded by conn.mu.

	sendWindow      int64            // bytes that may be sent
	requestSent     bool             // all of the request is in the write queue
	bodyUnwanted    bool             // the rest of the request must not be sent
	continued       bool             // a pending expectation is resolved
	uploading       bool             // an upload is running
	headersReceived int              // including interim ones
	interim         []*http.Response // not yet passed to Request.Interim
	resp            *http.Response   // nil until its header has arrived
	trailer         http.Header      // of the response
	headerBudget    int64            // bytes of header fields that may still be received
	remaining       int64            // bytes of the body that must still be received; -1 if unknown
	windowSize      int64            // the receive window when the buffer is empty
	recvWindow      int64            // bytes that may be received before a window update
	pendingUpdate   int64            // bytes to add to the window with the next update
	readBytes       int64            // since readSince
	readSince       time.Time
	buffer          byteQueue // the received part of the body that was not read
	err             error     // why the response ended; io.EOF if it is complete
}

// notifyUpload makes an upload check whether it may continue. conn.mu is held.
func (s *http2Exchange) notifyUpload() {
	if s.uploading {
		notify(s.uploadReady)
	}
}

// notify adds an element to a channel of capacity 1, unless it has one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// finish ends the response. conn.mu is held.
func (s *http2Exchange) finish(why error) {
	if s.err != nil {
		return
	}
	s.err = why
	if why != io.EOF { //nolint:errorlint // a wrapped io.EOF is not the end of the body
		s.bodyUnwanted = true
		notify(s.uploadReady)
	}
	notify(s.progress)
}

// setUploading sets whether an upload is running. conn.mu is held.
func (s *http2Exchange) setUploading(uploading bool) {
	if s.uploading == uploading {
		return
	}
	s.uploading = uploading
	if uploading {
		s.conn.uploads++
	} else {
		s.conn.uploads--
	}
}

// stopUpload ends an upload at the end of the stream. conn.mu is held.
func (s *http2Exchange) stopUpload() {
	if s.uploading {
		s.setUploading(false)
		s.bodyUnwanted = true
		notify(s.uploadReady)
	}
}

// open starts the exchange of a request on a reserved stream, and sends its header. It
// also sends a small body that is in memory, and returns any other body.
func (c *http2Conn) open(ctx context.Context, req *Request, header *http2Header, body io.Reader) (*http2Exchange, io.Reader, error) {
	s := &http2Exchange{
		conn: c, ctx: ctx, req: req, progress: make(chan struct{}, 1), uploadReady: make(chan struct{}, 1),
		headerBudget: maxResponseHeaderBytes, remaining: -1, windowSize: streamWindow, recvWindow: streamWindow,
	}
	c.mu.Lock()
	c.reserved--
	if c.closing {
		failure := closedError("the connection is closing")
		if c.endErr != nil {
			copied := *c.endErr
			failure = &copied
		}
		failure.unprocessed = true
		c.retireIfUnused()
		c.mu.Unlock()
		return nil, nil, failure
	}
	s.id, s.sendWindow, s.framesBefore = c.nextID, c.initialWindow, c.framesReceived
	c.nextID += 2
	full := c.nextID > lastStream
	c.streams[s.id] = s
	body = s.sendHeader(header, body)
	s.setUploading(body != nil)
	c.mu.Unlock()
	if full {
		c.retire(errUnused, maxWindow)
	}
	s.unwatch = context.AfterFunc(ctx, func() { s.abort(contextError(ctx)) })
	return s, body, nil
}

// sendHeader queues the header, and a small body that is in memory. It returns any other
// body. conn.mu is held.
func (s *http2Exchange) sendHeader(header *http2Header, body io.Reader) io.Reader {
	c := s.conn
	c.queueHeaders(s.id, header.fields, body == nil)
	s.requestSent = body == nil
	s.headerOffset = c.queuedBytes
	memory, ok := body.(*bytes.Reader)
	if !ok || memory.Len() > min(memoryBody, c.maxFrame) || int64(memory.Len()) > min(s.sendWindow, c.sendWindow) || header.expectsContinue {
		return body
	}
	content := make([]byte, memory.Len())
	_, _ = memory.Read(content)
	s.queueData(content, true)
	return nil
}

// queueHeaders adds a header block to the write queue. mu is held.
func (c *http2Conn) queueHeaders(stream uint32, fields []hpack.HeaderField, end bool) {
	c.block.Reset()
	for _, field := range fields {
		_ = c.encoder.WriteField(field) // to a buffer
	}
	kind, flags := frames.FrameHeaders, frames.Flags(0)
	if end {
		flags = frames.FlagHeadersEndStream
	}
	for block := c.block.Bytes(); ; {
		n := min(len(block), c.maxFrame)
		if n == len(block) {
			flags |= frames.FlagHeadersEndHeaders
		}
		c.queueFrame(kind, flags, stream, block[:n])
		if block = block[n:]; len(block) == 0 {
			return
		}
		kind, flags = frames.FrameContinuation, 0
	}
}

// queueData adds a piece of the body to the write queue. conn.mu is held.
func (s *http2Exchange) queueData(piece []byte, end bool) {
	var flags frames.Flags
	if end {
		flags, s.requestSent = frames.FlagDataEndStream, true
	}
	s.conn.queueFrame(frames.FrameData, flags, s.id, piece)
	s.conn.frameCredit.Add(dataAllowance)
	s.sendWindow -= int64(len(piece))
	s.conn.sendWindow -= int64(len(piece))
	if end {
		s.requestEnded()
	}
}

// requestEnded closes the stream if the response is complete, and starts the wait for the
// response otherwise. conn.mu is held.
func (s *http2Exchange) requestEnded() {
	s.requestSent = true
	s.setUploading(false)
	if s.err != nil {
		s.conn.removeStream(s)
	}
	notify(s.progress)
}

// abort ends the exchange and resets the stream.
func (s *http2Exchange) abort(why error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.bodyUnwanted = true
	notify(s.uploadReady)
	if s.resp == nil && s.headersReceived > maxInterim && c.streams[s.id] == s {
		c.stopRequests()
	}
	c.resetStream(s, why, frames.ErrCodeCancel)
}

// upload sends a body. It runs on its own goroutine.
func (s *http2Exchange) upload(body io.Reader, header *http2Header) {
	defer closeBody(body)
	if header.expectsContinue && !s.awaitContinue() {
		return
	}
	complete, err := header.framing.copyBody(body, s.send)
	if complete {
		err = s.endRequest(header)
	}
	if err != nil {
		s.failUpload(s.conn.client.requestError(err))
	}
}

// failUpload ends the exchange after an error of reading the body, unless the rest of the
// body is unwanted.
func (s *http2Exchange) failUpload(why error) {
	s.conn.mu.Lock()
	unwanted := s.bodyUnwanted
	s.conn.mu.Unlock()
	if !unwanted {
		s.abort(why)
	}
}

// awaitContinue waits until the expectation is resolved, or times out. It reports whether
// the body must be sent.
func (s *http2Exchange) awaitContinue() bool {
	timer := time.NewTimer(expectContinueTimeout)
	defer timer.Stop()
	for {
		s.conn.mu.Lock()
		proceed, unwanted := s.continued, s.bodyUnwanted
		s.conn.mu.Unlock()
		if proceed || unwanted {
			return !unwanted
		}
		select {
		case <-s.uploadReady:
		case <-timer.C:
			return true
		}
	}
}

// send sends a piece of the body as the windows allow. It reports false if the body is
// unwanted.
func (s *http2Exchange) send(piece []byte) bool {
	c := s.conn
	var stalled *time.Timer // runs while the windows are closed
	for {
		c.mu.Lock()
		if s.bodyUnwanted || c.endErr != nil {
			c.mu.Unlock()
			return false
		}
		n := min(int64(len(piece)), int64(c.maxFrame), s.sendWindow, c.sendWindow)
		queued := n > 0 && len(c.writeQueue) < maxQueued
		if queued {
			s.queueData(piece[:n], false)
			piece = piece[n:]
		}
		c.mu.Unlock()
		if len(piece) == 0 {
			return true
		}
		var late <-chan time.Time
		switch {
		case n > 0: // the write timeout of the connection applies
			if stalled != nil {
				stalled.Stop()
				stalled = nil
			}
		case stalled == nil:
			stalled = time.NewTimer(c.client.stallTimeout)
			defer stalled.Stop()
			fallthrough
		default:
			late = stalled.C
		}
		if queued {
			continue
		}
		select {
		case <-s.uploadReady:
		case <-late:
			s.abort(&http2Error{kind: KindTimeout, detail: stallDetail(c.client.stallTimeout)})
			return false
		}
	}
}

// endRequest ends the body, with the trailer if there is one.
func (s *http2Exchange) endRequest(header *http2Header) error {
	trailer, err := hpackTrailer(header.framing.trailer)
	if err != nil {
		return err
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.bodyUnwanted || c.endErr != nil:
	case len(trailer) == 0:
		s.queueData(nil, true)
	default:
		c.queueHeaders(s.id, trailer, true)
		s.requestEnded()
	}
	return nil
}

// processHeader handles a header block: an interim response, the final response, or its
// trailer. conn.mu is held.
func (s *http2Exchange) processHeader(fields []hpack.HeaderField, size int64, end bool) {
	s.headersReceived++
	if s.headerBudget -= size; s.headerBudget < 0 {
		if s.headersReceived > 1 { // interim responses, and more may be in flight
			s.conn.stopRequests()
		}
		s.rejectResponse(&http2Error{kind: KindHeaderTooLarge, detail: headerLimitDetail()})
		return
	}
	if s.resp != nil {
		s.processTrailer(fields, end)
		return
	}
	resp, err := parseHTTP2Response(fields) //nolint:bodyclose // no body yet
	if err == nil {
		err = checkResponse(s.req, resp)
	}
	if err == nil && resp.StatusCode < 200 && end {
		err = errInterimEnd
	}
	switch {
	case err != nil:
		s.rejectResponse(malformedError(err.Error()))
	case resp.StatusCode == http.StatusContinue:
		s.continued = true
		notify(s.uploadReady)
	case resp.StatusCode < 200:
		if s.req.Interim != nil {
			s.interim = append(s.interim, resp) //nolint:bodyclose // no body
			notify(s.progress)
		}
	default:
		s.processResponse(resp, end)
	}
}

// rejectResponse ends the exchange after a protocol violation. conn.mu is held.
func (s *http2Exchange) rejectResponse(why *http2Error) {
	s.conn.resetStream(s, why, frames.ErrCodeProtocol)
}

func (s *http2Exchange) processResponse(resp *http.Response, end bool) {
	s.remaining, _ = parseLength(resp.Header["Content-Length"]) // checked by checkResponse
	resp.ContentLength = s.remaining
	bodiless := s.req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	switch {
	case bodiless:
		s.remaining = -1
		if s.req.Method != http.MethodHead {
			resp.ContentLength = 0
		}
		resp.Body = http.NoBody
	case end && s.remaining < 0:
		resp.ContentLength, s.remaining = 0, 0
	}
	s.resp, s.readSince = resp, time.Now()
	if resp.StatusCode >= http.StatusMultipleChoices {
		// A rejection or redirect makes the rest of the request useless.
		s.bodyUnwanted = true
	}
	s.continued = true
	notify(s.uploadReady)
	notify(s.progress)
	switch {
	case end:
		s.responseEnded()
	case bodiless:
		s.finish(io.EOF)
		s.conn.resetStream(s, io.EOF, frames.ErrCodeCancel)
	}
}

// responseEnded handles the end of the response. conn.mu is held.
func (s *http2Exchange) responseEnded() {
	if s.remaining > 0 {
		s.rejectResponse(closedError(io.ErrUnexpectedEOF.Error()))
		return
	}
	s.finish(io.EOF)
	switch {
	case s.requestSent:
		s.conn.removeStream(s)
	case s.bodyUnwanted:
		s.conn.resetStream(s, io.EOF, frames.ErrCodeNo) // RFC 9113 §8.1
	}
}

func (s *http2Exchange) processTrailer(fields []hpack.HeaderField, end bool) {
	if !end {
		s.rejectResponse(malformedError("a header follows the response header"))
		return
	}
	trailer := make(http.Header, len(fields))
	for _, field := range fields {
		if strings.HasPrefix(field.Name, ":") || !isHTTP2FieldName(field.Name) || !httpguts.ValidHeaderFieldValue(field.Value) {
			s.rejectResponse(malformedError("the trailer is not valid"))
			return
		}
		if name := textproto.CanonicalMIMEHeaderKey(field.Name); httpguts.ValidTrailerHeader(name) {
			trailer[name] = append(trailer[name], field.Value)
		}
	}
	s.trailer = trailer
	s.responseEnded()
}

// processData handles a part of the body. conn.mu is held.
func (s *http2Exchange) processData(frame *frames.DataFrame) {
	data := frame.Data()
	s.recvWindow -= int64(frame.Length)
	switch {
	case s.err != nil:
		return
	case s.recvWindow < 0:
		s.conn.resetStream(s, malformedError("it exceeded the flow-control window"), frames.ErrCodeFlowControl)
		return
	case s.resp == nil:
		s.rejectResponse(malformedError("DATA before the response header"))
		return
	}
	if s.remaining >= 0 {
		if s.remaining -= int64(len(data)); s.remaining < 0 {
			s.rejectResponse(malformedError("the body is longer than its content-length"))
			return
		}
	}
	if len(data) > 0 {
		s.buffer.write(data)
		notify(s.progress)
	}
	s.returnWindow(int64(frame.Length) - int64(len(data))) // padding counts as read
	if frame.StreamEnded() {
		s.responseEnded()
	}
}

// returnWindow returns read bytes to the receive window, and grows the window of a fast
// reader. conn.mu is held.
func (s *http2Exchange) returnWindow(n int64) {
	s.pendingUpdate += n
	if s.err != nil || s.pendingUpdate < s.windowSize/4 {
		return
	}
	if s.readBytes += s.pendingUpdate; s.readBytes >= s.windowSize {
		now := time.Now()
		if now.Sub(s.readSince) < growTime && len(s.buffer) == 0 && s.windowSize < maxStreamWindow && s.conn.client.reserveWindowGrowth(s.windowSize) {
			s.pendingUpdate += s.windowSize
			s.windowSize *= 2
		}
		s.readBytes, s.readSince = 0, now
	}
	s.conn.queueUint32(frames.FrameWindowUpdate, s.id, uint32(s.pendingUpdate))
	s.recvWindow += s.pendingUpdate
	s.pendingUpdate = 0
}

// reserveWindowGrowth reports whether a window may grow by n bytes.
func (h *http1Client) reserveWindowGrowth(n int64) bool {
	if h.windowGrowth.Add(n) <= maxGrowth {
		return true
	}
	h.windowGrowth.Add(-n)
	return false
}

// awaitResponse returns the response when its header has arrived.
func (s *http2Exchange) awaitResponse() (*http.Response, error) {
	c := s.conn
	var timer *time.Timer
	var late <-chan time.Time
	for {
		c.mu.Lock()
		interim, resp, err, sent := s.interim, s.resp, s.err, s.requestSent
		s.interim = nil
		c.mu.Unlock()
		for _, one := range interim {
			s.req.Interim(one.StatusCode, one.Header)
		}
		switch {
		case resp != nil:
			return resp, nil
		case err != nil:
			return nil, err
		}
		if sent && timer == nil {
			timer = time.NewTimer(c.client.headerTimeout)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-s.progress:
		case <-late:
			s.abort(&http2Error{kind: KindTimeout, detail: waitDetail(c.client.headerTimeout)})
		}
	}
}

// Read reads the response's body. At its end it returns the same error every time.
func (s *http2Exchange) Read(p []byte) (int, error) {
	c := s.conn
	for {
		c.mu.Lock()
		if len(s.buffer) > 0 && s.ctx.Err() != nil {
			c.mu.Unlock()
			s.release()
			return 0, contextError(s.ctx) // the received part must not look complete
		}
		if n := s.buffer.read(p); n > 0 {
			s.returnWindow(int64(n))
			c.mu.Unlock()
			return n, nil
		}
		err := s.err
		if err == io.EOF && s.trailer != nil { //nolint:errorlint // as above
			if s.resp.Trailer == nil {
				s.resp.Trailer = make(http.Header, len(s.trailer))
			}
			maps.Copy(s.resp.Trailer, s.trailer)
			s.trailer = nil
		}
		c.mu.Unlock()
		if err != nil {
			s.release()
			return 0, s.classifyBody(err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		<-s.progress
	}
}

// Wait returns when Read would not block. Unlike a blocked Read it needs no buffer.
func (s *http2Exchange) Wait() {
	for {
		s.conn.mu.Lock()
		ready := len(s.buffer) > 0 || s.err != nil
		s.conn.mu.Unlock()
		if ready {
			return
		}
		<-s.progress
	}
}

// Close implements [io.Closer]. It resets a stream whose body was not read to its end.
func (s *http2Exchange) Close() error {
	s.release()
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if len(s.buffer) > 0 {
		s.buffer.reset()
		s.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// release releases the stream and its window.
func (s *http2Exchange) release() {
	s.unwatch()
	s.abort(http.ErrBodyReadAfterClose)
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.client.windowGrowth.Add(streamWindow - s.windowSize)
	s.windowSize = streamWindow
}

// classify returns the error of an exchange that ended before the response header.
func (s *http2Exchange) classify(err error) error {
	if s.ctx.Err() != nil {
		return contextError(s.ctx)
	}
	return s.conn.client.fromHTTP2Error(err)
}

// classifyBody returns the error of an exchange that ended within the response body.
func (s *http2Exchange) classifyBody(err error) error {
	switch failure, ok := err.(*http2Error); { //nolint:errorlint // it is never wrapped
	case err == io.EOF || err == http.ErrBodyReadAfterClose: //nolint:errorlint // as above
		return err
	case s.ctx.Err() != nil:
		return contextError(s.ctx)
	case ok && failure.kind != KindMalformed:
		return s.conn.client.newError(KindTruncated, failure.detail)
	}
	return s.conn.client.fromHTTP2Error(err)
}

// fromHTTP2Error converts an [*http2Error] to an [*Error].
func (h *http1Client) fromHTTP2Error(err error) error {
	failure, ok := err.(*http2Error) //nolint:errorlint // it is never wrapped
	if !ok {
		return err
	}
	failed := h.newError(failure.kind, failure.detail)
	failed.Unprocessed, failed.refusedStream, failed.staleConn = failure.unprocessed, failure.refusedStream, failure.staleConn
	return failed
}

// http2Header is the header of a request.
type http2Header struct {
	fields          []hpack.HeaderField
	framing         framing
	expectsContinue bool // the body waits for 100 (Continue)
}

// newHTTP2Header returns the header of a request. As over HTTP/1.1, it rejects invalid
// fields.
func (h *http1Client) newHTTP2Header(req *Request, target string) (*http2Header, error) {
	method, err := methodOf(req)
	if err != nil {
		return nil, err
	}
	header := &http2Header{framing: framingOf(req), expectsContinue: len(req.Header["Expect"]) > 0 && req.Body != nil}
	fields := make([]hpack.HeaderField, 0, len(req.Header)+6)
	add := func(name, value string) { fields = append(fields, hpack.HeaderField{Name: name, Value: value}) }
	add(":method", method)
	add(":scheme", "https")
	add(":authority", h.authority)
	add(":path", target)
	switch {
	case header.framing.chunked:
		for name := range header.framing.trailer {
			add("trailer", name)
		}
	case header.framing.length >= 0:
		add("content-length", strconv.FormatInt(header.framing.length, 10))
	}
	for name, values := range req.Header {
		if isConnectionField(name) || name == "Te" && !slices.Equal(values, []string{"trailers"}) {
			continue
		}
		if fields, err = appendHPACKFields(fields, name, values); err != nil {
			return nil, err
		}
	}
	header.fields = fields
	return header, nil
}

// isConnectionField reports whether a field is forbidden in HTTP/2 (RFC 9113 §8.2.2) or is
// derived from the rest of the request.
func isConnectionField(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade":
		return true
	default:
		return false
	}
}

// hpackTrailer returns the fields that are allowed in a trailer.
func hpackTrailer(trailer http.Header) (fields []hpack.HeaderField, err error) {
	for name, values := range trailer {
		if httpguts.ValidTrailerHeader(name) {
			if fields, err = appendHPACKFields(fields, name, values); err != nil {
				return nil, err
			}
		}
	}
	return fields, nil
}

func appendHPACKFields(fields []hpack.HeaderField, name string, values []string) ([]hpack.HeaderField, error) {
	if err := checkField(name, values); err != nil {
		return nil, err
	}
	lower := strings.ToLower(name)
	for _, value := range values {
		// A credential must not be stored in the dynamic table (RFC 7541 §7.1.3).
		fields = append(fields, hpack.HeaderField{Name: lower, Value: strings.Trim(value, " \t"), Sensitive: lower == "authorization"})
	}
	return fields, nil
}

var (
	errInterimEnd = errors.New("the stream ended with an interim response")
	errPseudo     = errors.New("invalid pseudo-header fields")
)

// parseHTTP2Response returns the response with the given header fields (RFC 9113 §8.3.2).
func parseHTTP2Response(fields []hpack.HeaderField) (*http.Response, error) {
	resp := &http.Response{Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(fields))}
	values := make([]string, len(fields)) // one array for all, because most fields have one value
	for i, field := range fields {
		if strings.HasPrefix(field.Name, ":") {
			if field.Name != ":status" || i > 0 {
				return nil, errPseudo
			}
			status, err := strconv.ParseUint(field.Value, 10, 16)
			if err != nil || len(field.Value) != 3 {
				return nil, errStatus
			}
			resp.StatusCode = int(status)
			resp.Status = field.Value + " " + http.StatusText(resp.StatusCode)
			continue
		}
		if !isHTTP2FieldName(field.Name) {
			return nil, errField
		}
		switch name := textproto.CanonicalMIMEHeaderKey(field.Name); {
		case name == "Trailer":
			announceTrailer(resp, field.Value)
		case isConnectionField(name) && name != "Host" && name != "Content-Length":
			// It has no meaning in HTTP/2, and must not get one downstream.
		case resp.Header[name] == nil:
			values[i] = field.Value
			resp.Header[name] = values[i : i+1 : i+1]
		default:
			resp.Header[name] = append(resp.Header[name], field.Value)
		}
	}
	if resp.StatusCode == 0 {
		return nil, errPseudo
	}
	return resp, nil
}

// isHTTP2FieldName reports whether a field name is valid in HTTP/2, which forbids upper case
// (RFC 9113 §8.2.1).
func isHTTP2FieldName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && strings.ToLower(name) == name
}

// announceTrailer adds the names in a Trailer field to the trailer of a response.
func announceTrailer(resp *http.Response, names string) {
	for name := range strings.SplitSeq(names, ",") {
		if name = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)); httpguts.ValidTrailerHeader(name) && httpguts.ValidHeaderFieldName(name) {
			if resp.Trailer == nil {
				resp.Trailer = make(http.Header)
			}
			resp.Trailer[name] = nil
		}
	}
}

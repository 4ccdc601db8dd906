package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// http2Exchange is one request and its response, on a stream of a connection. It is
// the response's body too.
type http2Exchange struct {
	conn         *http2Conn
	ctx          context.Context //nolint:containedctx // it is the exchange's own: the one Send was called with
	req          *Request
	id           uint32
	headerOffset int64 // where the header is in what the connection writes; set under conn.mu

	framesBefore int64 // how many frames the connection had received when the exchange began

	progress    chan struct{} // has one if there is something new for who waits for the answer
	uploadReady chan struct{} // has one if an upload may be able to go on
	unwatch     func() bool   // ends the watch on ctx

	// All guarded by conn.mu.

	sendWindow      int64            // what may be sent
	requestSent     bool             // all of the request is in the queue
	bodyUnwanted    bool             // the rest of the request is not to be sent
	continued       bool             // what the expectation waits for has come
	uploading       bool             // there is an upload, which may wait for room
	headersReceived int              // how many headers came
	interim         []*http.Response // for the caller, who has not been told of them yet
	resp            *http.Response   // nil until it is there
	trailer         http.Header      // of the response
	headerBudget    int64            // how many bytes of fields may still come
	remaining       int64            // how much of the body is still to come; -1 if that isn't known
	windowSize      int64            // the window, when nothing waits
	recvWindow      int64            // what may come without more window
	pendingUpdate   int64            // window that is not given back yet
	readBytes       int64            // how much was read since readSince
	readSince       time.Time
	buffer          byteQueue // what came of the body, and was not read
	err             error     // what ended the response; io.EOF if it is whole
}

// wakeUpload has an upload look whether it may go on. conn.mu is held.
func (s *http2Exchange) notifyUpload() {
	if s.uploading {
		notify(s.uploadReady)
	}
}

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
	if why != io.EOF { //nolint:errorlint // an end that is wrapped is none
		s.bodyUnwanted = true
		notify(s.uploadReady)
	}
	notify(s.progress)
}

// setUploading says whether there is an upload. conn.mu is held.
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

// stopUpload has an upload end, as the stream is over. conn.mu is held.
func (s *http2Exchange) stopUpload() {
	if s.uploading {
		s.setUploading(false)
		s.bodyUnwanted = true
		notify(s.uploadReady)
	}
}

// open begins the exchange of a request that has a reservation, and sends its
// header. Of a body it sends what is small and in memory, and returns the rest.
func (c *http2Conn) open(ctx context.Context, req *Request, header *http2Header, body io.Reader) (*http2Exchange, io.Reader, error) {
	s := &http2Exchange{
		conn: c, ctx: ctx, req: req, progress: make(chan struct{}, 1), uploadReady: make(chan struct{}, 1),
		headerBudget: maxResponseHeaderBytes, remaining: -1, windowSize: streamWindow, recvWindow: streamWindow,
	}
	c.mu.Lock()
	c.reserved--
	if c.closing {
		fault := closedError("the connection is closing")
		if c.endErr != nil {
			copied := *c.endErr
			fault = &copied
		}
		fault.unprocessed = true
		c.retireIfUnused()
		c.mu.Unlock()
		return nil, nil, fault
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

// begin puts the header, and a body that may go with it, into the queue. It returns
// a body that may not. conn.mu is held.
func (s *http2Exchange) sendHeader(header *http2Header, body io.Reader) io.Reader {
	c := s.conn
	c.block.Reset()
	for _, field := range header.fields {
		_ = c.encoder.WriteField(field) // to a buffer
	}
	var flags frames.Flags
	if body == nil {
		flags, s.requestSent = frames.FlagHeadersEndStream, true
	}
	kind := frames.FrameHeaders
	for block := c.block.Bytes(); ; {
		n := min(len(block), c.maxFrame)
		if n == len(block) {
			flags |= frames.FlagHeadersEndHeaders
		}
		c.queueFrame(kind, flags, s.id, block[:n])
		if block = block[n:]; len(block) == 0 {
			break
		}
		kind, flags = frames.FrameContinuation, 0
	}
	s.headerOffset = c.queuedBytes
	memory, ok := body.(*bytes.Reader)
	if !ok || memory.Len() > min(memoryBody, c.maxFrame) || int64(memory.Len()) > min(s.sendWindow, c.sendWindow) || header.expects {
		return body
	}
	content := make([]byte, memory.Len())
	_, _ = memory.Read(content)
	s.queueData(content, true)
	return nil
}

// queueData puts a piece of the body into the queue. conn.mu is held.
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

// requestEnded lets go of the stream if the response is whole already, and begins
// the wait for it otherwise. conn.mu is held.
func (s *http2Exchange) requestEnded() {
	s.requestSent = true
	s.setUploading(false)
	if s.err != nil {
		s.conn.removeStream(s)
	}
	notify(s.progress)
}

// abort ends the exchange from this side.
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

// upload sends a body. It runs beside the exchange.
func (s *http2Exchange) upload(body io.Reader, header *http2Header) {
	defer closeBody(body)
	if header.expects && !s.awaitContinue() {
		return
	}
	left := header.framing.length
	var buffer []byte
	if !header.framing.chunked && left <= smallBody {
		buffer = make([]byte, left+1) // of a slow client, of which there may be many
	} else {
		pooled := uploadBuffers.Get().(*[uploadBuffer]byte)
		defer uploadBuffers.Put(pooled)
		buffer = pooled[:]
	}
	for {
		n, err := body.Read(buffer)
		if left -= int64(n); !header.framing.chunked && left < 0 {
			err = errBodyTooLong
		} else if n > 0 && !s.send(buffer[:n]) {
			return
		}
		switch {
		case err == nil:
			continue
		case err == io.EOF && (header.framing.chunked || left == 0): //nolint:errorlint // an end that is wrapped is none
			err = s.endRequest(header)
		case err == io.EOF: //nolint:errorlint // as above
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			s.failUpload(s.conn.client.requestError(err))
		}
		return
	}
}

// failUpload ends the exchange for want of the rest of the body, if that is wanted.
func (s *http2Exchange) failUpload(why error) {
	s.conn.mu.Lock()
	unwanted := s.bodyUnwanted
	s.conn.mu.Unlock()
	if !unwanted {
		s.abort(why)
	}
}

// awaitContinue waits until the upstream wants the body, or says nothing for some
// time. It reports whether the body is to be sent.
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

// send sends a piece of the body, as the windows allow. It reports whether the
// piece was wanted.
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
		case n > 0: // what the connection doesn't take in time ends it
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
			s.abort(&http2Error{kind: KindTimeout, detail: fmt.Sprintf("it took nothing of the request for %v", c.client.stallTimeout)})
			return false
		}
	}
}

// endRequest ends the body, with a trailer if there is one.
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
		c.block.Reset()
		for _, field := range trailer {
			_ = c.encoder.WriteField(field) // to a buffer
		}
		flags, kind := frames.FlagHeadersEndStream, frames.FrameHeaders
		for block := c.block.Bytes(); len(block) > 0; {
			n := min(len(block), c.maxFrame)
			if n == len(block) {
				flags |= frames.FlagHeadersEndHeaders
			}
			c.queueFrame(kind, flags, s.id, block[:n])
			block = block[n:]
			kind, flags = frames.FrameContinuation, 0
		}
		s.requestEnded()
	}
	return nil
}

// processFields takes a header block: an interim response, the final one, or its
// trailer. conn.mu is held.
func (s *http2Exchange) processHeader(fields []hpack.HeaderField, size int64, end bool) {
	s.headersReceived++
	if s.headerBudget -= size; s.headerBudget < 0 {
		if s.headersReceived > 1 { // by interim answers, of which more may be on their way
			s.conn.stopRequests()
		}
		s.rejectResponse(&http2Error{kind: KindHeaderTooLarge, detail: fmt.Sprintf("the limit is %d bytes", maxResponseHeaderBytes)})
		return
	}
	if s.resp != nil {
		s.processTrailer(fields, end)
		return
	}
	resp, err := parseHTTP2Response(fields) //nolint:bodyclose // it has none yet
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
			s.interim = append(s.interim, resp) //nolint:bodyclose // it has none
			notify(s.progress)
		}
	default:
		s.processResponse(resp, end)
	}
}

// refuse ends an exchange in which the upstream violates the protocol. conn.mu is
// held.
func (s *http2Exchange) rejectResponse(why *http2Error) {
	s.conn.resetStream(s, why, frames.ErrCodeProtocol)
}

func (s *http2Exchange) processResponse(resp *http.Response, end bool) {
	s.remaining, _ = parseLength(resp.Header["Content-Length"]) // it was checked
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
		// Who is refused, or is to ask elsewhere, need not be heard out.
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

// responseEnded sees whether the response is whole. conn.mu is held.
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
		s.rejectResponse(malformedError("a header follows the header"))
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

// processData takes a piece of the body. conn.mu is held.
func (s *http2Exchange) processData(frame *frames.DataFrame) {
	data := frame.Data()
	s.recvWindow -= int64(frame.Length)
	switch {
	case s.err != nil:
		return
	case s.recvWindow < 0:
		s.conn.resetStream(s, malformedError("it sends more than there is room for"), frames.ErrCodeFlowControl)
		return
	case s.resp == nil:
		s.rejectResponse(malformedError("a body without a header"))
		return
	}
	if s.remaining >= 0 {
		if s.remaining -= int64(len(data)); s.remaining < 0 {
			s.rejectResponse(malformedError("the body is longer than its stated length"))
			return
		}
	}
	if len(data) > 0 {
		s.buffer.write(data)
		notify(s.progress)
	}
	s.returnWindow(int64(frame.Length) - int64(len(data))) // padding is read at once
	if frame.StreamEnded() {
		s.responseEnded()
	}
}

// giveBack gives window back, and more of it to a reader that is fast. conn.mu is
// held.
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

// grow reports whether the windows of all streams may grow by n more.
func (h *http1Client) reserveWindowGrowth(n int64) bool {
	if h.windowGrowth.Add(n) <= maxGrowth {
		return true
	}
	h.windowGrowth.Add(-n)
	return false
}

// await returns the response when its header is there.
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
			s.abort(&http2Error{kind: KindTimeout, detail: fmt.Sprintf("waited %v", c.client.headerTimeout)})
		}
	}
}

// Read implements [io.Reader] for the response's body. What ended it is told as
// often as it is asked.
func (s *http2Exchange) Read(p []byte) (int, error) {
	c := s.conn
	for {
		c.mu.Lock()
		if len(s.buffer) > 0 && s.ctx.Err() != nil {
			c.mu.Unlock()
			s.release()
			return 0, contextError(s.ctx) // what came before is no end
		}
		if n := s.buffer.read(p); n > 0 {
			s.returnWindow(int64(n))
			c.mu.Unlock()
			return n, nil
		}
		err := s.err
		if err == io.EOF && s.trailer != nil { //nolint:errorlint // as said
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

// Wait returns when there is something to Read, or nothing more to come. Who waits
// here, rather than in Read, needs no buffer for that.
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

// Close implements [io.Closer]. A body that was not read to its end is not wanted
// any more.
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

// close lets go of the stream.
func (s *http2Exchange) release() {
	s.unwatch()
	s.abort(http.ErrBodyReadAfterClose)
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.client.windowGrowth.Add(streamWindow - s.windowSize)
	s.windowSize = streamWindow
}

// headError turns what ended an exchange before the response into an error that
// says what happened.
func (s *http2Exchange) classify(err error) error {
	if s.ctx.Err() != nil {
		return contextError(s.ctx)
	}
	return s.conn.client.fromHTTP2Error(err)
}

// bodyError does the same for what ended it within the response's body.
func (s *http2Exchange) classifyBody(err error) error {
	switch fault, ok := err.(*http2Error); { //nolint:errorlint // it is never wrapped
	case err == io.EOF || err == http.ErrBodyReadAfterClose: //nolint:errorlint // as above
		return err
	case s.ctx.Err() != nil:
		return contextError(s.ctx)
	case ok && fault.kind != KindMalformed:
		return s.conn.client.newError(KindTruncated, fault.detail)
	}
	return s.conn.client.fromHTTP2Error(err)
}

// upstreamError turns a fault into an [*Error].
func (h *http1Client) fromHTTP2Error(err error) error {
	fault, ok := err.(*http2Error) //nolint:errorlint // it is never wrapped
	if !ok {
		return err
	}
	failed := h.newError(fault.kind, fault.detail)
	failed.Unprocessed, failed.refusedStream, failed.staleConn = fault.unprocessed, fault.refusedStream, fault.staleConn
	return failed
}

// http2Header is the header of a request.
type http2Header struct {
	fields  []hpack.HeaderField
	framing framing
	expects bool // the body is held back until the upstream wants it
}

// headerOf returns the header of a request. As in HTTP/1.1, what HTTP forbids is
// refused.
func (h *http1Client) newHTTP2Header(req *Request, target string) (*http2Header, error) {
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	if !httpguts.ValidHeaderFieldName(method) { // both are tokens
		return nil, fmt.Errorf("the method %.32q is not valid", method)
	}
	header := &http2Header{framing: framingOf(req), expects: len(req.Header["Expect"]) > 0 && req.Body != nil}
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
		var err error
		if fields, err = appendHPACKFields(fields, name, values); err != nil {
			return nil, err
		}
	}
	header.fields = fields
	return header, nil
}

// isConnectionField reports whether a field has no place in HTTP/2 (RFC 9113
// §8.2.2), or is made from the rest of the request.
func isConnectionField(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade":
		return true
	default:
		return false
	}
}

// trailerFields returns the fields of a trailer that may stand there.
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
		// A key is nothing to be remembered by the connection (RFC 7541 §7.1.3).
		fields = append(fields, hpack.HeaderField{Name: lower, Value: strings.Trim(value, " \t"), Sensitive: lower == "authorization"})
	}
	return fields, nil
}

var (
	errInterimEnd = errors.New("it ended with an interim response")
	errPseudo     = errors.New("the pseudo-header fields are not valid")
)

// responseOf makes a response of header fields (RFC 9113 §8.3.2).
func parseHTTP2Response(fields []hpack.HeaderField) (*http.Response, error) {
	resp := &http.Response{Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(fields))}
	values := make([]string, len(fields)) // one array for all, as most names have one value
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
			// It says nothing in HTTP/2, and must not seem to further on.
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

// isFieldName reports whether a name is one of HTTP/2, which has no capitals (RFC
// 9113 §8.2.1).
func isHTTP2FieldName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && strings.ToLower(name) == name
}

// announce notes the names that a Trailer field announces.
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

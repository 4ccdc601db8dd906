package upstream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	frames "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
)

const (
	// streamWindow is the number of bytes of one response that are buffered for a slow
	// reader before the upstream must pause.
	streamWindow = 64 << 10

	// maxStreamWindow is the limit for a fast reader. The window doubles when it was read
	// within growTime and the buffer is empty. With a round trip of 50 ms it allows 20 MB/s
	// per stream.
	maxStreamWindow = 1 << 20
	growTime        = 500 * time.Millisecond

	// maxGrowth bounds the growth of the windows of all streams to a host.
	maxGrowth = 64 << 20

	// connBuffer is the window of a connection. It is not a limit in practice, because
	// each stream has one.
	connBuffer = 1 << 30

	// readFrameSize is the largest payload of a received frame, the default of RFC 9113
	// §6.5.2.
	readFrameSize = 16 << 10

	// maxHeaderBlock is the length at which a header block ends the connection. A shorter
	// one that is too long only ends its stream.
	maxHeaderBlock = maxResponseHeaderBytes + 64<<10

	// maxQueued is the number of bytes in the write queue at which uploads pause.
	maxQueued = 64 << 10

	// maxReplies bounds the bytes in the write queue that reply to frames of the upstream.
	// An upstream that keeps requesting replies without reading them is disconnected.
	maxReplies = 256 << 10

	// maxWindow is the largest flow-control window (RFC 9113 §6.9.1).
	maxWindow = 1<<31 - 1

	// lastStream is the stream ID after which a connection accepts no more requests. It is
	// well below the largest ID.
	lastStream = 1 << 30

	// frameAllowance bounds the burst of received frames that carry no data, and frameRate
	// their number per second. No legitimate peer needs as many (RFC 9113 §10.5).
	frameAllowance = 10_000
	frameRate      = 1_000

	// frameWarning is the number of such frames after which the connection accepts no more
	// requests, so that new requests don't fail with it.
	frameWarning = 2_000

	// maxInterim is the number of interim responses after which an aborted stream makes
	// its connection accept no more requests: more of them may be in flight.
	maxInterim = 16

	// streamAllowance is added to the frame budget for each reset stream, whose frames
	// may be in flight. dataAllowance is added for each DATA frame of an upload, which
	// the peer may acknowledge with window updates.
	streamAllowance = 100
	dataAllowance   = 4
)

// http2Error is the error of a stream or of a connection.
type http2Error struct {
	kind   Kind   // KindClosed if the peer closed it, in whatever state
	detail string // never quotes received data

	// unprocessed reports that the upstream has not processed the request and won't (RFC
	// 9113 §8.7).
	unprocessed   bool
	refusedStream bool // the upstream refused the stream, not the connection
	staleConn     bool // the connection had been used, and ended without a frame since the request
	connFailed    bool // the connection does not work
}

// Error implements error.
func (e *http2Error) Error() string { return e.detail }

func closedError(detail string) *http2Error { return &http2Error{kind: KindClosed, detail: detail} }
func malformedError(detail string) *http2Error {
	return &http2Error{kind: KindMalformed, detail: detail}
}

// timeoutError returns the error of a peer that reads or sends nothing for too long.
func timeoutError(kind Kind, format string, d time.Duration) *http2Error {
	return &http2Error{kind: kind, detail: fmt.Sprintf(format, d), connFailed: true}
}

// protocolError returns the error of a connection that ended because of a protocol
// violation (RFC 9113 §5.4.1).
func protocolError(code frames.ErrCode) *http2Error {
	return &http2Error{kind: KindMalformed, detail: "connection error: " + codeName(code), connFailed: true}
}

// codeName returns the name of an error code. It never contains text of the peer.
func codeName(code frames.ErrCode) string { return code.String() }

// http2Conn is an HTTP/2 connection (RFC 9113). It has a goroutine that reads and one
// that writes. All other goroutines add frames to the write queue and only wait on their
// own channels. No lock is held while waiting for the network, so that the peer can't
// delay the end of a request.
type http2Conn struct {
	client          *http1Client
	network         net.Conn
	keepAlive       time.Duration
	onClosing       func(*http2Conn) // called once, when it accepts no more requests
	dropIfOverLimit func() bool      // reports whether it must be closed when idle
	untrack         func()           // see http1Client.trackConn
	settled         chan struct{}    // closed when the peer's SETTINGS have arrived
	done            chan struct{}    // closed when the connection has ended
	writeReady      chan struct{}    // has an element if the write queue is not empty
	frameCredit     atomic.Int64     // added to frameBudget

	mu             sync.Mutex
	createdAt      time.Time                 // guarded by mu
	streams        map[uint32]*http2Exchange // guarded by mu
	reserved       int                       // guarded by mu: streams for requests that have not opened them yet
	nextID         uint32                    // guarded by mu
	endErr         *http2Error               // guarded by mu: why the connection ended
	closing        bool                      // guarded by mu: it accepts no more requests
	dropped        bool                      // guarded by mu: dropIfOverLimit has returned true
	sendWindow     int64                     // guarded by mu: send window of the connection
	uploads        int                       // guarded by mu: streams with an upload
	framesReceived int64                     // guarded by mu
	writeQueue     []byte                    // guarded by mu: frames to write
	queuedBytes    int64                     // guarded by mu: bytes ever added to writeQueue
	replyBytes     int                       // guarded by mu: bytes of writeQueue that reply to the peer
	takenBytes     int64                     // guarded by mu: bytes ever removed from writeQueue
	encoder        *hpack.Encoder            // guarded by mu: writes to block
	block          bytes.Buffer              // guarded by mu
	lastRead       time.Time                 // guarded by mu
	pingSentAt     time.Time                 // guarded by mu: time of a PING that no frame has followed; zero for none
	idleSince      time.Time                 // guarded by mu
	timer          *time.Timer               // guarded by mu

	// Settings of the peer, guarded by mu.
	maxStreams    uint32
	maxFrame      int
	initialWindow int64

	// Only used by the reading goroutine.
	framer           *frames.Framer
	decoder          *hpack.Decoder
	unreturnedWindow int64 // received bytes not yet returned to the window of the connection
	frameBudget      float64
	frameBudgetAt    time.Time
	budgetLow        bool   // frameBudget is nearly exhausted
	headerBlock      []byte // the header block being received
	headerEndsStream bool   // headerBlock ends its stream
	headerFrames     int    // number of frames of headerBlock
}

// newHTTP2Conn starts HTTP/2 on a connection. It is ready when settled is closed, unless done
// is closed by then.
func newHTTP2Conn(h *http1Client, network net.Conn, keepAlive time.Duration, left func(*http2Conn), crowded func() bool) *http2Conn {
	now := time.Now()
	c := &http2Conn{
		client: h, network: network, keepAlive: keepAlive, onClosing: left, dropIfOverLimit: crowded, untrack: h.trackConn(),
		settled: make(chan struct{}), done: make(chan struct{}), writeReady: make(chan struct{}, 1),
		createdAt: now, lastRead: now, idleSince: now,
		streams: make(map[uint32]*http2Exchange), nextID: 1, sendWindow: 65535,
		maxStreams: 100, maxFrame: 16 << 10, initialWindow: 65535,
		frameBudget: frameAllowance, frameBudgetAt: now,
	}
	c.encoder = hpack.NewEncoder(&c.block)
	c.decoder = hpack.NewDecoder(4096, nil)
	c.decoder.SetMaxStringLength(maxHeaderBlock)
	c.framer = frames.NewFramer(nil, bufio.NewReaderSize(network, 4<<10))
	c.framer.SetMaxReadFrameSize(readFrameSize)
	c.framer.SetReuseFrames()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeQueue = append(c.writeQueue, frames.ClientPreface...)
	c.queueFrame(frames.FrameSettings, 0, 0, settingsPayload(
		frames.Setting{ID: frames.SettingEnablePush, Val: 0},
		frames.Setting{ID: frames.SettingInitialWindowSize, Val: streamWindow},
		frames.Setting{ID: frames.SettingMaxHeaderListSize, Val: maxResponseHeaderBytes},
	))
	c.queueFrame(frames.FrameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, connBuffer-65535))
	c.timer = time.AfterFunc(keepAlive, c.checkAlive)
	go c.writeLoop()
	go c.readLoop()
	return c
}

func settingsPayload(all ...frames.Setting) (b []byte) {
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

// queueFrame adds a frame to the write queue. mu is held.
func (c *http2Conn) queueFrame(kind frames.FrameType, flags frames.Flags, stream uint32, payload []byte) {
	before := len(c.writeQueue)
	n := len(payload)
	c.writeQueue = append(c.writeQueue, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags))
	c.writeQueue = binary.BigEndian.AppendUint32(c.writeQueue, stream)
	c.writeQueue = append(c.writeQueue, payload...)
	c.queuedBytes += int64(len(c.writeQueue) - before)
	select {
	case c.writeReady <- struct{}{}:
	default:
	}
}

// queueReply is queueFrame for a reply to a frame of the peer. mu is held.
func (c *http2Conn) queueReply(kind frames.FrameType, flags frames.Flags, stream uint32, payload []byte) {
	before := len(c.writeQueue)
	c.queueFrame(kind, flags, stream, payload)
	c.replyBytes += len(c.writeQueue) - before
}

func (c *http2Conn) queueUint32(kind frames.FrameType, stream, value uint32) {
	c.queueReply(kind, 0, stream, binary.BigEndian.AppendUint32(make([]byte, 0, 4), value))
}

// reserve reserves up to n streams and returns their number. Each must be passed to open or
// release.
func (c *http2Conn) reserve(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dropped || time.Since(c.createdAt) > maxAge {
		return 0
	}
	n = int(max(0, min(int64(n), int64(c.maxStreams)-int64(len(c.streams)+c.reserved))))
	c.reserved += n
	return n
}

// release returns reserved streams.
func (c *http2Conn) release(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved -= n
	c.retireIfUnused()
}

// streamLimit returns the number of concurrent streams that the peer allows.
func (c *http2Conn) streamLimit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(min(c.maxStreams, math.MaxInt32))
}

// closeIdle closes the connection if it has no requests.
func (c *http2Conn) closeIdle() {
	c.mu.Lock()
	unused := len(c.streams)+c.reserved == 0
	c.mu.Unlock()
	if unused {
		c.retire(errUnused, maxWindow)
	}
}

// err returns why the connection ended, or nil if it has not.
func (c *http2Conn) err() *http2Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endErr
}

// isDropped reports whether dropIfOverLimit has returned true.
func (c *http2Conn) isDropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// isClosing reports whether the connection accepts no more requests.
func (c *http2Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// retire makes the connection accept no more requests, and ends it after the last one.
// Requests on streams above last are not processed by the peer.
func (c *http2Conn) retire(err *http2Error, last uint32) {
	unprocessed := *err
	unprocessed.unprocessed = true
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	for id, s := range c.streams {
		switch {
		case id <= last:
			continue
		case s.headersReceived > 0: // it was processed, whatever the peer reports
			s.finish(err)
		default:
			s.finish(&unprocessed)
		}
		s.stopUpload()
		delete(c.streams, id)
	}
	end := len(c.streams)+c.reserved == 0
	c.mu.Unlock()
	if first {
		c.onClosing(c)
	}
	if end {
		c.fail(err, frames.ErrCodeNo)
	}
}

// stopRequests makes the connection accept no more requests. mu is held.
func (c *http2Conn) stopRequests() {
	if !c.closing {
		c.closing = true
		go c.onClosing(c)
	}
}

// errUnused ends a connection without requests.
var errUnused = closedError("the connection was no longer in use")

// fail ends the connection with all of its streams.
func (c *http2Conn) fail(err *http2Error, code frames.ErrCode) {
	c.mu.Lock()
	if c.endErr != nil {
		c.mu.Unlock()
		return
	}
	first := !c.closing
	c.endErr, c.closing = err, true
	for _, s := range c.streams {
		of := *err
		of.unprocessed = s.headerOffset > c.takenBytes // its header was never written
		of.staleConn = err.kind == KindClosed && s.id > 1 && s.framesBefore == c.framesReceived
		s.finish(&of)
		s.stopUpload()
	}
	clear(c.streams)
	c.timer.Stop()
	c.mu.Unlock()
	close(c.done)
	c.untrack()
	if first {
		c.onClosing(c)
	}
	// Closing waits some time for a peer that reads nothing.
	go c.closeWithGoAway(code)
}

// closeWithGoAway sends GOAWAY if that is possible at once, and closes the connection.
func (c *http2Conn) closeWithGoAway(code frames.ErrCode) {
	const goAwayTimeout = 100 * time.Millisecond
	if c.network.SetWriteDeadline(time.Now().Add(goAwayTimeout)) == nil {
		goAway := []byte{0, 0, 8, byte(frames.FrameGoAway), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(code)}
		_, _ = c.network.Write(goAway) // best effort
	}
	_ = c.network.Close()
}

// writeLoop writes the write queue until the connection ends.
func (c *http2Conn) writeLoop() {
	out := deadline.Writer{Conn: c.network, Timeout: c.client.stallTimeout}
	var spare []byte
	for {
		select {
		case <-c.writeReady:
		case <-c.done:
			return
		}
		c.mu.Lock()
		batch := c.writeQueue
		c.writeQueue = spare[:0]
		c.takenBytes, c.replyBytes = c.queuedBytes, 0
		c.mu.Unlock()
		for rest := batch; len(rest) > 0; {
			n, err := out.Write(rest[:min(len(rest), uploadBufferSize)])
			if err != nil {
				c.fail(c.writeError(err), frames.ErrCodeNo)
				return
			}
			rest = rest[n:]
		}
		spare = nil
		if cap(batch) <= 2*maxQueued {
			spare = batch
		}
		c.notifyUploads()
	}
}

func (c *http2Conn) writeError(err error) *http2Error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return timeoutError(KindTimeout, "it read nothing of the request for %v", c.client.stallTimeout)
	}
	return closedError(errorDetail(err))
}

// notifyUploads makes all uploads check whether they may continue.
func (c *http2Conn) notifyUploads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notifyUploadsLocked()
}

// notifyUploadsLocked is notifyUploads. mu is held.
func (c *http2Conn) notifyUploadsLocked() {
	if c.uploads == 0 {
		return
	}
	for _, s := range c.streams {
		s.notifyUpload()
	}
}

// checkAlive sends a PING after a time without frames, ends the connection if none follow,
// and retires an idle or old connection.
func (c *http2Conn) checkAlive() {
	c.mu.Lock()
	if c.endErr != nil {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	unused := len(c.streams)+c.reserved == 0
	if unused && (now.Sub(c.idleSince) >= idleTimeout || now.Sub(c.createdAt) > maxAge) {
		c.mu.Unlock()
		c.retire(errUnused, maxWindow)
		return
	}
	if c.pingSentAt.Before(c.lastRead) {
		c.pingSentAt = time.Time{}
	}
	var next time.Duration
	switch quiet := now.Sub(c.lastRead); {
	case !c.pingSentAt.IsZero() && now.Sub(c.pingSentAt) >= c.keepAlive:
		c.mu.Unlock()
		c.fail(timeoutError(KindClosed, "no response to a PING for %v", c.keepAlive), frames.ErrCodeNo)
		return
	case !c.pingSentAt.IsZero():
		next = c.keepAlive - now.Sub(c.pingSentAt)
	case quiet >= c.keepAlive:
		c.pingSentAt = now
		c.queueFrame(frames.FramePing, 0, 0, make([]byte, 8))
		next = c.keepAlive
	default:
		next = c.keepAlive - quiet
	}
	if unused {
		next = min(next, idleTimeout-now.Sub(c.idleSince))
	}
	c.timer.Reset(max(next, time.Millisecond))
	c.mu.Unlock()
}

// readLoop receives frames until the connection ends.
func (c *http2Conn) readLoop() {
	err, code := c.readFrames()
	c.fail(err, code)
}

func (c *http2Conn) readFrames() (*http2Error, frames.ErrCode) {
	for first := true; ; first = false {
		head, err := c.framer.ReadFrameHeader()
		var frame frames.Frame
		if err == nil {
			frame, err = c.framer.ReadFrameForHeader(head)
		}
		if err == nil && first && head.Type != frames.FrameSettings {
			err = frames.ConnectionError(frames.ErrCodeProtocol) // RFC 9113 §3.4
		}
		if err == nil {
			err = c.processFrame(frame)
		}
		if stream, ok := errors.AsType[frames.StreamError](err); ok && head.Type != frames.FrameHeaders {
			err = c.chargeEmptyFrame()
			c.reset(stream.StreamID, malformedError("stream error: "+codeName(stream.Code)), stream.Code)
		}
		if err == nil {
			continue
		}
		if failure, ok := errors.AsType[*http2Error](err); ok {
			return failure, frames.ErrCodeEnhanceYourCalm
		}
		if violation, ok := errors.AsType[frames.ConnectionError](err); ok {
			return protocolError(frames.ErrCode(violation)), frames.ErrCode(violation)
		}
		switch {
		case errors.Is(err, frames.ErrFrameTooLarge):
			return protocolError(frames.ErrCodeFrameSize), frames.ErrCodeFrameSize
		case isDisconnect(err):
			return c.disconnectError(err), frames.ErrCodeNo
		default: // an unparsable frame
			return protocolError(frames.ErrCodeProtocol), frames.ErrCodeProtocol
		}
	}
}

// disconnectError returns the error of a connection that the peer closed.
func (c *http2Conn) disconnectError(err error) *http2Error {
	if err == io.EOF { //nolint:errorlint // the framer does not wrap it
		err = io.ErrUnexpectedEOF
	}
	return closedError(errorDetail(err))
}

var errFlood = &http2Error{kind: KindMalformed, detail: "it floods the connection with frames that carry no data", connFailed: true}

// chargeEmptyFrame subtracts a frame that carries no data from the budget. It returns an
// error if the budget is exhausted.
func (c *http2Conn) chargeEmptyFrame() error {
	const strained = frameAllowance - frameWarning
	if c.frameBudget < strained {
		now := time.Now()
		c.frameBudget += now.Sub(c.frameBudgetAt).Seconds()*frameRate + float64(c.frameCredit.Swap(0))
		c.frameBudget = min(c.frameBudget, frameAllowance)
		c.frameBudgetAt = now
		c.budgetLow = c.frameBudget < strained
	}
	if c.frameBudget < 1 {
		return errFlood
	}
	c.frameBudget--
	return nil
}

// processFrame handles a received frame.
func (c *http2Conn) processFrame(frame frames.Frame) error {
	c.mu.Lock()
	c.lastRead = time.Now()
	c.framesReceived++
	flooded := c.replyBytes > maxReplies
	if c.budgetLow {
		c.stopRequests()
	}
	c.mu.Unlock()
	if flooded {
		return errFlood
	}
	switch frame := frame.(type) {
	case *frames.DataFrame:
		return c.processData(frame)
	case *frames.HeadersFrame:
		c.headerBlock = append(c.headerBlock[:0], frame.HeaderBlockFragment()...)
		c.headerEndsStream, c.headerFrames = frame.StreamEnded(), 1
		return c.processBlock(frame.StreamID, frame.HeadersEnded())
	case *frames.ContinuationFrame:
		c.headerBlock = append(c.headerBlock, frame.HeaderBlockFragment()...)
		c.headerFrames++
		return c.processBlock(frame.StreamID, frame.HeadersEnded())
	case *frames.RSTStreamFrame:
		return c.processReset(frame)
	case *frames.SettingsFrame:
		if err := c.chargeEmptyFrame(); err != nil {
			return err
		}
		return c.processSettings(frame)
	case *frames.PingFrame:
		if err := c.chargeEmptyFrame(); err != nil || frame.IsAck() {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.queueReply(frames.FramePing, frames.FlagPingAck, 0, frame.Data[:])
		return nil
	case *frames.GoAwayFrame:
		return c.processGoAway(frame)
	case *frames.WindowUpdateFrame:
		if err := c.chargeEmptyFrame(); err != nil {
			return err
		}
		return c.processWindow(frame)
	case *frames.PushPromiseFrame:
		return frames.ConnectionError(frames.ErrCodeProtocol) // disabled by our settings
	default:
		return c.chargeEmptyFrame()
	}
}

// isIdle reports whether a stream is idle, so that frames on it are an error (RFC 9113
// §5.1). mu is held.
func (c *http2Conn) isIdle(stream uint32) bool { return stream%2 == 0 || stream >= c.nextID }

func (c *http2Conn) processSettings(frame *frames.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.settled:
	default:
		c.maxStreams = math.MaxUint32 // no limit by default (RFC 9113 §6.5.2)
	}
	if err := frame.ForeachSetting(c.applySetting); err != nil {
		return err
	}
	c.queueReply(frames.FrameSettings, frames.FlagSettingsAck, 0, nil)
	select {
	case <-c.settled:
	default:
		close(c.settled)
	}
	return nil
}

// applySetting applies a setting of the peer. mu is held.
func (c *http2Conn) applySetting(s frames.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case frames.SettingMaxConcurrentStreams:
		c.maxStreams = s.Val
	case frames.SettingMaxFrameSize:
		c.maxFrame = int(min(s.Val, uploadBufferSize))
	case frames.SettingHeaderTableSize:
		c.encoder.SetMaxDynamicTableSizeLimit(min(s.Val, 4096))
		c.encoder.SetMaxDynamicTableSize(min(s.Val, 4096))
	case frames.SettingInitialWindowSize:
		more := int64(s.Val) - c.initialWindow
		c.initialWindow = int64(s.Val)
		for _, stream := range c.streams {
			if stream.sendWindow += more; stream.sendWindow > maxWindow {
				return frames.ConnectionError(frames.ErrCodeFlowControl) // RFC 9113 §6.9.2
			}
			stream.notifyUpload()
		}
	default: // for servers, or unknown
	}
	return nil
}

// processGoAway ends the requests that the peer won't process (RFC 9113 §6.8). The others
// continue.
func (c *http2Conn) processGoAway(frame *frames.GoAwayFrame) error {
	if err := c.chargeEmptyFrame(); err != nil {
		return err
	}
	c.retire(closedError("the connection ended with GOAWAY: "+codeName(frame.ErrCode)), frame.LastStreamID)
	return nil
}

func (c *http2Conn) processWindow(frame *frames.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if frame.StreamID == 0 {
		if c.sendWindow += int64(frame.Increment); c.sendWindow > maxWindow {
			return frames.ConnectionError(frames.ErrCodeFlowControl)
		}
		c.notifyUploadsLocked()
		return nil
	}
	s := c.streams[frame.StreamID]
	if s == nil {
		if c.isIdle(frame.StreamID) {
			return frames.ConnectionError(frames.ErrCodeProtocol)
		}
		return nil
	}
	if s.sendWindow += int64(frame.Increment); s.sendWindow > maxWindow {
		return frames.StreamError{StreamID: s.id, Code: frames.ErrCodeFlowControl}
	}
	s.notifyUpload()
	return nil
}

func (c *http2Conn) processReset(frame *frames.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[frame.StreamID]
	if s == nil {
		if c.isIdle(frame.StreamID) {
			return frames.ConnectionError(frames.ErrCodeProtocol)
		}
		return c.chargeEmptyFrame()
	}
	failure := closedError("the stream was reset: " + codeName(frame.ErrCode))
	failure.refusedStream = frame.ErrCode == frames.ErrCodeRefusedStream && s.headersReceived == 0
	failure.unprocessed = failure.refusedStream
	s.finish(failure) // no effect if the response is complete: then only the rest of the request is unwanted
	c.removeStream(s)
	return nil
}

// reset ends a stream, if it exists, and sends RST_STREAM.
func (c *http2Conn) reset(id uint32, why error, code frames.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		c.resetStream(s, why, code)
	}
}

// resetStream is reset for a stream. mu is held.
func (c *http2Conn) resetStream(s *http2Exchange, why error, code frames.ErrCode) {
	s.finish(why)
	if c.streams[s.id] != s {
		return // it has ended for the peer
	}
	c.queueUint32(frames.FrameRSTStream, s.id, uint32(code))
	c.frameCredit.Add(streamAllowance)
	c.removeStream(s)
}

// removeStream removes a stream from the connection. mu is held.
func (c *http2Conn) removeStream(s *http2Exchange) {
	if c.streams[s.id] != s {
		return
	}
	s.stopUpload()
	delete(c.streams, s.id)
	c.retireIfUnused()
}

// retireIfUnused retires a connection without streams if it must not be reused. mu is held.
func (c *http2Conn) retireIfUnused() {
	if len(c.streams)+c.reserved > 0 {
		return
	}
	c.idleSince = time.Now()
	if !c.closing && !c.dropped && c.dropIfOverLimit() {
		c.dropped = true
	}
	if c.closing || c.dropped || c.idleSince.Sub(c.createdAt) > maxAge {
		go c.retire(errUnused, maxWindow)
	}
}

// processData passes a part of a body to its stream.
func (c *http2Conn) processData(frame *frames.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The connection's window is returned at once, because streams have their own.
	if c.unreturnedWindow += int64(frame.Length); c.unreturnedWindow >= connBuffer/4 {
		c.queueUint32(frames.FrameWindowUpdate, 0, uint32(c.unreturnedWindow))
		c.unreturnedWindow = 0
	}
	s := c.streams[frame.StreamID]
	switch data := frame.Data(); {
	case s == nil && c.isIdle(frame.StreamID):
		return frames.ConnectionError(frames.ErrCodeProtocol)
	case s == nil, s.err != nil, len(data) == 0 && !frame.StreamEnded():
		if err := c.chargeEmptyFrame(); err != nil || s == nil {
			return err
		}
	}
	s.processData(frame)
	return nil
}

// processBlock checks a header block that is being received, and passes it to its stream
// when it is complete.
func (c *http2Conn) processBlock(id uint32, complete bool) error {
	// An endless sequence of small fragments is a flood.
	if len(c.headerBlock) > maxHeaderBlock || c.headerFrames > 16+len(c.headerBlock)/256 {
		return frames.ConnectionError(frames.ErrCodeProtocol)
	}
	if !complete {
		return nil
	}
	c.mu.Lock()
	s := c.streams[id]
	idle := c.isIdle(id)
	limit := int64(0)
	if s != nil {
		limit = s.headerBudget
	}
	c.mu.Unlock()
	fields, size, err := c.decode(limit)
	if cap(c.headerBlock) > readFrameSize {
		c.headerBlock = nil
	}
	switch {
	case err != nil:
		return frames.ConnectionError(frames.ErrCodeCompression)
	case idle:
		return frames.ConnectionError(frames.ErrCodeProtocol)
	case s == nil:
		return c.chargeEmptyFrame()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err != nil { // the response is complete, but not the request
		return c.chargeEmptyFrame()
	}
	s.processHeader(fields, size, c.headerEndsStream)
	return nil
}

// decode returns the fields of headerBlock up to a size, and the size of all fields as
// defined by RFC 9113 §6.5.2.
func (c *http2Conn) decode(limit int64) (fields []hpack.HeaderField, size int64, err error) {
	c.decoder.SetEmitEnabled(limit > 0)
	c.decoder.SetEmitFunc(func(field hpack.HeaderField) {
		if size += int64(field.Size()); size > limit {
			c.decoder.SetEmitEnabled(false) // the dynamic table must still be updated
			return
		}
		fields = append(fields, field)
	})
	if _, err = c.decoder.Write(c.headerBlock); err == nil {
		err = c.decoder.Close()
	}
	return fields, size, err
}

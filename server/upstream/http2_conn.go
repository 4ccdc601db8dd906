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
	// streamWindow is how much of one response, in bytes, may wait here for a slow
	// reader before the upstream has to pause.
	streamWindow = 64 << 10

	// maxStreamWindow is the same for a reader that is fast: one that has read a whole
	// window within growTime, and has nothing left to read, gets twice as much. At
	// 50 ms to the upstream it allows 20 MB/s a stream.
	maxStreamWindow = 1 << 20
	growTime        = 500 * time.Millisecond

	// maxGrowth is by how much the windows of all streams to a host may have grown.
	maxGrowth = 64 << 20

	// connBuffer is how much of all responses of a connection may be on its way. It
	// is no bound of its own: each stream has one.
	connBuffer = 1 << 30

	// readFrameSize is the largest payload of a frame that is received, the default
	// of RFC 9113 §6.5.2.
	readFrameSize = 16 << 10

	// maxQueued is how many bytes may wait to be written before uploads pause.
	maxQueued = 64 << 10

	// maxReplies is how many bytes of what the upstream makes us answer may wait to
	// be written. One that takes nothing, and still asks, is given up.
	maxReplies = 256 << 10

	// maxWindow is the largest flow-control window (RFC 9113 §6.9.1).
	maxWindow = 1<<31 - 1

	// lastStream is the ID from which on a connection takes no new requests. It
	// leaves room below the largest ID.
	lastStream = 1 << 30

	// frameAllowance is how many frames that carry nothing a connection may receive
	// at once, and frameRate how many a second. Nothing useful needs as many (RFC
	// 9113 §10.5).
	frameAllowance = 10_000
	frameRate      = 1_000

	// frameStrain is after how many of them the connection takes no new requests, so
	// that those don't end with it.
	frameWarning = 2_000

	// maxInterim is how many interim responses a stream may have received when it is
	// given up without the connection taking no new requests: more may be on their way.
	maxInterim = 16

	// streamAllowance is how many more of them a request that is given up may cause,
	// by what was under way. dataAllowance is the same for a frame of an upload, each
	// of which may be answered by updates of windows.
	streamAllowance = 100
	dataAllowance   = 4
)

// http2Error is why a stream, or a connection, came to an end.
type http2Error struct {
	kind   Kind   // KindClosed if it broke off, whatever it was at
	detail string // quotes nothing of what was received

	// unprocessed says that the upstream has not acted on the request, and won't
	// (RFC 9113 §8.7).
	unprocessed   bool
	refusedStream bool // the upstream refused the stream, and not the connection
	staleConn     bool // the connection, which had been used, ended without a word since the request
	connFailed    bool // the connection doesn't work
}

// Error implements error.
func (f *http2Error) Error() string { return f.detail }

func closedError(detail string) *http2Error { return &http2Error{kind: KindClosed, detail: detail} }
func malformedError(detail string) *http2Error {
	return &http2Error{kind: KindMalformed, detail: detail}
}

// silent is the fault of a peer that takes or says nothing for too long.
func timeoutError(kind Kind, format string, d time.Duration) *http2Error {
	return &http2Error{kind: kind, detail: fmt.Sprintf(format, d), connFailed: true}
}

// connFault is a violation of the protocol that ends the connection (RFC 9113
// §5.4.1).
func protocolError(code frames.ErrCode) *http2Error {
	return &http2Error{kind: KindMalformed, detail: "connection error: " + codeName(code), connFailed: true}
}

// codeName names an error code. An unknown code never yields a name that the peer chose.
func codeName(code frames.ErrCode) string { return code.String() }

// http2Conn is a connection that speaks HTTP/2 (RFC 9113). It has a goroutine that
// reads and one that writes. Everybody else puts what is to be written into a queue,
// and waits on nothing but a channel of their own: no lock is held while the network
// is waited for, so that a call ends in time whatever the peer does.
type http2Conn struct {
	client          *http1Client
	network         net.Conn
	keepAlive       time.Duration
	onClosing       func(*http2Conn) // told, once, that it takes no more requests
	dropIfOverLimit func() bool      // reports whether it isn't to be kept with nothing to do
	untrack         func()           // takes it from the connections that are open
	settled         chan struct{}    // closed when the peer's SETTINGS are there
	done            chan struct{}    // closed when the connection is over
	writeReady      chan struct{}    // has one if there is something to write
	frameCredit     atomic.Int64     // of frames that carry nothing, for what was sent

	mu             sync.Mutex
	createdAt      time.Time                 // guarded by mu
	streams        map[uint32]*http2Exchange // guarded by mu
	reserved       int                       // guarded by mu: streams that are about to begin
	nextID         uint32                    // guarded by mu
	endErr         *http2Error               // guarded by mu: what ended the connection
	closing        bool                      // guarded by mu: it takes no more requests
	dropped        bool                      // guarded by mu: it is one more than may be kept
	sendWindow     int64                     // guarded by mu: what may be sent on all streams
	uploads        int                       // guarded by mu: streams with an upload
	framesReceived int64                     // guarded by mu: how many frames came
	writeQueue     []byte                    // guarded by mu: frames to be written
	queuedBytes    int64                     // guarded by mu: how many bytes ever were in queue
	replyBytes     int                       // guarded by mu: how many bytes of queue answer the peer's frames
	takenBytes     int64                     // guarded by mu: how many of them are written, or being written
	encoder        *hpack.Encoder            // guarded by mu: writes to block
	block          bytes.Buffer              // guarded by mu
	lastRead       time.Time                 // guarded by mu
	pingSentAt     time.Time                 // guarded by mu: when a PING was sent that nothing followed; zero for none
	idleSince      time.Time                 // guarded by mu: since when there is no stream
	timer          *time.Timer               // guarded by mu

	// What the peer wants, guarded by mu.
	maxStreams    uint32
	maxFrame      int
	initialWindow int64

	// What the reading goroutine alone uses.
	framer           *frames.Framer
	decoder          *hpack.Decoder
	unreturnedWindow int64 // bytes of DATA for which no window was given back yet
	frameBudget      float64
	frameBudgetAt    time.Time
	budgetLow        bool   // a good part of spare was used up at once
	headerBlock      []byte // the header block that is coming
	headerEndsStream bool   // it ends the stream
	headerFrames     int    // of how many frames it is
}

// newHTTP2Conn begins to speak HTTP/2 on a connection. When settled is closed it is
// ready, unless it is over by then.
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
	c.decoder.SetMaxStringLength(int(c.maxHeaderBlock()))
	c.framer = frames.NewFramer(nil, bufio.NewReaderSize(network, 4<<10))
	c.framer.SetMaxReadFrameSize(readFrameSize)
	c.framer.SetReuseFrames()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeQueue = append(c.writeQueue, frames.ClientPreface...)
	c.queueFrame(frames.FrameSettings, 0, 0, settingsPayload(
		frames.Setting{ID: frames.SettingEnablePush, Val: 0},
		frames.Setting{ID: frames.SettingInitialWindowSize, Val: streamWindow},
		frames.Setting{ID: frames.SettingMaxHeaderListSize, Val: uint32(min(maxResponseHeaderBytes, 1<<31))},
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

// maxBlock is how long a header block may be before the connection is given up. One
// that is shorter, and still too long, ends its stream alone.
func (c *http2Conn) maxHeaderBlock() int64 { return maxResponseHeaderBytes + 64<<10 }

// append puts a frame into the queue. mu is held.
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

// reply is append of a frame that answers one of the peer's. mu is held.
func (c *http2Conn) queueReply(kind frames.FrameType, flags frames.Flags, stream uint32, payload []byte) {
	before := len(c.writeQueue)
	c.queueFrame(kind, flags, stream, payload)
	c.replyBytes += len(c.writeQueue) - before
}

func (c *http2Conn) queueUint32(kind frames.FrameType, stream, value uint32) {
	c.queueReply(kind, 0, stream, binary.BigEndian.AppendUint32(make([]byte, 0, 4), value))
}

// reserve takes the places of up to n streams, each for a call of open or release,
// and returns how many there were.
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

// release gives places back.
func (c *http2Conn) release(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved -= n
	c.retireIfUnused()
}

// streamLimit returns how many streams the peer allows at a time.
func (c *http2Conn) streamLimit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(min(c.maxStreams, math.MaxInt32))
}

// closeIdle closes the connection if no request is using it.
func (c *http2Conn) closeIdle() {
	c.mu.Lock()
	unused := len(c.streams)+c.reserved == 0
	c.mu.Unlock()
	if unused {
		c.retire(errUnused, maxWindow)
	}
}

// ended returns what ended the connection, nil if nothing did.
func (c *http2Conn) err() *http2Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endErr
}

// isSurplus reports whether the connection is more than may be kept.
func (c *http2Conn) isDropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// isClosing reports whether the connection takes no more requests.
func (c *http2Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// retire has the connection take no more requests, and ends it when it has none.
// Requests on streams above last are not acted on.
func (c *http2Conn) retire(fault *http2Error, last uint32) {
	unprocessed := *fault
	unprocessed.unprocessed = true
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	for id, s := range c.streams {
		switch {
		case id <= last:
			continue
		case s.headersReceived > 0: // it was acted on, whatever is said
			s.finish(fault)
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
		c.fail(fault, frames.ErrCodeNo)
	}
}

// shun has the connection take no more requests. mu is held.
func (c *http2Conn) stopRequests() {
	if !c.closing {
		c.closing = true
		go c.onClosing(c)
	}
}

// errRetired is why a connection ends that nobody uses any more.
var errUnused = closedError("the connection was no longer used")

// fail ends the connection, with all of its streams.
func (c *http2Conn) fail(fault *http2Error, code frames.ErrCode) {
	c.mu.Lock()
	if c.endErr != nil {
		c.mu.Unlock()
		return
	}
	first := !c.closing
	c.endErr, c.closing = fault, true
	for _, s := range c.streams {
		of := *fault
		of.unprocessed = s.headerOffset > c.takenBytes // its header never left
		of.staleConn = fault.kind == KindClosed && s.id > 1 && s.framesBefore == c.framesReceived
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
	// To close waits for the peer, for some time, if it takes nothing.
	go c.sayGoAwayAndClose(code)
}

// hangUp says goodbye, as far as that is possible at once, and closes.
func (c *http2Conn) sayGoAwayAndClose(code frames.ErrCode) {
	const goodbye = 100 * time.Millisecond
	if c.network.SetWriteDeadline(time.Now().Add(goodbye)) == nil {
		last := []byte{0, 0, 8, byte(frames.FrameGoAway), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(code)}
		_, _ = c.network.Write(last) // a peer that has left does not receive it
	}
	_ = c.network.Close()
}

// write writes what is in the queue, until the connection is over.
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
			n, err := out.Write(rest[:min(len(rest), uploadBuffer)])
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
		return timeoutError(KindTimeout, "it took nothing of the request for %v", c.client.stallTimeout)
	}
	return closedError(errorDetail(err))
}

// wakeUploads has the uploads look whether they may go on.
func (c *http2Conn) notifyUploads() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notifyUploadsLocked()
}

// pokeUploads is wakeUploads. mu is held.
func (c *http2Conn) notifyUploadsLocked() {
	if c.uploads == 0 {
		return
	}
	for _, s := range c.streams {
		s.notifyUpload()
	}
}

// tick looks after the connection: it sends a PING where nothing has come for some
// time, gives the connection up if nothing follows, and ends it if nobody uses it.
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
		c.fail(timeoutError(KindClosed, "no answer to a PING for %v", c.keepAlive), frames.ErrCodeNo)
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

// read receives frames until the connection is over.
func (c *http2Conn) readLoop() {
	fault, code := c.readFrames()
	c.fail(fault, code)
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
		if fault, ok := errors.AsType[*http2Error](err); ok {
			return fault, frames.ErrCodeEnhanceYourCalm
		}
		if violation, ok := errors.AsType[frames.ConnectionError](err); ok {
			return protocolError(frames.ErrCode(violation)), frames.ErrCode(violation)
		}
		switch {
		case errors.Is(err, frames.ErrFrameTooLarge):
			return protocolError(frames.ErrCodeFrameSize), frames.ErrCodeFrameSize
		case isDisconnect(err):
			return c.disconnectError(err), frames.ErrCodeNo
		default: // a frame that can't be parsed
			return protocolError(frames.ErrCodeProtocol), frames.ErrCodeProtocol
		}
	}
}

// breakFault says how a connection broke off.
func (c *http2Conn) disconnectError(err error) *http2Error {
	if err == io.EOF { //nolint:errorlint // as the framer has it
		err = io.ErrUnexpectedEOF
	}
	return closedError(errorDetail(err))
}

var errFlood = &http2Error{kind: KindMalformed, detail: "it floods the connection with frames that carry nothing", connFailed: true}

// carriesNothing counts a frame that carries nothing, and reports whether there
// were too many.
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

// process does what a frame asks for.
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
		return frames.ConnectionError(frames.ErrCodeProtocol) // they are turned off
	default:
		return c.chargeEmptyFrame()
	}
}

// isIdle reports whether a stream has not begun yet, so that nothing may be said
// about it (RFC 9113 §5.1). mu is held.
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
		c.maxStreams = math.MaxUint32 // without a word there is no limit (RFC 9113 §6.5.2)
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

// set takes one of the peer's settings. mu is held.
func (c *http2Conn) applySetting(s frames.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case frames.SettingMaxConcurrentStreams:
		c.maxStreams = s.Val
	case frames.SettingMaxFrameSize:
		c.maxFrame = int(min(s.Val, uploadBuffer))
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
	default: // it concerns servers, or is unknown
	}
	return nil
}

// processGoAway lets the requests go that the peer won't act on (RFC 9113 §6.8).
// The others go on.
func (c *http2Conn) processGoAway(frame *frames.GoAwayFrame) error {
	if err := c.chargeEmptyFrame(); err != nil {
		return err
	}
	c.retire(closedError("the connection ended by GOAWAY: "+codeName(frame.ErrCode)), frame.LastStreamID)
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
	fault := closedError("the stream was reset: " + codeName(frame.ErrCode))
	fault.refusedStream = frame.ErrCode == frames.ErrCodeRefusedStream && s.headersReceived == 0
	fault.unprocessed = fault.refusedStream
	s.finish(fault) // unless the answer is whole: then the request alone is not wanted
	c.removeStream(s)
	return nil
}

// reset ends a stream, if there is one, and tells the peer.
func (c *http2Conn) reset(id uint32, why error, code frames.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		c.resetStream(s, why, code)
	}
}

// resetStream is reset of a stream. mu is held.
func (c *http2Conn) resetStream(s *http2Exchange, why error, code frames.ErrCode) {
	s.finish(why)
	if c.streams[s.id] != s {
		return // it is over for the peer
	}
	c.queueUint32(frames.FrameRSTStream, s.id, uint32(code))
	c.frameCredit.Add(streamAllowance)
	c.removeStream(s)
}

// remove takes a stream from the connection, which ends with the last one if it
// takes no more. mu is held.
func (c *http2Conn) removeStream(s *http2Exchange) {
	if c.streams[s.id] != s {
		return
	}
	s.stopUpload()
	delete(c.streams, s.id)
	c.retireIfUnused()
}

// rest sees whether the connection has nothing to do any more. mu is held.
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

// processData gives a piece of a body to its stream.
func (c *http2Conn) processData(frame *frames.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The connection's window is given back at once: streams have their own.
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

// processBlock takes a piece of a header block, and gives the block to its stream
// when it is whole.
func (c *http2Conn) processBlock(id uint32, whole bool) error {
	// Small pieces without an end are no header, but a flood.
	if int64(len(c.headerBlock)) > c.maxHeaderBlock() || c.headerFrames > 16+len(c.headerBlock)/256 {
		return frames.ConnectionError(frames.ErrCodeProtocol)
	}
	if !whole {
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
	if s.err != nil { // the response is whole, and the request isn't
		return c.chargeEmptyFrame()
	}
	s.processHeader(fields, size, c.headerEndsStream)
	return nil
}

// decode returns the fields of a header block, up to a size, and the size of all as
// RFC 9113 §6.5.2 counts it.
func (c *http2Conn) decode(limit int64) (fields []hpack.HeaderField, size int64, err error) {
	c.decoder.SetEmitEnabled(limit > 0)
	c.decoder.SetEmitFunc(func(field hpack.HeaderField) {
		if size += int64(field.Size()); size > limit {
			c.decoder.SetEmitEnabled(false) // the table must be kept all the same
			return
		}
		fields = append(fields, field)
	})
	if _, err = c.decoder.Write(c.headerBlock); err == nil {
		err = c.decoder.Close()
	}
	return fields, size, err
}

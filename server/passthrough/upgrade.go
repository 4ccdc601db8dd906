package passthrough

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// closeGrace is how long one side of a WebSocket may take to close its
// connection after the other side has closed.
const closeGrace = 5 * time.Second

// wantsWebSocket reports whether r asks for a WebSocket in the manner of RFC
// 6455 §4.1. It is the one upgrade that is forwarded. Others, such as h2c,
// concern the connection to this server, which may ignore them (RFC 9110 §7.8).
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoMinor == 1 &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade")
}

// switchProtocols passes resp, a 101, to the client and then every byte between
// the two, until both sides have closed. ctx ends both.
func (d *downstream) switchProtocols(ctx context.Context, resp *http.Response) {
	up := resp.Body.(io.ReadWriteCloser) // as Send promises for status 101
	defer up.Close()
	client, buffered, err := d.control.Hijack()
	if err != nil {
		failure{
			status:  http.StatusInternalServerError,
			kind:    "server_error",
			code:    "upgrade_unsupported",
			message: "this server cannot switch protocols: " + err.Error(),
		}.write(d.w)
		return
	}
	defer client.Close()

	closeBoth := func() {
		_ = client.Close()
		_ = up.Close()
	}
	defer context.AfterFunc(ctx, closeBoth)()
	if writeSwitch(buffered.Writer, resp) != nil {
		return
	}
	// What is not in the buffer yet is read from the connection itself, as
	// net/http takes the end of what it reads for the end of the request.
	early, err := buffered.Peek(buffered.Reader.Buffered())
	if err != nil {
		return
	}
	var grace *time.Timer
	var once sync.Once
	ended := func(to io.Writer, err error) {
		// The end of one direction is passed on as such, since the other may
		// have a close frame to send. A failure of one is the end of both.
		if err != nil || closeWrite(to) != nil {
			closeBoth()
			return
		}
		once.Do(func() { grace = time.AfterFunc(closeGrace, closeBoth) })
	}
	var sending sync.WaitGroup
	sending.Go(func() { ended(up, pipe(up, io.MultiReader(bytes.NewReader(early), client))) })
	ended(client, pipe(client, up))
	sending.Wait()
	if grace != nil {
		grace.Stop()
	}
}

// pipe copies from to to through a small buffer, as a WebSocket may be idle for
// long: the shortcuts that io.Copy knows would take a large one.
func pipe(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, smallBuffer))
	return err
}

func closeWrite(conn io.Writer) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// writeSwitch writes the 101 that resp is.
func writeSwitch(w *bufio.Writer, resp *http.Response) error {
	header := make(http.Header, len(resp.Header)+1)
	upstream.CopyEndToEnd(header, resp.Header)
	addVia(header, resp.ProtoMajor, resp.ProtoMinor)
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = resp.Header["Upgrade"]
	// An error stays with w, until Flush.
	_, _ = w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(w)
	_, _ = w.WriteString("\r\n")
	return w.Flush()
}

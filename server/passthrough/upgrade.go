package passthrough

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// wantsWebSocket reports whether r requests a WebSocket (RFC 6455 §4.1), the only upgrade
// that is forwarded. Others, such as h2c, concern the connection to this server, which may
// ignore them (RFC 9110 §7.8).
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoMinor == 1 &&
		strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade")
}

// switchProtocols sends resp, a 101, to the client, and then copies bytes in both directions
// until both sides have closed or ctx is done.
func (h *Handler) switchProtocols(ctx context.Context, down *downstream, resp *http.Response) {
	up := resp.Body.(stream) // guaranteed by Send for status 101
	defer up.Close()
	t := newTunnel(up)
	h.tunnels.add(t)
	defer h.tunnels.remove(t)
	client, buffered, err := down.control.Hijack()
	if err != nil {
		(&apierror.Error{
			Status: http.StatusInternalServerError, Type: apierror.ServerError, Code: "upgrade_unsupported",
			Message: "this server cannot switch protocols: " + err.Error(),
		}).WriteTo(down.w)
		return
	}
	defer client.Close()
	if writeSwitch(buffered.Writer, resp) != nil {
		return
	}
	// After the buffer, data is read from the connection itself, because net/http's reader
	// takes the end of data for the end of the request.
	data, err := buffered.Peek(buffered.Reader.Buffered())
	if err != nil {
		return
	}
	t.run(ctx, &hijacked{client, io.MultiReader(bytes.NewReader(data), client)})
}

// hijacked is a client's connection, with data that was read before.
type hijacked struct {
	net.Conn

	reader io.Reader
}

func (c *hijacked) Read(p []byte) (int, error) { return c.reader.Read(p) }

// CloseWrite closes the sending direction.
func (c *hijacked) CloseWrite() error { return httpx.CloseWrite(c.Conn) }

// writeSwitch writes resp, a 101.
func writeSwitch(w *bufio.Writer, resp *http.Response) error {
	header := make(http.Header, len(resp.Header)+1)
	upstream.CopyEndToEnd(header, resp.Header)
	viaProduct.add(header, resp.ProtoMajor, resp.ProtoMinor)
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = resp.Header["Upgrade"]
	// Flush returns the first error.
	_, _ = w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(w)
	_, _ = w.WriteString("\r\n")
	return w.Flush()
}

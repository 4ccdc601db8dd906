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
func (h *Handler) switchProtocols(ctx context.Context, down *downstream, resp *http.Response) {
	up := resp.Body.(stream) // as Send promises for status 101
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
	// What is not in the buffer yet is read from the connection itself, as
	// net/http takes the end of what it reads for the end of the request.
	early, err := buffered.Peek(buffered.Reader.Buffered())
	if err != nil {
		return
	}
	t.run(ctx, &hijacked{client, io.MultiReader(bytes.NewReader(early), client)})
}

// hijacked is a client's connection, with what was read from it before.
type hijacked struct {
	net.Conn

	reader io.Reader
}

func (c *hijacked) Read(p []byte) (int, error) { return c.reader.Read(p) }

// CloseWrite ends this side alone.
func (c *hijacked) CloseWrite() error { return httpx.CloseWrite(c.Conn) }

// writeSwitch writes the 101 that resp is.
func writeSwitch(w *bufio.Writer, resp *http.Response) error {
	header := make(http.Header, len(resp.Header)+1)
	upstream.CopyEndToEnd(header, resp.Header)
	viaProduct.add(header, resp.ProtoMajor, resp.ProtoMinor)
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = resp.Header["Upgrade"]
	// An error stays with w, until Flush.
	_, _ = w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(w)
	_, _ = w.WriteString("\r\n")
	return w.Flush()
}

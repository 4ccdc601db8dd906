package conformance_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/openai-connect/openai-connect/server"
)

// drainTimeout is less than the five seconds that the suite gives a server to
// end. Nothing runs then but the rest of a delay whose call timed out.
const drainTimeout = 3 * time.Second

// serveSuite is one server under test, in a process of its own: it reads from
// in what the suite wants of it, a ServerCompatRequest, tells to out where it
// listens, by a ServerCompatResponse, and serves until ctx is done. The suite's
// docs/testing_servers.md defines both.
//
// The server is made and serves as the product does. Its upstream refuses
// connections: a call that is forwarded in place of being answered fails.
func serveSuite(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	if err := registerDescriptors(); err != nil {
		return err
	}
	request := newMessage("connectrpc.conformance.v1.ServerCompatRequest")
	if err := readDelimited(in, request.Interface()); err != nil {
		return fmt.Errorf("read the ServerCompatRequest: %w", err)
	}
	response := newMessage("connectrpc.conformance.v1.ServerCompatResponse")

	front, err := server.New(server.Config{
		Upstream:        "http://127.0.0.1:1",
		MaxMessageBytes: int(request.get("message_receive_limit").Uint()),
		Register:        registerService,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, front.Close()) }()
	listening := server.ServeConfig{DrainTimeout: drainTimeout}
	if request.get("use_tls").Bool() {
		credentials := request.message("server_creds")
		certificate, err := tls.X509KeyPair(credentials.get("cert").Bytes(), credentials.get("key").Bytes())
		if err != nil {
			return fmt.Errorf("read the server's certificate: %w", err)
		}
		listening.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		response.set("pem_cert", credentials.get("cert"))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return err
	}
	response.set("host", protoreflect.ValueOfString(address.Addr().String()))
	response.set("port", protoreflect.ValueOfUint32(uint32(address.Port())))
	if err := writeDelimited(out, response.Interface()); err != nil {
		return fmt.Errorf("write the ServerCompatResponse: %w", err)
	}
	err = front.Serve(ctx, listener, listening)
	if errors.Is(err, context.DeadlineExceeded) {
		// net/http gives connections that were opened in advance, and never
		// used, five seconds: longer than the suite waits.
		return nil
	}
	return err
}

// readDelimited reads a message behind its size: four bytes, big-endian.
func readDelimited(from io.Reader, message proto.Message) error {
	var size uint32
	if err := binary.Read(from, binary.BigEndian, &size); err != nil {
		return err
	}
	encoded := make([]byte, size)
	if _, err := io.ReadFull(from, encoded); err != nil {
		return err
	}
	return proto.Unmarshal(encoded, message)
}

// writeDelimited writes a message as readDelimited reads it.
func writeDelimited(to io.Writer, message proto.Message) error {
	encoded, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(encoded))), encoded...))
	return err
}

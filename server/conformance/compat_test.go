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

// drainTimeout is less than the five seconds that the suite gives a server to shut
// down. Only delays of calls that timed out are still running then.
const drainTimeout = 3 * time.Second

// serveSuite runs one server under test in a process of its own. It reads a
// ServerCompatRequest from in, writes its address to out as a ServerCompatResponse, and
// serves until ctx is done. The suite's docs/testing_servers.md defines both messages.
//
// The server is created and served like the product. Its upstream refuses connections,
// so a forwarded call fails.
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
		// net/http waits five seconds for unused connections, longer than the suite
		// waits.
		return nil
	}
	return err
}

// readDelimited reads a message after its size of four bytes, big-endian.
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

// writeDelimited writes a message in the format of readDelimited.
func writeDelimited(to io.Writer, message proto.Message) error {
	encoded, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(encoded))), encoded...))
	return err
}

package e2etest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Curl runs curl with a body, unless that is nil, and passes its output to read
// while it arrives. It returns the status and the header of the final response.
// The error is read's or curl's, such as for a truncated transfer. Without curl
// it skips the test, like [servertest.Skip].
func Curl(
	ctx context.Context, tb testing.TB, body []byte, read func(io.Reader) error, arguments ...string,
) (int, http.Header, error) {
	tb.Helper()
	head := filepath.Join(tb.TempDir(), "head")
	arguments = append([]string{"-sS", "-N", "-D", head}, arguments...)
	if body != nil {
		arguments = append(arguments, "--data-binary", "@-")
	}
	command := exec.CommandContext(ctx, findCurl(tb), arguments...)
	command.Stdin = bytes.NewReader(body)
	stderr := new(strings.Builder)
	command.Stderr = stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := command.Start(); err != nil {
		return 0, nil, err
	}
	failed := read(output)
	if err := command.Wait(); err != nil {
		return 0, nil, errors.Join(failed, fmt.Errorf("curl: %w: %s", err, stderr))
	}
	if failed != nil {
		return 0, nil, failed
	}
	return readHead(head)
}

func findCurl(tb testing.TB) string {
	tb.Helper()
	return servertest.Tool(tb, "curl", "install it, for example with apt-get install curl")
}

// readHead reads a file of response heads that curl has written, and returns the
// last one. Interim responses precede it.
func readHead(path string) (status int, header http.Header, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, err
	}
	reader := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		line, err := reader.ReadLine()
		if errors.Is(err, io.EOF) {
			return status, header, nil
		}
		if err != nil {
			return 0, nil, err
		}
		_, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		if status, err = strconv.Atoi(code); err != nil {
			return 0, nil, fmt.Errorf("invalid status line %q", line)
		}
		fields, err := reader.ReadMIMEHeader()
		if err != nil {
			return 0, nil, err
		}
		header = http.Header(fields)
	}
}

// curlClient returns a [Client] that sends Connect JSON with curl.
func curlClient(tb testing.TB, front *servertest.Front) Client {
	tb.Helper()
	findCurl(tb)
	run := func(ctx context.Context, c Call, media string, body []byte, read func(io.Reader) error) (int, http.Header, error) {
		arguments := []string{front.URL + c.Procedure(), "-H", "content-type: " + media}
		if c.Metadata.Get("Authorization") == "" {
			arguments = append(arguments, "-H", "authorization: Bearer "+servertest.Key)
		}
		for name, values := range c.Metadata {
			for _, value := range values {
				arguments = append(arguments, "-H", name+": "+value)
			}
		}
		return Curl(ctx, tb, body, read, arguments...)
	}
	return Client{
		Name: "Connect JSON with curl",
		Unary: func(ctx context.Context, c Call, response proto.Message) (http.Header, error) {
			request, err := protojson.Marshal(c.Request)
			if err != nil {
				return nil, err
			}
			var body []byte
			status, header, err := run(ctx, c, "application/json", request, func(r io.Reader) (err error) {
				body, err = io.ReadAll(r)
				return err
			})
			switch {
			case err != nil:
				return nil, err
			case status != http.StatusOK:
				return header, ConnectJSONError(body)
			}
			return header, protojson.Unmarshal(body, response)
		},
		Stream: func(ctx context.Context, c Call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error) {
			request, err := protojson.Marshal(c.Request)
			if err != nil {
				return nil, err
			}
			var rpcErr error
			status, header, err := run(ctx, c, "application/connect+json", Envelope(0, request), func(r io.Reader) (err error) {
				rpcErr, err = ReadConnectJSONStream(r, receive)
				return err
			})
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("got status %d for a stream, want 200", status)
			}
			return header, errors.Join(err, rpcErr)
		},
	}
}

// Envelope frames a message as gRPC and Connect streams do.
func Envelope(flags byte, message []byte) []byte {
	frame := make([]byte, 5, 5+len(message))
	frame[0] = flags
	binary.BigEndian.PutUint32(frame[1:], uint32(len(message)))
	return append(frame, message...)
}

// ReadEnvelope reads a message framed by [Envelope].
func ReadEnvelope(r io.Reader) (flags byte, message []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	message = make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, message)
	return head[0], message, err
}

// endStream is the flag of the message that ends a Connect stream.
const endStream = 2

// ReadConnectJSONStream reads a stream in Connect JSON. It returns the error at
// the end of the stream and the error of reading it.
func ReadConnectJSONStream(r io.Reader, receive func(*chatv1.ChatCompletionChunk)) (rpcErr, err error) {
	for {
		flags, text, err := ReadEnvelope(r)
		if err != nil {
			return nil, fmt.Errorf("stream without an end: %w", err)
		}
		if flags == endStream {
			var end struct {
				Error json.RawMessage `json:"error"`
			}
			if err := json.Unmarshal(text, &end); err != nil {
				return nil, err
			}
			if end.Error != nil {
				rpcErr = ConnectJSONError(end.Error)
			}
			rest, err := io.ReadAll(r)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unexpected data after the end of the stream: %q", rest)
			}
			return rpcErr, err
		}
		chunk := new(chatv1.ChatCompletionChunk)
		if err := protojson.Unmarshal(text, chunk); err != nil {
			return nil, err
		}
		receive(chunk)
	}
}

// ConnectJSONError parses an error in Connect's JSON form.
func ConnectJSONError(text []byte) error {
	var remote struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	if err := json.Unmarshal(text, &remote); err != nil {
		return fmt.Errorf("parse the error %s: %w", text, err)
	}
	var details []*anypb.Any
	for _, detail := range remote.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			return err
		}
		details = append(details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type, Value: value})
	}
	return newRPCError(remote.Code, remote.Message, details)
}

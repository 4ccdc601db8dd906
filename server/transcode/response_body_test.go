package transcode

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// answerOf returns a response with status 200.
func answerOf(body io.Reader, media, coding string) *http.Response {
	header := make(http.Header)
	if media != "" {
		header.Set("Content-Type", media)
	}
	if coding != "" {
		header.Set("Content-Encoding", coding)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(body), ContentLength: -1}
}

func zipped(members ...string) []byte {
	var b bytes.Buffer
	for _, member := range members {
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, member)
		_ = w.Close()
	}
	return b.Bytes()
}

// badLength is corrupt gzip that is an internal error of the library.
const badLength = "\x1f\x8b\b\x00000000\xec\xc1\x81\f\x00\x00\x00\x020\xd6\xf2\x87\xc8c}O22\x00\x000"

// FuzzGzip compares the decoded data with the library's, for any pieces. The data is
// complete if the standard library agrees: this library accepts a header truncated after ten
// bytes as an end, and the standard library ignores reserved flags (RFC 1952, section
// 2.3.1.2).
func FuzzGzip(f *testing.F) {
	cut := append(zipped("a"), 0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff) // the header of a second member, without its extra field
	for _, seed := range [][]byte{nil, zipped(), zipped("a"), zipped("", "a", ""), zipped(strings.Repeat("ab", 9000), "c"), zipped("a")[:15], append(zipped("a"), 0), cut, []byte(badLength)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []byte
		reader, wantErr := gzip.NewReader(bytes.NewReader(data))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(reader, 1<<20))
		}
		if standard, err := stdgzip.NewReader(bytes.NewReader(data)); wantErr == nil && err == nil {
			_, wantErr = io.Copy(io.Discard, io.LimitReader(standard, 1<<20))
		}
		for _, source := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
			got, err := io.ReadAll(io.LimitReader(decode(answerOf(source, "", "gzip")).Body, 1<<20))
			if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
				t.Fatalf("got %d bytes, %v, not %d bytes, %v", len(got), err, len(want), wantErr)
			}
			if err != nil && !errors.Is(err, errGzip) && !errors.Is(err, errGzipTruncated) {
				t.Fatalf("the error is %v", err)
			}
		}
	})
}

func TestGzip_ReturnsErrorOfItsBody(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	all := zipped("abc")
	for n := range len(all) + 1 {
		source := io.MultiReader(bytes.NewReader(all[:n]), iotest.ErrReader(broken))
		body := decode(answerOf(source, "", "gzip")).Body
		for range 2 {
			if _, err := io.ReadAll(body); !errors.Is(err, broken) {
				t.Errorf("after %d bytes the error is %v", n, err)
			}
		}
	}
}

func TestForm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text    string
		want    form
		certain bool
	}{
		{"", formOther, false},
		{" \r\n\t", formOther, false},
		{"\xef\xbb", formOther, false},
		{"\uFEFF", formOther, false},
		{"\uFEFF {", formJSON, true},
		{"[", formJSON, true},
		{":", formEvents, true},
		{"dat", formOther, false},
		{"data", formOther, false},
		{"data:", formEvents, true},
		{"date:", formOther, true},
		{"\nevent:x", formEvents, true},
		{"id: 1", formEvents, true},
		{"i", formOther, false},
		{"idea", formOther, true},
		{"retry:", formEvents, true},
		{"<html>", formOther, true},
		{"OK", formOther, true},
		{"\uFEFF\uFEFF{", formOther, true},
	} {
		if got, certain := formOf([]byte(row.text)); got != row.want || certain != row.certain {
			t.Errorf("%q: got %v, %v", row.text, got, certain)
		}
	}
}

// accumulatorOfNone counts the messages.
type accumulatorOfNone struct{ messages []proto.Message }

func (a *accumulatorOfNone) Add(message proto.Message) { a.messages = append(a.messages, message) }

func (a *accumulatorOfNone) Reply() proto.Message {
	reply := new(chatv1.ChatCompletion)
	for _, message := range a.messages {
		chunk := message.(*chatv1.ChatCompletionChunk) //nolint:forcetypeassert // the operation's
		reply.Id += chunk.GetId() + ","
	}
	return reply
}

// FuzzReply reads any body as the response of a unary call. The result does not depend on
// the pieces of the body and can be encoded again.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"choices":[{"index":0,"message":{"content":"a"}}]}`, `{"error":[{"message":"no"}]}`, `{"code":1,"message":"no"}`, `{"base_resp":{"status_code":0}}`,
		`{"choices":[{"error":{"code":500}},{"error":"x"}]}`, `{"success":false,"errors":[{}]}`, `[{"error":{}}]`, `{"error":[[]]}`, `{"error":[{"error":[1]}]}`,
		"data: {\"id\":\"a\"}\n\ndata: [DONE] \n\n", "event: x\ndata: y\n\ndata: {\"id\":\"b\",\"choices\":[{\"finish_reason\":\"stop\"}]}", "\uFEFF{}", ": x",
		`{"choices":[{"logprobs":{"content":[{"logprob":NaN}]}}],"x":-Infinity}`, `{"detail":NaN}`, `{"code":NaN}`, `{"error":{"code":NaN}}`,
	} {
		f.Add([]byte(seed), "application/json", "")
		f.Add([]byte(seed), "text/event-stream", "")
		f.Add(zipped(seed), "", "gzip")
	}
	operations := chatv1.ChatServiceREST()
	i := slices.IndexFunc(operations, func(op restjson.Operation) bool { return strings.HasSuffix(op.Procedure, "/CreateChatCompletion") })
	op := newOperation(&operations[i], operations, Config{Accumulators: map[string]func() Accumulator{
		operations[i].Procedure: func() Accumulator { return new(accumulatorOfNone) },
	}})
	c := &transcoder{maxReply: 1 << 20, maxEvent: 1 << 20}
	f.Fuzz(func(t *testing.T, body []byte, media, coding string) {
		read := func(source io.Reader) (proto.Message, error) {
			return c.reply(op, 1, decode(answerOf(source, media, coding)))
		}
		message, err := read(bytes.NewReader(body))
		again, errAgain := read(iotest.OneByteReader(bytes.NewReader(body)))
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() || !proto.Equal(message, again) {
			t.Fatalf("got\n%v, %v\nand in pieces\n%v, %v", message, err, again, errAgain)
		}
		if err != nil {
			return
		}
		if _, err := proto.Marshal(message); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRetryDelayIn searches any body for a retry delay.
func FuzzRetryDelayIn(f *testing.F) {
	for _, seed := range []string{
		`{"error":{"details":[{"retryDelay":"34.07s"}]}}`, `{"retry_after":1}`, `{"retry_after_ms":"1e3"}`, `{"retryDelay":{"seconds":1e300,"nanos":-1}}`,
		`{"a":"{\"retry-after\":\"-1\"}"}`, `{"retry_after":"NaN"}`, `{"retryDelay":"9999999h"}`, strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if delay := retryDelayIn(body); delay != nil && *delay < 0 {
			t.Errorf("the delay is %v", *delay)
		}
	})
}

// TestRetryDelayIn_IsReadInLinearTime reads a body with deeply nested quotes, and one with many
// fields.
func TestRetryDelayIn_IsReadInLinearTime(t *testing.T) {
	t.Parallel()
	wide := `{"a":[` + strings.Repeat(`{"b":1},`, 100_000) + `{"retry_after":5}]}`
	if delay := retryDelayIn([]byte(wide)); delay == nil || *delay != 5*time.Second {
		t.Errorf("got %v", delay)
	}
}

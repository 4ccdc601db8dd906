package grpcwebtext

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect/v2"
)

func TestWrap_ContentTypes(t *testing.T) {
	t.Parallel()
	const plain = "\x00\x00\x00\x00\x02hi"
	text := base64.StdEncoding.EncodeToString([]byte(plain))
	for _, row := range []struct {
		name, method, contentType, accept string
		answer                            string // the handler's content type
		seen                              string // the content type received by the handler
		want                              string // the content type of the response
		isText                            bool
	}{
		{"text", "POST", "application/grpc-web-text", "application/grpc-web-text", "application/grpc-web", "application/grpc-web", "application/grpc-web-text", true},
		{"text, with a format", "POST", "application/grpc-web-text+proto", "", "application/grpc-web+proto", "application/grpc-web+proto", "application/grpc-web-text+proto", true},
		{"text, with JSON and a parameter", "POST", "Application/gRPC-Web-Text+json; charset=utf-8", "*/*", "application/grpc-web+json", "application/grpc-web+json", "application/grpc-web-text+json", true},
		{"text, answered in binary", "POST", "application/grpc-web-text", "application/grpc-web+proto", "application/grpc-web", "application/grpc-web", "application/grpc-web", false},
		{"binary, answered in text", "POST", "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web+proto", "application/grpc-web+proto", "application/grpc-web-text+proto", true},
		{"text, answered by something else", "POST", "application/grpc-web-text", "", "application/json", "application/grpc-web", "application/json", false},
		{"binary", "POST", "application/grpc-web+proto", "", "application/grpc-web+proto", "application/grpc-web+proto", "application/grpc-web+proto", false},
		{"another type that begins so", "POST", "application/grpc-web-texture", "", "application/grpc-web", "application/grpc-web-texture", "application/grpc-web", false},
		{"gRPC", "POST", "application/grpc", "", "application/grpc", "application/grpc", "application/grpc", false},
		{"JSON, whatever it accepts", "POST", "application/json", "application/grpc-web-text", "application/json", "application/json", "application/json", false},
		{"no POST", "GET", "application/grpc-web-text", "", "application/grpc-web", "application/grpc-web-text", "application/grpc-web", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			sent := plain
			if strings.Contains(strings.ToLower(row.contentType), "text") && row.seen != row.contentType {
				sent = text
			}
			request := httptest.NewRequestWithContext(t.Context(), row.method, "/x", strings.NewReader(sent))
			request.Header.Set("Content-Type", row.contentType)
			if row.accept != "" {
				request.Header.Set("Accept", row.accept)
			}
			recorder := httptest.NewRecorder()
			Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != plain || r.Header.Get("Content-Type") != row.seen {
					t.Errorf("the handler gets %q of the type %q, %v", body, r.Header.Get("Content-Type"), err)
				}
				w.Header().Set("Content-Type", row.answer)
				_, _ = w.Write(body)
			})).ServeHTTP(recorder, request)
			want := plain
			if row.isText {
				want = text
			}
			if got := recorder.Header().Get("Content-Type"); got != row.want || recorder.Body.String() != want {
				t.Errorf("the answer is %q of the type %q, not %q of the type %q", recorder.Body, got, want, row.want)
			}
			if request.Header.Get("Content-Type") != row.contentType {
				t.Error("the request was changed")
			}
		})
	}
}

// What is written before a flush can be decoded at once, and the pieces of all writes
// together are what was written.
func TestWriter_Flushes(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789", 1000)
	for _, writes := range [][]string{
		{""}, {"a"}, {"ab"}, {"abc"}, {"abcd"}, {"a", "b", "c", "d"}, {"ab", "cd", "ef"}, {large}, {"a", large, "b"}, {"ab", large}, {"abc", "", "d"}, {"a", "", "b", ""},
	} {
		for flushEvery := range 4 {
			recorder := httptest.NewRecorder()
			w := &responseWriter{ResponseWriter: recorder}
			w.Header().Set("Content-Type", "application/grpc-web+proto")
			written := ""
			for i, text := range writes {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatal(n, err)
				}
				written += text
				if flushEvery > 0 && i%flushEvery == 0 {
					w.Flush()
					if got := decodeAll(t, recorder.Body.Bytes()); got != written {
						t.Fatalf("%q: flushed %q of %q", writes, got, written)
					}
				}
			}
			w.finish()
			if got := decodeAll(t, recorder.Body.Bytes()); got != written {
				t.Errorf("%q: got %q of %q", writes, got, written)
			}
			if flushEvery == 0 && recorder.Body.String() != base64.StdEncoding.EncodeToString([]byte(written)) {
				t.Errorf("%q: there is more than one piece: %q", writes, recorder.Body)
			}
		}
	}
}

func decodeAll(t *testing.T, text []byte) string {
	t.Helper()
	plain, err := io.ReadAll(newDecoder(io.NopCloser(bytes.NewReader(text))))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(plain)
}

func TestDecoder_TellsWhatIsNotBase64(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a", "ab", "abc", "ab=", "a===", "====", "ab==c", "ab=c", "YW Jj", "YWJj\n", "YWJj\r\n\r\n", "\n\n\n\n", "YW-_", "YWJjYQ", "YR==", "=YWJ", "YWJjYW==x", "\x00\x00\x00\x00"} {
		_, err := io.ReadAll(newDecoder(io.NopCloser(strings.NewReader(text))))
		failed, ok := errors.AsType[*connect.Error](err)
		if !ok || failed.Code() != connect.CodeInvalidArgument {
			t.Errorf("%q is read with %v", text, err)
		}
	}
	broken := errors.New("broken")
	if plain, err := io.ReadAll(newDecoder(io.NopCloser(io.MultiReader(strings.NewReader("YWJjYW"), iotest.ErrReader(broken))))); string(plain) != "abc" || !errors.Is(err, broken) {
		t.Errorf("a body that breaks off is read as %q, %v", plain, err)
	}
}

// Encoded data is decoded unchanged, in any pieces. Valid input decodes like the
// concatenated pieces with encoding/base64.
func FuzzText(f *testing.F) {
	f.Add("YWJj", uint8(1))
	f.Add("YQ==YWI=YWJj", uint8(2))
	f.Add("YQ=", uint8(0))
	f.Add(strings.Repeat("YQ==", 2000), uint8(200))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		read := iotest.OneByteReader(strings.NewReader(text))
		if size > 0 {
			read = strings.NewReader(text)
		}
		plain, err := io.ReadAll(newDecoder(io.NopCloser(read)))
		var want []byte
		valid := len(text)%4 == 0 && !strings.ContainsAny(text, "\r\n")
		for rest := text; valid && rest != ""; rest = rest[4:] {
			var decoded []byte
			decoded, failure := base64.StdEncoding.Strict().DecodeString(rest[:4])
			want, valid = append(want, decoded...), failure == nil
		}
		if valid != (err == nil) || valid && !bytes.Equal(plain, want) {
			t.Fatalf("%q is read as %q, %v, and not %q", text, plain, err, want)
		}
		recorder := httptest.NewRecorder()
		w := &responseWriter{ResponseWriter: recorder}
		w.Header().Set("Content-Type", "application/grpc-web")
		for rest := text; rest != ""; {
			n := min(len(rest), int(size)+1)
			_, _ = w.Write([]byte(rest[:n]))
			if n%5 == 1 {
				w.Flush()
			}
			rest = rest[n:]
		}
		w.finish()
		if again, err := io.ReadAll(newDecoder(io.NopCloser(recorder.Body))); string(again) != text || err != nil {
			t.Fatalf("%q is written, and read as %q, %v", text, again, err)
		}
	})
}

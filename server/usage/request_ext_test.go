package usage_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/usage"
)

const (
	chat    = "/v1/chat/completions"
	speech  = "/v1/audio/transcriptions"
	formOf  = `multipart/form-data; boundary="b"`
	maximum = 1 << 20
)

// closeRecorder records whether it was closed.
type closeRecorder struct {
	io.Reader

	closed bool
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return nil
}

// part returns a part of a form.
func part(name, value string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

func file(size int) string {
	return "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/mpeg\r\n\r\n" +
		strings.Repeat("\r\n--", size/4) + "\r\n"
}

func TestReadRequest_ReadsModelAndText(t *testing.T) {
	t.Parallel()
	type fields map[string]string
	asJSON, asForm := fields{"Content-Type": typeJSON}, fields{"Content-Type": formOf}
	const hello = `{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true}`
	helloIs := usage.Request{Model: "m", ModelCount: 1, Streaming: true, TextTokens: 1, Complete: true, ConsumesTokens: true}
	unknown := usage.Request{ConsumesTokens: true}
	for _, row := range []struct {
		name, method, target string
		header               fields
		body                 string
		want                 usage.Request
	}{
		// JSON.
		{"JSON is read", "POST", chat, asJSON, hello, helloIs},
		{"JSON with another content type", "POST", chat, fields{"Content-Type": "text/plain"}, " \r\n" + hello, helloIs},
		{"JSON without a content type", "POST", chat, nil, "\ufeff" + hello, helloIs},
		{"JSON is read at another server's path", "POST", "/api/v3/chat/completions?x=1", asJSON, hello, helloIs},
		{"every model is counted", "POST", chat, asJSON, `{"model":"a","Model":"b"}`, usage.Request{Model: "b", ModelCount: 2, Complete: true, ConsumesTokens: true}},
		{"a request may name no model", "POST", chat, asJSON, `{"input":"Hello"}`, usage.Request{TextTokens: 1, Complete: true, ConsumesTokens: true}},
		{"an empty body names none", "POST", "/v1/responses/x/cancel", asJSON, "", usage.Request{Complete: true}},
		{"a model that is not a string is unknown", "POST", chat, asJSON, `{"model":5}`, usage.Request{ModelCount: 1, ConsumesTokens: true}},
		{"invalid JSON is not complete", "POST", chat, asJSON, `{"model":"m",}`, usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"two texts aren't known", "POST", chat, asJSON, `{"model":"m"}{"model":"n"}`, usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"JSON in UTF-16 isn't known", "POST", chat, asJSON, "{\x00\"\x00m\x00\"\x00}\x00", unknown},
		{"other bodies aren't known", "POST", chat, fields{"Content-Type": "application/octet-stream"}, "\xff\xd8\xff", unknown},
		{"a form in a URL's manner isn't known", "POST", chat, nil, "model=m", unknown},
		{"several models are more than one", "POST", chat, asJSON, `{"model":"a","models":["b"]}`, usage.Request{Model: "a", ModelCount: 1, OtherModels: []string{"b"}, Complete: true, ConsumesTokens: true}},
		{"JSON in UTF-8 is read", "POST", chat, fields{"Content-Type": "application/json; charset=UTF-8"}, hello, helloIs},
		{"JSON in UTF-7 isn't known", "POST", chat, fields{"Content-Type": "application/json; charset=utf-7"}, `{"model":"m","+AG0-odel":"n"}`, usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"neither is JSON of two charsets", "POST", chat, fields{"Content-Type": "application/json; charset=utf-8; charset=utf-7"}, `{"model":"m"}`, usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		// Compressed JSON.
		{"compressed JSON is read", "POST", chat, fields{"Content-Type": typeJSON, "Content-Encoding": "gzip"}, string(encode(t, "gzip", hello)[0]), helloIs},
		{"JSON that is cut isn't known", "POST", chat, fields{"Content-Type": typeJSON, "Content-Encoding": "br"}, string(encode(t, "br", hello, "")[0]), func() usage.Request {
			cut := helloIs
			cut.Complete = false
			return cut
		}()},
		{"an unknown coding isn't known", "POST", chat, fields{"Content-Type": typeJSON, "Content-Encoding": "snappy"}, hello, unknown},
		{"what is compressed and doesn't say that it is JSON isn't known", "POST", chat, fields{"Content-Encoding": "gzip"}, string(encode(t, "gzip", hello)[0]), unknown},
		// Forms.
		{
			"a form is read", "POST", speech, asForm,
			part("prompt", "Hello") + part("model", "m") + part("stream", "true") + file(100) + "--b--\r\n",
			usage.Request{Model: "m", ModelCount: 1, Streaming: true, TextTokens: 1, Complete: true, ConsumesTokens: true},
		},
		{
			"a form with the file first", "POST", speech, asForm,
			part("prompt", "Hello") + file(100_000) + part("model", "m") + "--b--",
			usage.Request{Model: "m", ModelCount: 1, TextTokens: 1, Complete: true, ConsumesTokens: true},
		},
		{
			"a form with stream set to false", "POST", speech, asForm, part("stream", "False") + part("model", "m") + "--b--\r\n",
			usage.Request{Model: "m", ModelCount: 1, Complete: true, ConsumesTokens: true},
		},
		{"a form may name no model", "POST", speech, asForm, file(100) + "--b--\r\n", usage.Request{Complete: true, ConsumesTokens: true}},
		{"every model of a form counts", "POST", speech, asForm, part("model", "a") + part("Model", "b") + "--b--\r\n", usage.Request{Model: "b", ModelCount: 2, Complete: true, ConsumesTokens: true}},
		{"a form that doesn't end isn't known", "POST", speech, asForm, part("model", "m") + file(100), usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"a form with something before it isn't known", "POST", speech, asForm, "{}\r\n" + part("model", "m") + "--b--\r\n", usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"a form with a part that has no name isn't known", "POST", speech, asForm, part(`x"; name="model`, "n") + part("model", "m") + "--b--\r\n", usage.Request{ConsumesTokens: true}},
		{"a form whose boundary is encoded isn't known", "POST", speech, fields{"Content-Type": "multipart/form-data; boundary*=utf-8''b; boundary=c"}, part("model", "m") + "--b--\r\n", usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{
			"the session in a form names a model", "POST", "/v1/realtime/calls", asForm, part("sdp", "v=0") + part("session", `{"type":"realtime","model":"m"}`) + "--b--\r\n",
			usage.Request{Model: "m", ModelCount: 1, Complete: true, ConsumesTokens: true},
		},
		{
			"a form and its session name a model", "POST", "/v1/realtime/calls", asForm, part("model", "a") + part("session", `{"model":"m"}`) + "--b--\r\n",
			usage.Request{Model: "m", ModelCount: 2, Complete: true, ConsumesTokens: true},
		},
		{"a form without a boundary isn't known", "POST", speech, fields{"Content-Type": "multipart/form-data"}, part("model", "m") + "--b--\r\n", unknown},
		{"an invalid form is not complete", "POST", speech, asForm, hello, unknown},
		{"a compressed form isn't known", "POST", speech, fields{"Content-Type": formOf, "Content-Encoding": "gzip"}, string(encode(t, "gzip", part("model", "m")+"--b--\r\n")[0]), unknown},
		{"a model after a long file", "POST", speech, asForm, file(maximum) + part("model", "m") + "--b--\r\n", usage.Request{Model: "m", ModelCount: 1, Complete: true, ConsumesTokens: true}},
		{"a form for a file is not read to the model", "POST", "/v1/files", asForm, file(maximum) + part("model", "m") + "--b--\r\n", usage.Request{}},
		{"a long file after the model", "POST", speech, asForm, part("model", "m") + file(3*maximum) + "--b--\r\n", usage.Request{Model: "m", ModelCount: 1, Complete: true, ConsumesTokens: true}},
		// Targets.
		{"a path names a model", "GET", "/v1/models/gpt%2D5", nil, "", usage.Request{Model: "gpt-5", ModelCount: 1, Complete: true}},
		{"a model may have slashes", "GET", "/v1/models/a/b", nil, "", usage.Request{Model: "a/b", ModelCount: 1, Complete: true}},
		{"a path names an engine", "POST", "/v1/engines/e/completions", asJSON, hello, usage.Request{Model: "e", ModelCount: 1, OtherModels: []string{"m"}, Streaming: true, TextTokens: 1, Complete: true, ConsumesTokens: true}},
		{"Azure's deployment is one", "POST", "/openai/deployments/d/chat/completions?api-version=1", asJSON, hello, usage.Request{Model: "d", ModelCount: 1, OtherModels: []string{"m"}, Streaming: true, TextTokens: 1, Complete: true, ConsumesTokens: true}},
		{"Azure's deployment is known if the body isn't", "POST", "/openai/deployments/d/audio/transcriptions", asForm, "", usage.Request{Model: "d", ModelCount: 1, Complete: true, ConsumesTokens: true}},
		{"a host before the path is none of it", "GET", "http://x/v1/models/m", nil, "", usage.Request{Model: "m", ModelCount: 1, Complete: true}},
		{"a path that may be another isn't known", "GET", "/v1/models/x/../m", nil, "", usage.Request{Model: "m", ModelCount: 1}},
		{"neither is one with two slashes", "POST", "/v1//chat/completions", asJSON, `{"model":"m"}`, usage.Request{Model: "m", ModelCount: 1, ConsumesTokens: true}},
		{"neither is one that can't be decoded", "POST", "/v1/%zz", nil, "", unknown},
		{"a query names another model", "POST", chat + "?model=a", asJSON, hello, usage.Request{Model: "m", ModelCount: 1, OtherModels: []string{"a"}, Streaming: true, TextTokens: 1, Complete: true, ConsumesTokens: true}},
		{"a WebSocket's is", "GET", "/v1/realtime?model=m", fields{"Upgrade": "WebSocket"}, "", usage.Request{Model: "m", ModelCount: 1, Streaming: true, Complete: true, ConsumesTokens: true}},
		{"Azure calls it a deployment", "GET", "/openai/realtime?deployment=m", fields{"Upgrade": "websocket"}, "", usage.Request{Model: "m", ModelCount: 1, Streaming: true, Complete: true, ConsumesTokens: true}},
		{"each of a WebSocket's counts", "GET", "/v1/realtime?model=m&model=n", fields{"Upgrade": "websocket"}, "", usage.Request{Model: "n", ModelCount: 2, OtherModels: []string{"m"}, Streaming: true, Complete: true, ConsumesTokens: true}},
		{"a WebSocket whose messages name models isn't known", "GET", "/v1/responses?model=m", fields{"Upgrade": "websocket"}, "", usage.Request{Model: "m", ModelCount: 1, Streaming: true, ConsumesTokens: true}},
		{"a WebSocket without one isn't known", "GET", "/v1/responses", fields{"Upgrade": "websocket"}, "", usage.Request{Streaming: true, ConsumesTokens: true}},
		// Requests that consume tokens.
		{"a method in lower case consumes tokens", "post", chat, asJSON, "{}", usage.Request{Complete: true, ConsumesTokens: true}},
		{"a read consumes no tokens", "GET", chat + "/x", nil, "", usage.Request{Complete: true}},
		{"a change of a stored object consumes no tokens", "POST", chat + "/x", asJSON, "{}", usage.Request{Complete: true}},
		{"an upload consumes no tokens", "POST", "/v1/files", nil, "", usage.Request{Complete: true}},
		{"an unknown endpoint may consume tokens", "POST", "/v1/tomorrow", asJSON, "{}", usage.Request{Complete: true, ConsumesTokens: true}},
		{"OPTIONS of all are a request", "OPTIONS", "*", nil, "", usage.Request{Complete: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			header := make(http.Header)
			for name, value := range row.header {
				header.Set(name, value)
			}
			for name, wrap := range map[string]func(io.Reader) io.Reader{"in one piece": unsplit, "byte by byte": iotest.OneByteReader, "with the last bytes and io.EOF together": iotest.DataErrReader} {
				body := &closeRecorder{Reader: wrap(strings.NewReader(row.body))}
				got, replay, err := usage.ReadRequest(t.Context(), row.method, row.target, header, body, maximum)
				if err != nil {
					t.Fatal(err)
				}
				row.want.Transcription = strings.Contains(row.target, "/audio/transcriptions")
				row.want.Opaque = !row.want.Complete && row.body != "" && row.name != "neither is one with two slashes"
				if !reflect.DeepEqual(got, row.want) {
					t.Errorf("%s: got %+v, want %+v", name, got, row.want)
				}
				again, err := io.ReadAll(replay)
				if err != nil || string(again) != row.body {
					t.Errorf("%s: got a body of %d bytes, error %v, want %d bytes", name, len(again), err, len(row.body))
				}
				if closer, ok := replay.(io.Closer); ok {
					closer.Close()
				}
				if !body.closed {
					t.Error("the body was not closed")
				}
			}
			_, replay, err := usage.ReadRequest(t.Context(), row.method, row.target, header, bytes.NewReader([]byte(row.body)), maximum)
			if again, failure := io.ReadAll(replay); err != nil || failure != nil || string(again) != row.body {
				t.Errorf("with a buffered body: got a body of %d bytes, errors %v and %v", len(again), err, failure)
			}
			if closer, ok := replay.(io.Closer); ok {
				closer.Close()
			}
		})
	}
}

func TestReadRequest_WithoutBody(t *testing.T) {
	t.Parallel()
	got, replay, err := usage.ReadRequest(t.Context(), "GET", "/v1/models", nil, nil, maximum)
	if err != nil || replay != nil || !reflect.DeepEqual(got, usage.Request{Complete: true}) {
		t.Errorf("ReadRequest() = %+v, %v, %v", got, replay, err)
	}
}

func TestReadRequest_ReturnsABufferedBodyItself(t *testing.T) {
	t.Parallel()
	buffered := bytes.NewReader([]byte(`before{"model":"m"}`))
	buffered.Seek(6, io.SeekStart)
	got, replay, err := usage.ReadRequest(t.Context(), "POST", chat, nil, buffered, 5)
	if err != nil || replay != io.Reader(buffered) || buffered.Len() != 13 || got.Model != "m" || !got.Complete {
		t.Errorf("ReadRequest() = %+v with %d unread bytes, error %v", got, buffered.Len(), err)
	}
}

func TestReadRequest_RejectsLargeBodies(t *testing.T) {
	t.Parallel()
	text := `{"model":"` + strings.Repeat("x", 100) + `"}`
	for _, row := range []struct {
		name, coding, body string
		limit              int64
	}{
		{"buffered", "identity", text, 111},
		{"decoded", "gzip", string(encode(t, "gzip", text)[0]), 111},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {row.coding}, "Content-Length": {"999999999"}}
			if got, _, err := usage.ReadRequest(t.Context(), "POST", chat, header, strings.NewReader(row.body), row.limit+1); err != nil || !got.Complete {
				t.Errorf("at the limit: ReadRequest() = %+v, %v", got, err)
			}
			body := &closeRecorder{Reader: strings.NewReader(row.body)}
			_, _, err := usage.ReadRequest(t.Context(), "POST", chat, header, body, row.limit)
			if large, ok := errors.AsType[*usage.TooLargeError](err); !ok || large.Limit != row.limit || !strings.Contains(err.Error(), strconv.FormatInt(row.limit, 10)) {
				t.Errorf("got error %v", err)
			}
			if !body.closed {
				t.Error("the body was not closed")
			}
		})
	}
}

func TestReadRequest_ReturnsErrorsOfTheBody(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{typeJSON, formOf, ""} {
		body := &closeRecorder{Reader: broken{}}
		_, _, err := usage.ReadRequest(t.Context(), "POST", chat, http.Header{"Content-Type": {contentType}}, body, maximum)
		if !errors.Is(err, errBroken) || !body.closed {
			t.Errorf("%q: got error %v, body closed %v, want the error of a closed body", contentType, err, body.closed)
		}
	}
}

func TestForm_FailsAtASecondModel(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {formOf}}
	for _, row := range []struct{ name, rest string }{
		{"a second model", part("model", "n") + "--b--\r\n"},
		{"no form", "--b\r\nnot a field\r\n\r\n" + part("model", "n") + "--b--\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			form := part("model", "m") + file(2*maximum) + row.rest
			got, replay, err := usage.ReadRequest(t.Context(), "POST", speech, header, strings.NewReader(form), maximum)
			if err != nil || !got.Complete || got.Model != "m" {
				t.Fatalf("ReadRequest() = %+v, %v", got, err)
			}
			defer replay.(io.Closer).Close()
			if sent, err := io.ReadAll(replay); !errors.Is(err, usage.ErrForm) || !strings.HasPrefix(form, string(sent)) || len(sent) == len(form) {
				t.Errorf("%d of %d bytes were read, with error %v, want ErrForm", len(sent), len(form), err)
			}
		})
	}
}

// TestForm_ForwardsTheRestUnread has a client that sends no more.
func TestForm_ForwardsTheRestUnread(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	go io.WriteString(writer, part("model", "m")+part("stream", "true")+"--b\r\n")
	got, replay, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {formOf}}, reader, maximum)
	if err != nil || !got.Complete || !got.Streaming {
		t.Fatalf("ReadRequest() = %+v, %v", got, err)
	}
	replay.(io.Closer).Close()
}

// FuzzForm has any bytes for a form: none may change.
func FuzzForm(f *testing.F) {
	f.Add([]byte(part("model", "m")+file(10)+"--b--\r\n"), false)
	f.Add([]byte(part("stream", "1")+part("model", "m")+part("model", "n")+"--b--"), true)
	f.Add([]byte("--b\r\n\r\n\r\n--b--"), true)
	f.Add([]byte("\r\n--b\nContent-Disposition: form-data; name=model\n\nx\n--b--\n"), false)
	f.Fuzz(func(t *testing.T, form []byte, slowly bool) {
		var body io.Reader = bytes.NewBuffer(bytes.Clone(form))
		if slowly {
			body = iotest.OneByteReader(body)
		}
		got, replay, err := usage.ReadRequest(t.Context(), "POST", speech, http.Header{"Content-Type": {formOf}}, body, maximum)
		if err != nil {
			t.Fatal(err)
		}
		if closer, ok := replay.(io.Closer); ok {
			defer closer.Close()
		}
		again, err := io.ReadAll(replay)
		if errors.Is(err, usage.ErrForm) {
			if !bytes.HasPrefix(form, again) {
				t.Fatalf("got body %q, want a prefix of %q", again, form)
			}
			return
		}
		if err != nil || !bytes.Equal(again, form) {
			t.Fatalf("got body %q, error %v, want %q", again, err, form)
		}
		if got.Complete && got.ModelCount > 0 && got.Model == "" {
			t.Fatalf("%q: got a complete request without a model: %+v", form, got)
		}
	})
}

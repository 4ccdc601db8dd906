package usage_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/lineartest"
	"github.com/openai-connect/openai-connect/server/usage"
)

// jsonPieces repeat into JSON, or what begins like it, that may take a parser long.
var jsonPieces = []string{
	"[", "{", `{"a":`, "]", "}", `"`, `\`, `\u0000`, `\ud83d`, `"a",`, `"model":"m",`, `"MODEL":"m",`, `"models":["m"],`, `"content":"a",`, `"content":[`,
	`{"usage":{"a":`, `"usage":{},`, `"usage":{"total_tokens":1},`, "1", "1,", "-", " ", "\n", "\ufeff", "\x00", "a", `"model":{"model":`, `"session":{"model":`, `"tools":[{"model":"m"}],`,
}

func TestReadRequest_TakesLinearTime(t *testing.T) {
	read := func(contentType string, body func(string) string, pieces []string) {
		t.Helper()
		for _, piece := range pieces {
			lineartest.Check(t, 1<<20, func(size int) func() {
				text := body(strings.Repeat(piece, size/len(piece)))
				header := http.Header{"Content-Type": {contentType}}
				return func() {
					_, replay, err := usage.ReadRequest(t.Context(), http.MethodPost, speech, header, strings.NewReader(text), 64<<20)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, replay)
					if closer, ok := replay.(io.Closer); ok {
						_ = closer.Close()
					}
				}
			})
		}
	}
	read(typeJSON, func(text string) string { return text }, jsonPieces)
	read(typeJSON, func(text string) string { return `{"model":"` + text }, jsonPieces)
	read(typeJSON, func(text string) string { return `{"a":[` + text }, jsonPieces)
	read("", func(text string) string { return `{` + text }, jsonPieces)
	forms := []string{
		"--b\r\n", "--b", "\r\n--b", "\r\n--b\r\n\r\n", "-", "\r", "\n", "\r\n", "a", " ", "\t", "a: b\r\n", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n",
		"--b\r\nContent-Disposition: form-data; name=\"", "\\", ";", "name=a;", `"`, "--b--\r\n", "--b\r\nContent-Disposition: form-data; name=\"session\"\r\n\r\n{\r\n",
	}
	read(formOf, func(text string) string { return text }, forms)
	read(formOf, func(text string) string { return part("file", text) + part("model", "m") + "--b--\r\n" }, forms)
	read(formOf, func(text string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"model\"" + text + "\r\n\r\nm\r\n--b--\r\n"
	}, forms)
}

func TestTap_TakesLinearTime(t *testing.T) {
	pass := func(contentType string, status int, header http.Header, pieces []string) {
		t.Helper()
		for _, piece := range pieces {
			for _, chunk := range []int{64, 32 << 10} {
				lineartest.Check(t, 1<<20, func(size int) func() {
					text := strings.Repeat(piece, size/len(piece))
					return func() {
						resp := respond(contentType, status, text)
						maps.Copy(resp.Header, header)
						tap := usage.NewTap(resp, textRequest, nil)
						_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, make([]byte, chunk))
						_ = resp.Body.Close()
						tap.Response()
					}
				})
			}
		}
	}
	pass(typeJSON, 0, nil, jsonPieces)
	events := []string{
		"data: {}\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", "\n", "\r", "\r\n", "data:", "data\n", "data: [DONE]\n\n", "data: {\"usage\":{}}\n\n",
		":", "event: a\n", "a", "data: [\n", "data: \"\n", "id: 1\r", "data: {\"usage\":{\"total_tokens\":1}}\r\n\r\n",
	}
	pass(typeEvents, 0, nil, events)
	pass("", 0, nil, events)
	frames := []string{
		frame(final|text, ""), frame(text, ""), frame(0, ""), frame(final, "a"), frame(final|text, "{}"), frame(final|binaryMessage, "a"), frame(final|ping, ""),
		frame(final|text, `{"type":"response.done","response":{"usage":{"total_tokens":1}}}`), frame(text, "[") + frame(final, "]"), "\x81", "\xff", "\x00",
	}
	pass("", http.StatusSwitchingProtocols, nil, frames)
	deflated := &deflater{independent: true}
	packed := http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}
	pass("", http.StatusSwitchingProtocols, packed, append(frames,
		frame(final|compressed|text, deflated.message("{}")), frame(final|compressed|text, ""), frame(final|compressed|text, "\x00\x00\x00\xff\xff"), frame(compressed|text, "\x00")))
}

func TestDecoding_TakesLinearTime(t *testing.T) {
	for coding, coder := range coders {
		for _, piece := range []string{"[", `{"model":"m"},`, " "} {
			lineartest.Check(t, 512<<10, func(size int) func() {
				var body bytes.Buffer
				w := coder(&body)
				_, _ = io.WriteString(w, strings.Repeat(piece, size/len(piece)))
				_ = w.Close()
				header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {coding}}
				return func() {
					_, _, _ = usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(body.Bytes()), 64<<20)
					resp := respond(typeJSON, 0, body.String())
					resp.Header.Set("Content-Encoding", coding)
					tap := usage.NewTap(resp, textRequest, nil)
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					tap.Response()
				}
			})
		}
	}
	for name, body := range emptyBodies(t) {
		coding, _, _ := strings.Cut(name, " ")
		lineartest.Check(t, len(body), func(size int) func() {
			header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {coding}}
			return func() {
				_, _, _ = usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(body[:size]), 64<<20)
			}
		})
	}
}

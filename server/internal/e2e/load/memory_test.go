package load_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// helloWith returns a request with one message.
func helloWith(text string) *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{Model: "m", Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: &text}}}
}

// hexProse returns text that compresses like English.
func hexProse(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, "%x ", random.Uint32())
	}
	return text.String()
}

// checkOverBudget checks that an error reports a full buffer budget and a retry delay.
func checkOverBudget(t *testing.T, err error, limit string) {
	t.Helper()
	failure, ok := errors.AsType[*connect.Error](err)
	if !ok || failure.Code() != connect.CodeResourceExhausted || !strings.Contains(failure.Message(), limit) {
		t.Fatalf("got error %v", err)
	}
	var retries, codes int
	for _, detail := range failure.Details() {
		decoded, err := connectproto.ErrorDetailToAny(detail).UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch d := decoded.(type) {
		case *errdetails.RetryInfo:
			retries++
		case *restv1.Error:
			codes++
			if d.GetCode() != "server_overloaded" {
				t.Errorf("got error code %q", d.GetCode())
			}
		}
	}
	if retries != 1 || codes != 1 {
		t.Errorf("got details %v", failure.Details())
	}
}

// A call waiting for the upstream fills the budget. Its response releases the budget.
func TestMemory_TypedCallsAreBounded(t *testing.T) {
	t.Parallel()
	asked, leave := make(chan struct{}, 10), make(chan struct{})
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-leave
		servertest.JSON(http.StatusOK, `{}`)(w, r)
	})
	defer func() {
		if leave != nil {
			close(leave)
		}
	}()
	const limit = 2 << 20
	for _, protocol := range servertest.Protocols() {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, compressed: %v", protocol.Name, compressed), func(t *testing.T) {
				front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, MaxBufferedBytes: limit})
				var options []connecthttp.Option
				if compressed {
					options = append(options, connecthttp.WithSendGzip())
				}
				client := front.Client(t, protocol, options...)
				size := 1 << 20
				if compressed { // The compressed and the decompressed message are buffered together.
					size = 700 << 10
				}
				large := helloWith(hexProse(size))
				var first sync.WaitGroup
				first.Go(func() {
					if _, err := client.CreateChatCompletion(e2etest.Context(t), large); err != nil {
						t.Errorf("first call: %v", err)
					}
				})
				e2etest.Receive(t, asked, "the first call")
				_, err := client.CreateChatCompletion(e2etest.Context(t), large)
				checkOverBudget(t, err, "2097152")
				stream, err := client.StreamChatCompletion(e2etest.Context(t), large)
				if err == nil {
					if _, err = stream.Receive(); err == nil {
						t.Error("stream succeeded, want an error")
					}
					_ = stream.Close()
				}
				checkOverBudget(t, err, "2097152")
				// A small call still fits.
				var small sync.WaitGroup
				small.Go(func() {
					if _, err := client.CreateChatCompletion(e2etest.Context(t), helloWith("Hello")); err != nil {
						t.Errorf("small call: %v", err)
					}
				})
				e2etest.Receive(t, asked, "the small call")
				leave <- struct{}{}
				leave <- struct{}{}
				first.Wait()
				small.Wait()
				first.Go(func() {
					if _, err := client.CreateChatCompletion(e2etest.Context(t), large); err != nil {
						t.Errorf("following call: %v", err)
					}
				})
				e2etest.Receive(t, asked, "the following call")
				leave <- struct{}{}
				first.Wait()
			})
		}
	}
	close(leave)
	leave = nil
}

// One client uses all the memory that it can, with typed and raw requests. Requests
// of another client are served.
func TestMemory_IsSharedFairlyByClients(t *testing.T) {
	t.Parallel()
	const victimKey = "token-of-the-victim"
	leave := make(chan struct{})
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Wait") != "" {
			<-leave
		}
		servertest.JSON(http.StatusOK, `{}`)(w, r)
	})
	front := e2etest.StartServer(t, server.Config{
		Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), MaxBufferedBytes: 4 << 20,
		Clients: e2etest.OpenClients(t, e2etest.ClientsFile(t, e2etest.ClientEntry(t, servertest.Key, "", "models: [m]"), e2etest.ClientEntry(t, victimKey, "", "models: [m]"))),
	})
	client := servertest.HTTPClient(t, true)
	ask := func(token, path, contentType, body string, wait bool) (int, string) {
		request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", contentType)
		if wait {
			request.Header.Set("X-Wait", "yes")
		}
		resp, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
			t.Error("got no Retry-After")
		}
		return resp.StatusCode, string(text)
	}
	large := `{"model":"m","messages":[{"role":"user","content":"` + hexProse(1<<20) + `"}]}`
	typed := strings.Replace(large, `"user"`, `"ROLE_USER"`, 1)
	var hogs sync.WaitGroup
	statuses := make(chan int, 8)
	for i := range 8 {
		hogs.Go(func() {
			var status int
			if i%2 == 0 {
				status, _ = ask(servertest.Key, "/v1/chat/completions", "application/json", large, true)
			} else {
				status, _ = ask(servertest.Key, e2etest.CreateProcedure, "application/json", typed, true)
			}
			statuses <- status
		})
	}
	for range 6 { // At most two of its bodies fit into half of the budget.
		switch status := e2etest.Receive(t, statuses, "a rejection"); status {
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		default:
			t.Errorf("got status %d", status)
		}
	}
	small := `{"model":"m","messages":[{"role":"user","content":"Hello"}]}`
	for range 10 {
		if status, text := ask(victimKey, "/v1/chat/completions", "application/json", small, false); status != http.StatusOK {
			t.Errorf("raw request of another client: got status %d and body %s", status, text)
		}
		if status, text := ask(victimKey, e2etest.CreateProcedure, "application/json", strings.Replace(small, `"user"`, `"ROLE_USER"`, 1), false); status != http.StatusOK {
			t.Errorf("typed request of another client: got status %d and body %s", status, text)
		}
	}
	if status, text := ask(servertest.Key, "/v1/chat/completions", "application/json", large, false); status != http.StatusServiceUnavailable || !strings.Contains(text, "server_overloaded") || !strings.Contains(text, "4194304") {
		t.Errorf("further request of the client: got status %d and body %s", status, text)
	}
	close(leave)
	hogs.Wait()
	for _, token := range []string{servertest.Key, victimKey} {
		if status, text := ask(token, "/v1/chat/completions", "application/json", large, false); status != http.StatusOK {
			t.Errorf("after all requests: got status %d and body %s", status, text)
		}
	}
}

// The test sends messages that decompress to a thousand times their size.
func TestMemory_CompressionBombIsRejected(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL})
	for _, protocol := range servertest.Protocols() {
		client := front.Client(t, protocol, connecthttp.WithSendGzip())
		_, err := client.CreateChatCompletion(e2etest.Context(t), helloWith(strings.Repeat("a", 4<<20)))
		if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "100 times") {
			t.Errorf("%s: got error %v", protocol.Name, err)
		}
		if _, err := client.CreateChatCompletion(e2etest.Context(t), helloWith(strings.Repeat("a", 1<<19))); err != nil {
			t.Errorf("%s: got error %v for half a megabyte", protocol.Name, err)
		}
		if _, err := client.CreateChatCompletion(e2etest.Context(t), helloWith(hexProse(3<<19))); err != nil {
			t.Errorf("%s: got error %v for an ordinary message", protocol.Name, err)
		}
	}
	if got := upstream.Take(); len(got) != 2*len(servertest.Protocols()) {
		t.Errorf("upstream received %d requests", len(got))
	}
	t.Run("over Connect GET", func(t *testing.T) {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = io.WriteString(w, `{"completion_id":"`+strings.Repeat("a", 4<<20)+`"}`)
		_ = w.Close()
		query := url.Values{
			"connect": {"v1"}, "encoding": {"json"}, "base64": {"1"}, "compression": {"gzip"},
			"message": {base64.URLEncoding.EncodeToString(packed.Bytes())},
		}
		request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodGet, front.URL+"/openaiconnect.chat.v1.ChatService/GetChatCompletion?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := servertest.HTTPClient(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct{ Code string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Code != "resource_exhausted" {
			t.Errorf("got status %d, body %+v, and error %v", resp.StatusCode, answer, err)
		}
	})
}

// Empty submessages decode to a hundred times their encoded size.
func TestMemory_ManySmallMessagesAreBounded(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, MaxBufferedBytes: 32 << 20})
	many := &chatv1.CreateChatCompletionRequest{Model: "m"}
	for range 200_000 {
		many.Messages = append(many.Messages, &chatv1.Message{})
	}
	few := &chatv1.CreateChatCompletionRequest{Model: "m"}
	for range 10_000 {
		few.Messages = append(few.Messages, helloWith("Hello, is there anybody out there?").GetMessages()[0])
	}
	for _, protocol := range servertest.Protocols() {
		client := front.Client(t, protocol)
		if _, err := client.CreateChatCompletion(e2etest.Context(t), many); connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: got error %v", protocol.Name, err)
		}
		if _, err := client.CreateChatCompletion(e2etest.Context(t), few); err != nil {
			t.Errorf("%s: got error %v for a long conversation", protocol.Name, err)
		}
	}
}

// Messages in several gzip members, in empty members, and malformed messages.
func TestMemory_CompressedMessagesAreDecodedExactly(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, MaxMessageBytes: 1 << 20})
	zip := func(texts ...string) string {
		var packed bytes.Buffer
		for _, text := range texts {
			w := gzip.NewWriter(&packed)
			_, _ = io.WriteString(w, text)
			_ = w.Close()
		}
		return packed.String()
	}
	const text = `{"model":"m","messages":[{"role":"ROLE_USER","content":"Hello"}]}`
	long := `{"model":"` + hexProse(1<<20) + `"}`
	for _, row := range []struct{ name, body, code string }{
		{"one member", zip(text), ""},
		{"two members", zip(text[:7], text[7:]), ""},
		{"many members", zip(strings.Split(text, "")...), ""},
		{"empty members", zip("", text, "", ""), ""},
		{"empty message", zip(""), "invalid_argument"},
		{"half a member", zip(text)[:20], "invalid_argument"},
		{"not gzip", text, "invalid_argument"},
		{"trailing data", zip(text) + "x", "invalid_argument"},
		{"too long", zip(long), "resource_exhausted"},
		{"too long in two members", zip(long[:100], long[100:]), "resource_exhausted"},
		{"compressed twice", zip(zip(text)), "invalid_argument"},
	} {
		request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+e2etest.CreateProcedure, strings.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Content-Encoding", "gzip")
		resp, err := servertest.HTTPClient(t, true).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Code, Message string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Code != row.code {
			t.Errorf("%s: got status %d, body %+v, and error %v", row.name, resp.StatusCode, answer, err)
		}
		_ = resp.Body.Close()
		if got := upstream.Take(); (row.code == "") != (len(got) == 1) || len(got) == 1 && got[0].Body != strings.ReplaceAll(text, "ROLE_USER", "user") {
			t.Errorf("%s: upstream received %v", row.name, got)
		}
	}
}

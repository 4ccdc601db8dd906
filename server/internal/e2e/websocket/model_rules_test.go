package websocket_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// dialRealtime opens a WebSocket for the model "mini", with compression offered.
func dialRealtime(t *testing.T, front *servertest.Front) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(e2etest.Context(t), front.URL+"/v1/realtime?model=mini", &websocket.DialOptions{
		HTTPClient:      servertest.HTTPClient(t, false),
		HTTPHeader:      http.Header{"Authorization": {"Bearer " + servertest.Key}},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(8 << 20)
	return conn
}

func TestWebSocket_ModelRulesApplyToMessages(t *testing.T) {
	t.Parallel()
	const text, binary = websocket.MessageText, websocket.MessageBinary
	rules := map[string][]string{
		"models":          {"models: [mini]"},
		"limits by model": {"limits: {models: {mini: {requests_per_minute: 1000}, x: {requests_per_minute: 1}}}"},
	}
	for _, row := range []struct {
		name    string
		kind    websocket.MessageType
		message string
		allowed bool
		limits  bool // allowed once if models have limits
	}{
		{"an update without a model", text, `{"type":"session.update","session":{"type":"realtime","instructions":"x"}}`, true, true},
		{"an update for the model", text, `{"type":"session.update","session":{"model":"mini","audio":{"input":{"transcription":{"model":"mini"}}}}}`, true, true},
		{"audio", text, `{"type":"input_audio_buffer.append","audio":"` + strings.Repeat("QUJD", 7<<10) + `"}`, true, true},
		{"free-form JSON", text, `{"type":"session.update","session":{"tools":[{"type":"function","name":"f","parameters":{"properties":{"model":{}},"model":"x"}}],"tracing":{"metadata":{"model":"x"}}}}`, true, true},
		{"content", text, `{"type":"conversation.item.create","item":{"content":[{"type":"input_text","text":"model","model":"x"}]}}`, true, true},
		{"JSON as binary", binary, `{"type":"response.create"}`, true, true},
		{"another model of the session", text, `{"type":"session.update","session":{"model":"x"}}`, false, true},
		{"another model of the event", text, `{"type":"session.update","model":"x"}`, false, true},
		{"another model of transcription", text, `{"type":"session.update","session":{"audio":{"input":{"transcription":{"model":"x"}}}}}`, false, true},
		{"another model of transcription, legacy event", text, `{"type":"transcription_session.update","session":{"input_audio_transcription":{"model":"x"}}}`, false, true},
		{"another model of a response", text, `{"type":"response.create","response":{"model":"x"}}`, false, true},
		{"another model of a tool", text, `{"type":"response.create","response":{"tools":[{"model":"x"}]}}`, false, true},
		{"another model, escaped", text, `{"type":"session.update","s\u0065ssion":{"mod\u0065l":"\u0078"}}`, false, true},
		{"another model as binary", binary, `{"type":"session.update","session":{"model":"x"}}`, false, true},
		{"two models", text, `{"session":{"model":"mini","model":"mini"}}`, false, false},
		{"not JSON", text, `session.update x`, false, false},
		{"not JSON, as binary", binary, "\x00\x01", false, false},
		{"two values", text, `{}{"session":{"model":"x"}}`, false, false},
		{"a model that is not a string", text, `{"session":{"model":["x"]}}`, false, false},
	} {
		for kind, lines := range rules {
			t.Run(row.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				ended := make(chan error, 1)
				front := e2etest.StartServer(t, e2etest.PolicyConfig(t, e2etest.ServeWebSocketEcho(t, func(err error) { ended <- err }), lines...))
				conn := dialRealtime(t, front)
				allowed := row.allowed || kind != "models" && row.limits
				for _, fragments := range []int{1, 3} {
					if fragments == 3 && (allowed && !row.allowed || len(row.message) < 3) {
						break // The model's limit is exhausted.
					}
					writer, err := conn.Writer(e2etest.Context(t), row.kind)
					if err != nil {
						t.Fatal(err)
					}
					size := (len(row.message) + fragments - 1) / fragments
					for rest := row.message; rest != ""; rest = rest[min(size, len(rest)):] {
						if _, err := io.WriteString(writer, rest[:min(size, len(rest))]); err != nil {
							t.Fatal(err)
						}
					}
					if err := writer.Close(); err != nil {
						t.Fatal(err)
					}
					_, echoed, err := conn.Read(e2etest.Context(t))
					if allowed {
						if err != nil || string(echoed) != row.message {
							t.Fatalf("got message %.100q and error %v", echoed, err)
						}
						continue
					}
					if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
						t.Errorf("got message %q and error %v, want a close frame with status 1008", echoed, err)
					}
					if err := e2etest.Receive(t, ended, "the upstream's end"); websocket.CloseStatus(err) == websocket.StatusNormalClosure {
						t.Errorf("upstream received %v", err)
					}
					return
				}
			})
		}
	}
}

// A model with its own limit counts once for each session that names it.
func TestWebSocket_ModelsInMessagesAreCounted(t *testing.T) {
	t.Parallel()
	front := e2etest.StartServer(t, e2etest.PolicyConfig(t, e2etest.ServeWebSocketEcho(t, func(error) {}), "limits: {models: {x: {requests_per_minute: 1}}}"))
	const message = `{"session":{"audio":{"input":{"transcription":{"model":"x"}}}}}`
	first, second := dialRealtime(t, front), dialRealtime(t, front)
	for range 2 {
		if err := first.Write(e2etest.Context(t), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, echoed, err := first.Read(e2etest.Context(t)); err != nil || string(echoed) != message {
			t.Fatalf("first session: got message %q and error %v", echoed, err)
		}
	}
	if err := second.Write(e2etest.Context(t), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, echoed, err := second.Read(e2etest.Context(t))
	if refused, ok := errors.AsType[websocket.CloseError](err); !ok || refused.Code != websocket.StatusPolicyViolation || !strings.Contains(refused.Reason, "model") {
		t.Errorf("second session: got message %q and error %v", echoed, err)
	}
}

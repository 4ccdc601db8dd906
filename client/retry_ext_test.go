package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// response is the server's response to one attempt of a call.
type response struct {
	err    error // nil for success
	chunks int   // messages of a stream before the error
	header map[string]string
	// unreachable simulates a connection failure.
	unreachable bool
}

// failing returns the response to an error of the upstream.
func failing(status int, code connect.Code, header ...string) response {
	result := response{err: rpcError(code, &restv1.Error{Message: "No.", HttpStatus: int32(status)}), header: map[string]string{}}
	for pair := range slices.Chunk(header, 2) {
		result.header[pair[0]] = pair[1]
	}
	return result
}

func rpcError(code connect.Code, details ...proto.Message) error {
	err := connect.NewError(code, "No.")
	for _, detail := range details {
		packed, packErr := connectproto.NewErrorDetail(detail)
		if packErr != nil {
			panic(packErr)
		}
		err = err.WithDetail(packed)
	}
	return err
}

// retryAfter returns a rate limit error with a RetryInfo.
func retryAfter(wait time.Duration) response {
	return response{err: rpcError(connect.CodeResourceExhausted,
		&restv1.Error{Message: "No.", HttpStatus: http.StatusTooManyRequests},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})}
}

// script is a server without a network. It returns the given responses to the attempts
// of a call in order, and success to the rest.
type script struct {
	chatv1connect.UnimplementedChatServiceHandler

	responses []response
	handler   http.Handler

	mu   sync.Mutex
	keys []string    // Idempotency-Key of each attempt
	at   []time.Time // time of each attempt
}

func newScript(responses ...response) *script {
	s := &script{responses: responses}
	rpc, mux := connect.NewServer(), http.NewServeMux()
	chatv1connect.RegisterChatServiceHandler(rpc, s)
	connecthttp.Mount(mux, rpc)
	s.handler = mux
	return s
}

// RoundTrip implements [http.RoundTripper].
func (s *script) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.keys = append(s.keys, request.Header.Get("Idempotency-Key"))
	s.at = append(s.at, time.Now())
	current := s.current()
	s.mu.Unlock()
	if current.unreachable {
		return nil, errors.New("connection refused")
	}
	recorder := httptest.NewRecorder()
	for name, value := range current.header {
		recorder.Header().Set(name, value)
	}
	s.handler.ServeHTTP(recorder, request)
	return recorder.Result(), nil
}

// current returns the response to the current attempt.
func (s *script) current() response {
	if len(s.at) > len(s.responses) {
		return response{chunks: 2}
	}
	return s.responses[len(s.at)-1]
}

func (s *script) CreateChatCompletion(context.Context, *chatv1.CreateChatCompletionRequest) (*chatv1.ChatCompletion, error) {
	return new(chatv1.ChatCompletion), s.current().err
}

func (s *script) GetChatCompletion(context.Context, *chatv1.GetChatCompletionRequest) (*chatv1.ChatCompletion, error) {
	return new(chatv1.ChatCompletion), s.current().err
}

func (s *script) StreamChatCompletion(
	_ context.Context, _ *chatv1.CreateChatCompletionRequest, stream chatv1connect.ChatServiceStreamChatCompletionServerStream,
) error {
	for range s.current().chunks {
		if err := stream.Send(new(chatv1.ChatCompletionChunk)); err != nil {
			return err
		}
	}
	return s.current().err
}

func (s *script) client(options ...client.Option) *client.Client {
	return client.New("http://server", append([]client.Option{client.WithHTTPClient(&http.Client{Transport: s})}, options...)...)
}

// waits returns the durations between the attempts.
func (s *script) waits() (waits []time.Duration) {
	for i := 1; i < len(s.at); i++ {
		waits = append(waits, s.at[i].Sub(s.at[i-1]))
	}
	return waits
}

// wait is the range of a backoff, which is reduced by up to a quarter at random.
type wait struct{ minimum, maximum time.Duration }

func exactly(wanted time.Duration) wait { return wait{wanted, wanted} }
func backoff(wanted time.Duration) wait { return wait{wanted - wanted/4, wanted} }

func TestRetry_RepeatsTransientFailures(t *testing.T) {
	t.Parallel()
	const none = 0
	slow := failing(http.StatusTooManyRequests, connect.CodeResourceExhausted)
	for _, row := range []struct {
		name      string
		responses []response
		retries   int
		waits     []wait
		fails     connect.Code
	}{
		{"not after success", nil, 2, nil, none},
		{"after the server could not be reached", []response{{unreachable: true}}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after its upstream could not be reached", []response{failing(0, connect.CodeUnavailable)}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after the status 408", []response{failing(http.StatusRequestTimeout, connect.CodeDeadlineExceeded)}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after the status 409", []response{failing(http.StatusConflict, connect.CodeAborted)}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after the status 429", []response{slow}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after the status 500", []response{failing(http.StatusInternalServerError, connect.CodeInternal)}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"after the status 529", []response{failing(529, connect.CodeUnavailable)}, 2, []wait{backoff(500 * time.Millisecond)}, none},
		{"not after the status 400", []response{failing(http.StatusBadRequest, connect.CodeInvalidArgument)}, 2, nil, connect.CodeInvalidArgument},
		{"not after the status 401", []response{failing(http.StatusUnauthorized, connect.CodeUnauthenticated)}, 2, nil, connect.CodeUnauthenticated},
		{"not after an error in the status 200", []response{failing(http.StatusOK, connect.CodeUnavailable)}, 2, nil, connect.CodeUnavailable},
		{"not after the server's own refusal", []response{{err: rpcError(connect.CodeInvalidArgument)}}, 2, nil, connect.CodeInvalidArgument},
		{"twice, waiting longer each time", []response{slow, slow}, 2, []wait{backoff(500 * time.Millisecond), backoff(time.Second)}, none},
		{"no more than twice", []response{slow, slow, slow}, 2, []wait{backoff(500 * time.Millisecond), backoff(time.Second)}, connect.CodeResourceExhausted},
		{
			"up to the client's limit, with a delay of at most 8 s", slices.Repeat([]response{slow}, 6), 6,
			[]wait{
				backoff(500 * time.Millisecond), backoff(time.Second), backoff(2 * time.Second), backoff(4 * time.Second),
				backoff(8 * time.Second), backoff(8 * time.Second),
			},
			none,
		},
		{"never, if the client's limit is 0", []response{slow}, 0, nil, connect.CodeResourceExhausted},
		{"never, for a negative number of retries", []response{slow}, -1, nil, connect.CodeResourceExhausted},
		{"when the upstream asks for it", []response{retryAfter(20 * time.Second)}, 2, []wait{exactly(20 * time.Second)}, none},
		{"at once, if the error asks for no delay", []response{retryAfter(0)}, 2, []wait{exactly(0)}, none},
		{"after two minutes", []response{retryAfter(2 * time.Minute)}, 2, []wait{exactly(2 * time.Minute)}, none},
		{"not after longer", []response{retryAfter(2*time.Minute + 1)}, 2, nil, connect.CodeResourceExhausted},
		{
			"when an intermediary requests it",
			[]response{{err: rpcError(connect.CodeUnavailable), header: map[string]string{"Retry-After": "3"}}},
			2,
			[]wait{exactly(3 * time.Second)},
			none,
		},
		{
			"not when it asks for more than a number holds",
			[]response{{err: rpcError(connect.CodeUnavailable), header: map[string]string{"Retry-After": "99999999999999999999"}}},
			2, nil, connect.CodeUnavailable,
		},
		{
			"without the wait of the try before",
			[]response{{err: rpcError(connect.CodeUnavailable), header: map[string]string{"Retry-After": "3"}}, {unreachable: true}},
			2,
			[]wait{exactly(3 * time.Second), backoff(time.Second)},
			none,
		},
		{
			"if the upstream allows retries",
			[]response{failing(http.StatusBadRequest, connect.CodeInvalidArgument, "X-Should-Retry", "true")},
			2,
			[]wait{backoff(500 * time.Millisecond)},
			none,
		},
		{
			"not if the upstream disallows retries",
			[]response{failing(http.StatusTooManyRequests, connect.CodeResourceExhausted, "X-Should-Retry", "false")},
			2,
			nil, connect.CodeResourceExhausted,
		},
	} {
		for kind, call := range calls() {
			t.Run(row.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := newScript(row.responses...)
					_, err := call(t.Context(), server.client(client.WithMaxRetries(row.retries)))
					failed, isError := errors.AsType[*client.Error](err)
					if (err != nil) != (row.fails != none) || isError && failed.ConnectCode != row.fails {
						t.Fatalf("got error %v", err)
					}
					waits := server.waits()
					if len(waits) != len(row.waits) {
						t.Fatalf("waited %v", waits)
					}
					for i, wanted := range row.waits {
						if waits[i] < wanted.minimum || waits[i] > wanted.maximum {
							t.Errorf("wait %d is %v, want from %v to %v", i, waits[i], wanted.minimum, wanted.maximum)
						}
					}
				})
			})
		}
	}
}

// calls returns a call of each kind, which returns the number of received messages.
func calls() map[string]func(context.Context, *client.Client) (int, error) {
	return map[string]func(context.Context, *client.Client) (int, error){
		"a unary call": func(ctx context.Context, openai *client.Client) (int, error) {
			_, err := openai.Chat.Create(ctx, ask(client.User("Hello!")))
			return 1, err
		},
		"a stream": func(ctx context.Context, openai *client.Client) (messages int, err error) {
			for chunk, failed := range openai.Chat.Stream(ctx, ask(client.User("Hello!"))) {
				if failed != nil {
					err = failed
				} else if chunk != nil {
					messages++
				}
			}
			return messages, err
		},
		"a read": func(ctx context.Context, openai *client.Client) (int, error) {
			_, err := openai.Chat.Get(ctx, "chatcmpl-1")
			return 1, err
		},
	}
}

func TestRetry_NotAfterFirstMessageOfStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := failing(http.StatusServiceUnavailable, connect.CodeUnavailable)
		broken.chunks = 1
		server := newScript(broken)
		messages, err := calls()["a stream"](t.Context(), server.client())
		if failed, ok := errors.AsType[*client.Error](err); !ok || failed.Status != http.StatusServiceUnavailable {
			t.Errorf("got error %v", err)
		}
		if messages != 1 || len(server.at) != 1 {
			t.Errorf("%d messages in %d tries", messages, len(server.at))
		}
	})
}

func TestRetry_ContextEndsBackoff(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		limit func(context.Context) (context.Context, context.CancelFunc)
		after time.Duration
		cause error
	}{
		{
			"when it is cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(5*time.Second, cancel)
				return ctx, cancel
			}, 5 * time.Second, context.Canceled,
		},
		{
			"before it begins, if its deadline is sooner", func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 10*time.Second)
			}, 0, nil,
		},
	} {
		for kind, call := range calls() {
			t.Run(row.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := row.limit(t.Context())
					defer cancel()
					server, began := newScript(retryAfter(10*time.Second)), time.Now()
					_, err := call(ctx, server.client())
					if !client.IsRateLimited(err) || errors.Is(err, context.Canceled) != (row.cause != nil) {
						t.Errorf("got error %v, want the error of the attempt", err)
					}
					if took := time.Since(began); took != row.after || len(server.at) != 1 {
						t.Errorf("%d tries, over after %v", len(server.at), took)
					}
				})
			})
		}
	}
}

func TestRetry_NotAfterContextIsDone(t *testing.T) {
	t.Parallel()
	for kind, call := range calls() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			server := newScript()
			_, err := call(ctx, server.client())
			failed, ok := errors.AsType[*client.Error](err)
			if !ok || failed.ConnectCode != connect.CodeCanceled || !errors.Is(err, context.Canceled) || len(server.at) > 1 {
				t.Errorf("got error %v after %d tries", err, len(server.at))
			}
		})
	}
}

func TestRetry_KeepsIdempotencyKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := retryAfter(0)
		server := newScript(slow, slow, response{}, slow, response{}, slow)
		openai := server.client()
		ctx, info := connect.NewClientContext(t.Context()) // shared by all calls
		for range 2 {
			if _, err := openai.Chat.Create(ctx, ask(client.User("Hello!"))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := openai.Chat.Get(ctx, "chatcmpl-1"); err != nil {
			t.Fatal(err)
		}
		info.RequestHeader().Set("Idempotency-Key", "mine")
		if _, err := openai.Chat.Create(ctx, ask(client.User("Hello!"))); err != nil {
			t.Fatal(err)
		}
		keys := server.keys
		first, second := keys[0], keys[3]
		want := []string{first, first, first, second, second, "", "", "mine"}
		if first == "" || second == "" || first == second || !slices.Equal(keys, want) {
			t.Errorf("the keys are %q", keys)
		}
	})
}

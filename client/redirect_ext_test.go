package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
	"github.com/openai-connect/openai-connect/server"
)

// callKinds returns a function for each kind of call.
func callKinds() map[string]func(context.Context, *client.Client) error {
	return map[string]func(context.Context, *client.Client) error{
		"unary": func(ctx context.Context, openai *client.Client) error {
			_, err := openai.Chat.Create(ctx, ask(client.User("SECRET PROMPT")))
			return err
		},
		"stream": func(ctx context.Context, openai *client.Client) error {
			for _, err := range openai.Chat.Stream(ctx, ask(client.User("SECRET PROMPT"))) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"stub": func(ctx context.Context, openai *client.Client) error {
			_, err := openai.Chat.Stub().CreateChatCompletion(ctx, ask(client.User("SECRET PROMPT")))
			return err
		},
	}
}

// protocolCall is a protocol and a kind of call.
type protocolCall struct {
	protocol client.Protocol
	call     func(context.Context, *client.Client) error
}

func protocolCalls() map[string]protocolCall {
	all := make(map[string]protocolCall)
	for protocolName, protocol := range protocols() {
		for name, call := range callKinds() {
			all[protocolName+"/"+name] = protocolCall{protocol, call}
		}
	}
	return all
}

// newHTTPClient returns a client that accepts any certificate. It uses HTTP/2
// without TLS for gRPC.
func newHTTPClient(t *testing.T, protocol client.Protocol) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols:       new(http.Protocols),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	transport.Protocols.SetHTTP1(protocol != client.GRPC)
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(protocol == client.GRPC)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

var redirectStatuses = []int{
	http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
}

// redirector responds to all requests with a redirect and counts them.
type redirector struct {
	status   int
	location string
	requests atomic.Int32
}

func (s *redirector) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.requests.Add(1)
	w.Header().Set("Location", s.location)
	w.WriteHeader(s.status)
}

func TestRedirect_ToAnotherOriginIsAnError(t *testing.T) {
	t.Parallel()
	for name, kind := range protocolCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var caught atomic.Int32
			catcher, stop := serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
			defer stop()
			from := new(redirector)
			front, stopFront := serve(from)
			defer stopFront()
			port := catcher[strings.LastIndexByte(catcher, ':'):]
			rows := map[string]struct{ location, named string }{
				"another port":              {catcher + "/a", catcher + "/a"},
				"another host":              {"http://localhost" + port + "/a", "http://localhost" + port + "/a"},
				"the same port of a host":   {strings.Replace(front, "127.0.0.1", "localhost", 1), "http://localhost"},
				"another scheme":            {strings.Replace(front, "http:", "https:", 1) + "/a", strings.Replace(front, "http:", "https:", 1) + "/a"},
				"an address without scheme": {"//localhost" + port + "/a", "http://localhost" + port + "/a"},
				"credentials and a query":   {"http://user:PASSWORD@localhost" + port + "/a?token=PASSWORD#PASSWORD", "http://localhost" + port + "/a"},
				"a name that begins alike":  {front + "0/a", front[:10]},
				"a name in the user's part": {front + "@localhost" + port + "/a", "http://localhost" + port + "/a"},
				"another kind of address":   {"data:PASSWORDless,a", "data:"},
				"no address":                {"http://user:PASSWORD@a b:c/", "not a URL"},
				"a very long address":       {catcher + "/" + strings.Repeat("a", 5000), catcher + "/aaa"},
			}
			for _, name := range slices.Sorted(maps.Keys(rows)) {
				row := rows[name]
				for _, status := range redirectStatuses {
					from.status, from.location = status, row.location
					from.requests.Store(0)
					openai := client.New(front, client.WithHTTPClient(newHTTPClient(t, kind.protocol)), client.WithProtocol(kind.protocol),
						client.WithAPIKey("sk-KEY"), client.WithHeader("Api-Key", "azure-KEY"), client.WithMaxRetries(2))
					err := kind.call(t.Context(), openai)
					if err == nil || connect.CodeOf(err) != connect.CodeInternal || !strings.Contains(err.Error(), row.named) {
						t.Errorf("%s, %d: got error %v", name, status, err)
					} else if text := err.Error(); strings.Contains(text, "PASSWORD") || strings.Contains(text, "KEY") || len(text) > 1000 {
						t.Errorf("%s, %d: the error leaks a secret or is too long: %s", name, status, text)
					}
					if requests := from.requests.Load(); requests != 1 {
						t.Errorf("%s, %d: got %d requests at the server", name, status, requests)
					}
				}
			}
			if caught.Load() != 0 {
				t.Errorf("got %d requests at the other origin", caught.Load())
			}
		})
	}
}

func TestRedirect_FromTLSToPlaintextIsAnError(t *testing.T) {
	t.Parallel()
	for name, kind := range protocolCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var caught atomic.Int32
			catcher, stop := serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
			defer stop()
			front := httptest.NewUnstartedServer(&redirector{status: http.StatusTemporaryRedirect, location: catcher})
			front.EnableHTTP2 = true
			front.StartTLS()
			defer front.Close()
			openai := client.New(front.URL, client.WithHTTPClient(newHTTPClient(t, kind.protocol)), client.WithProtocol(kind.protocol), client.WithAPIKey("sk-KEY"))
			if err := kind.call(t.Context(), openai); err == nil || !strings.Contains(err.Error(), catcher) {
				t.Errorf("got error %v", err)
			}
			if caught.Load() != 0 {
				t.Errorf("got %d requests at the other origin", caught.Load())
			}
		})
	}
}

func TestRedirect_WithinTheOriginIsFollowed(t *testing.T) {
	t.Parallel()
	sandbox, err := server.New(server.Config{Upstream: server.Sandbox})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sandbox.Close() })
	for name, kind := range protocolCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var front string
			var to func(path string) string
			front, stop := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if path, moved := strings.CutPrefix(r.URL.Path, "/moved"); moved {
					r.URL.Path = path
					sandbox.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Location", to(r.URL.Path))
				w.WriteHeader(http.StatusPermanentRedirect)
			}))
			defer stop()
			origin, err := url.Parse(front)
			if err != nil {
				t.Fatal(err)
			}
			for name, row := range map[string]func(path string) string{
				"a path":                 func(path string) string { return "/moved" + path },
				"an address":             func(path string) string { return front + "/moved" + path },
				"an uppercase scheme":    func(path string) string { return "HTTP://" + origin.Host + "/moved" + path },
				"a URL without a scheme": func(path string) string { return "//" + origin.Host + "/moved" + path },
			} {
				to = row
				openai := client.New(front, client.WithHTTPClient(newHTTPClient(t, kind.protocol)), client.WithProtocol(kind.protocol))
				if err := kind.call(t.Context(), openai); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestRedirect_LoopEnds(t *testing.T) {
	t.Parallel()
	from := &redirector{status: http.StatusTemporaryRedirect, location: "/a"}
	front, stop := serve(from)
	defer stop()
	openai := client.New(front, client.WithHTTPClient(newHTTPClient(t, client.Connect)))
	_, err := openai.Chat.Create(t.Context(), ask(client.User("Hello!")))
	if err == nil || connect.CodeOf(err) != connect.CodeInternal || from.requests.Load() != 10 {
		t.Errorf("got error %v after %d requests", err, from.requests.Load())
	}
}

func TestRedirect_DoesNotModifyGivenClient(t *testing.T) {
	t.Parallel()
	var caught atomic.Int32
	catcher, stop := serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { caught.Add(1) }))
	defer stop()
	from := &redirector{status: http.StatusTemporaryRedirect, location: catcher}
	front, stopFront := serve(from)
	defer stopFront()

	given := newHTTPClient(t, client.Connect)
	openai := client.New(front, client.WithHTTPClient(given), client.WithMaxRetries(0))
	if _, err := openai.Chat.Create(t.Context(), ask(client.User("Hello!"))); err == nil || caught.Load() != 0 {
		t.Errorf("got error %v and %d requests at the other origin", err, caught.Load())
	}
	if given.CheckRedirect != nil {
		t.Error("the returned HTTP client has the wrong CheckRedirect")
	}
	if response, err := given.Get(front); err != nil || caught.Load() != 1 {
		t.Errorf("the original HTTP client does not follow redirects: %v", err)
	} else {
		_ = response.Body.Close()
	}

	// The client's own CheckRedirect runs first and cannot permit another origin.
	for name, rule := range map[string]func(*http.Request, []*http.Request) error{
		"refuses": func(*http.Request, []*http.Request) error { return errors.New("no redirects") },
		"follows": func(*http.Request, []*http.Request) error { return nil },
		"changes the address": func(request *http.Request, _ []*http.Request) (err error) {
			request.URL, err = url.Parse(catcher)
			return err
		},
		"takes the answer": func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	} {
		caught.Store(0)
		given.CheckRedirect = rule
		_, err := openai.Chat.Create(t.Context(), ask(client.User("Hello!")))
		if err == nil || caught.Load() != 0 {
			t.Errorf("%s: got error %v and %d requests at the other origin", name, err, caught.Load())
		}
	}
}

package failover_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// The upstream reports that it has not processed the request, or doesn't.
func TestFailover_RetriesUnprocessedHTTP2Requests(t *testing.T) {
	t.Parallel()
	for name, unprocessed := range map[string]bool{"unprocessed": true, "in doubt": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := ""
			first := senderFunc(func(context.Context, *upstream.Request) (*http.Response, error) {
				asked += "first "
				return nil, &upstream.Error{Kind: upstream.KindClosed, Host: "first.example", Unprocessed: unprocessed}
			})
			second := senderFunc(func(_ context.Context, req *upstream.Request) (*http.Response, error) {
				asked += "second "
				body, err := io.ReadAll(req.Body)
				if err != nil || string(body) != "body" {
					t.Errorf("the second upstream received %q, %v", body, err)
				}
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
			})
			f, err := newFailover(failover.Config{Upstreams: []failover.Upstream{
				{Name: "first", Sender: first, BaseURL: "https://a.example", NoKey: true},
				{Name: "second", Sender: second, BaseURL: "https://b.example", NoKey: true},
			}})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := f.Send(t.Context(), &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: strings.NewReader("body"), ContentLength: 4})
			if err == nil {
				resp.Body.Close()
			}
			failure, ok := errors.AsType[*upstream.Error](err)
			switch {
			case unprocessed && (err != nil || asked != "first second "):
				t.Errorf("got upstreams %s and error %v", asked, err)
			case !unprocessed && (!ok || failure.Kind != upstream.KindClosed || asked != "first "):
				t.Errorf("got upstreams %s and error %v", asked, err)
			}
		})
	}
}

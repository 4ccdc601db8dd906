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

// TestUnprocessed_GoesOnElsewhere has an upstream that says that it has not acted on
// a request, or doesn't say so.
func TestUnprocessed_GoesOnElsewhere(t *testing.T) {
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
					t.Errorf("the second upstream gets %q, %v", body, err)
				}
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
			})
			f, err := failover.New(failover.Config{Upstreams: []failover.Upstream{
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
				t.Errorf("asked %s, and got %v", asked, err)
			case !unprocessed && (!ok || failure.Kind != upstream.KindClosed || asked != "first "):
				t.Errorf("asked %s, and got %v", asked, err)
			}
		})
	}
}

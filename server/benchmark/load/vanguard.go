package load

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/server/benchmark/baselines/vanguard/completion"
	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// newVanguard returns a client of baselines/vanguard. It uses the same library and number
// of connections as the gRPC client of the typed API.
func newVanguard(address string, calls int) (*Client, error) {
	schema := completion.File_completion_proto.Services().ByName("CompletionService").Methods().ByName("Create")
	spec := connect.Spec{
		StreamType: connect.StreamTypeUnary,
		Schema:     schema,
		Procedure:  "/" + string(schema.Parent().FullName()) + "/" + string(schema.Name()),
	}
	request := &completion.Request{
		Model:    fixture.Model,
		Messages: []*completion.Message{{Role: "user", Content: proto.String(fixture.Prompt)}},
	}
	read := new(atomic.Int64)
	pools := connectionCount(calls)
	transports, clients := make([]*http.Transport, pools), make([]*connect.Client, pools)
	for i := range pools {
		transports[i] = newTransport(dialer{read}, true, calls)
		clients[i] = connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transports[i]}, "http://"+address, connecthttp.WithGRPC()))
	}
	var next atomic.Int64
	call := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, responseTimeout)
		defer cancel()
		ctx, info := connect.NewClientContext(ctx)
		info.RequestHeader().Set("Authorization", key)
		reply := new(completion.Completion)
		if err := clients[next.Add(1)%int64(pools)].CallUnary(ctx, spec, request, reply); err != nil {
			return err
		}
		if len(reply.GetChoices()) != 1 || reply.GetChoices()[0].GetMessage().GetContent() == "" {
			return fmt.Errorf("unexpected response: %v", reply)
		}
		return nil
	}
	return &Client{Call: call, Close: closeAll(transports), Read: read}, callEachConnection(call, pools)
}

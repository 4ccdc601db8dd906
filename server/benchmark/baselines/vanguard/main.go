// Command vanguard is a transcoder from unary gRPC to REST that uses
// connectrpc.com/vanguard and a tuned net/http/httputil.ReverseProxy.
package main

import (
	"net/http"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"

	"github.com/openai-connect/openai-connect/server/benchmark/baselines/tuned"
	"github.com/openai-connect/openai-connect/server/benchmark/baselines/vanguard/completion"
	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

func main() {
	tuned.Main(func(proxy http.Handler) (http.Handler, error) {
		schema := completion.File_completion_proto.Services().ByName("CompletionService")
		return vanguard.NewTranscoder(
			[]*vanguard.Service{vanguard.NewServiceWithSchema(schema, proxy,
				vanguard.WithTargetProtocols(vanguard.ProtocolREST),
				vanguard.WithTargetCodecs(vanguard.CodecJSON),
				vanguard.WithNoTargetCompression(),
			)},
			vanguard.WithRules(&annotations.HttpRule{
				Selector: string(schema.Methods().ByName("Create").FullName()),
				Pattern:  &annotations.HttpRule_Post{Post: fixture.Path},
				Body:     "*",
			}),
		)
	})
}

// Command vanguard is connectrpc.com/vanguard as a transcoder of unary gRPC to
// REST, before a reverse proxy that is tuned as the peer of that name.
package main

import (
	"net/http"

	"connectrpc.com/vanguard"
	"google.golang.org/genproto/googleapis/api/annotations"

	"github.com/openai-connect/openai-connect/server/benchmark/answer"
	"github.com/openai-connect/openai-connect/server/benchmark/peers/tuned"
	"github.com/openai-connect/openai-connect/server/benchmark/peers/vanguard/completion"
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
				Pattern:  &annotations.HttpRule_Post{Post: answer.Path},
				Body:     "*",
			}),
		)
	})
}

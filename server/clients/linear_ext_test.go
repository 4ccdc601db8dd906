package clients_test

import (
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/lineartest"
)

// TestAllowsPath_TakesLinearTime judges long paths of the kinds that take long:
// encoded again and again, or of many segments.
func TestAllowsPath_TakesLinearTime(t *testing.T) {
	token := clients.Client{Paths: clients.Patterns{"/*", "/v1/files/*"}}
	for name, piece := range map[string]string{
		"encoded again and again":        "25",
		"encoded once":                   "%2e",
		"encoded twice":                  "%252e",
		"mixed":                          "%2525%25252e%2e",
		"of slashes":                     "/",
		"of backslashes":                 `\`,
		"of segments":                    "/a",
		"of dots":                        ".",
		"of parameters":                  ";",
		"of segments that have a dot":    "/.a",
		"of segments with parameters":    "/a;b",
		"of encoded bytes and no UTF-8":  "%ff",
		"of segments that begin a prior": "/v1/files",
	} {
		t.Run(name, func(t *testing.T) {
			lineartest.Check(t, 128<<10, func(size int) func() {
				path := "/v1/files/%" + strings.Repeat(piece, size/len(piece))
				clean := "/v1/files/" + strings.Repeat(piece, size/len(piece))
				return func() {
					token.AllowsPath(path)
					token.AllowsPath(clean)
				}
			})
		})
	}
}

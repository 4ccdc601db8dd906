package server

import (
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/httpserver"
	"github.com/openai-connect/openai-connect/server/internal/pipeline"
)

// The package comment lists the layers of each chain in the order of the code.
func TestPipeline_MatchesPackageComment(t *testing.T) {
	t.Parallel()
	authPolicy, err := newAuthPolicy(Config{})
	if err != nil {
		t.Fatal(err)
	}
	handlers, err := new(Server).handlerLayers(Config{}, authPolicy, new(router), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(httpserver.LayerNames(), pipeline.Names(handlers), pipeline.Names(senderLayers(Config{}, false, nil)))
	if got := documentedLayers(t, "doc.go"); !slices.Equal(got, want) {
		t.Errorf("doc.go lists the layers\n%q, the code has\n%q", got, want)
	}
	if got := documentedLayers(t, "internal/httpserver/httpserver.go"); !slices.Equal(got, httpserver.LayerNames()) {
		t.Errorf("httpserver.go lists the layers\n%q, the code has\n%q", got, httpserver.LayerNames())
	}
}

// documentedLayers returns the names of the layers in the package comment of a file.
func documentedLayers(t *testing.T, name string) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^\t([\w-]+)  +\w`).FindAllStringSubmatch(file.Doc.Text(), -1) {
		names = append(names, match[1])
	}
	return names
}

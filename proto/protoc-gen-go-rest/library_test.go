package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/pluginpb"
)

var update = flag.Bool("update", false, "regenerate internal/library")

// TestLibrary_IsCurrent compares internal/library with the code generated from
// testdata/library.txtpb. The tests of that package check the code's behavior.
func TestLibrary_IsCurrent(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "library.txtpb"))
	if err != nil {
		t.Fatal(err)
	}
	const path = "library/v1/library.proto"
	const module = "github.com/openai-connect/openai-connect/proto/protoc-gen-go-rest"
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{path},
		Parameter:      new("module=" + module),
		ProtoFile:      append(files(), parse(t, path, string(text))),
	})
	if err != nil {
		t.Fatal(err)
	}
	internal_gengo.GenerateFile(plugin, plugin.FilesByPath[path])
	if err := run(plugin); err != nil {
		t.Fatal(err)
	}
	response := plugin.Response()
	if response.Error != nil || len(response.GetFile()) != 2 {
		t.Fatalf("got %d files, %s", len(response.GetFile()), response.GetError())
	}
	for _, file := range response.GetFile() {
		if *update {
			if err := os.MkdirAll(filepath.Dir(file.GetName()), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file.GetName(), []byte(file.GetContent()), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file.GetName()); err != nil || string(got) != file.GetContent() {
			t.Errorf("%s is not current (%v): run go test ./proto/protoc-gen-go-rest -update", file.GetName(), err)
		}
	}
}

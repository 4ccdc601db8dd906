package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPlugin_GeneratedCodeIsCurrent compares the code under gen with the plugin's
// output for the descriptors in it.
func TestPlugin_GeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	got, err := generated(files(), isOwn)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..", "gen")
	found, err := filepath.Glob(filepath.Join(root, "openaiconnect", "*", "*", "*_rest.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range got {
		path := filepath.Join(root, name)
		if !slices.Contains(found, path) {
			t.Errorf("%s is missing: run make generate", name)
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s is not current: run make generate", name)
		}
	}
	if len(found) != len(got) {
		t.Errorf("%d files are checked in, want %d", len(found), len(got))
	}
}

package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// project reads a file by its path in the project.
func project(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	continuation = regexp.MustCompile(`\\\n\s*`)
	flagName     = regexp.MustCompile(`--[a-z][a-z-]+`)
	variableName = regexp.MustCompile(`OPENAI_CONNECT_[A-Z_]*[A-Z]`)
)

// TestDeploy_VersionsExist checks flags and variables of the files that
// deploy the server, and of what the README says about that, against the help.
func TestDeploy_VersionsExist(t *testing.T) {
	t.Parallel()
	help := end(t, nil, "--help").stdout + end(t, nil, "chat", "--help").stdout
	for _, flag := range regexp.MustCompile(`--\[no-\](\S+)`).FindAllStringSubmatch(help, -1) {
		help += "\n  --" + flag[1] + "\n  --no-" + flag[1]
	}
	for _, row := range []struct {
		path string
		// Where the server's arguments are.
		arguments *regexp.Regexp
		least     int // flags and variables
	}{
		{"server/deploy/Dockerfile", regexp.MustCompile(`(?m)^(?:CMD|ENTRYPOINT) (.*)$`), 1},
		{"server/deploy/openai-connect.service", regexp.MustCompile(`(?m)^ExecStart=(.*)$`), 0},
		{"README.md", regexp.MustCompile("(?m)^(?:[^|\n]*openai-connect (--.*)|\\| (`--.*?) \\|.*)$"), 20},
	} {
		t.Run(row.path, func(t *testing.T) {
			text := continuation.ReplaceAllString(project(t, row.path), " ")
			var used []string
			for _, match := range row.arguments.FindAllStringSubmatch(text, -1) {
				used = append(used, flagName.FindAllString(strings.Join(match[1:], " "), -1)...)
			}
			used = append(used, variableName.FindAllString(text, -1)...)
			if len(used) < row.least {
				t.Errorf("these were found: %q", used)
			}
			for _, name := range used {
				if strings.HasPrefix(name, "--") {
					name = "  " + name
				} else {
					name = "$" + name
				}
				if !strings.Contains(help, name) && !strings.HasSuffix(name, "--help") {
					t.Errorf("the help has no %q", strings.TrimSpace(name))
				}
			}
		})
	}
}

func TestDeploy_ImageIsBuiltAsMakeBuilds(t *testing.T) {
	t.Parallel()
	build := regexp.MustCompile(`CGO_ENABLED=0 go build .*`)
	output := regexp.MustCompile(` -o \S+`)
	image := output.ReplaceAllString(build.FindString(project(t, "server/deploy/Dockerfile")), "")
	if made := output.ReplaceAllString(build.FindString(project(t, "Makefile")), ""); image == "" || image != made {
		t.Errorf("the image has %q, and make %q", image, made)
	}
	from := regexp.MustCompile(`(?m)^FROM golang:(\S+)`).FindStringSubmatch(project(t, "server/deploy/Dockerfile"))
	if from == nil || !strings.Contains(project(t, "go.mod"), "\ngo "+from[1]+".") {
		t.Errorf("got image %q, want the Go version of go.mod", from)
	}
}

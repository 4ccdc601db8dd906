package deploy_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
)

var (
	flagName     = regexp.MustCompile(`--[a-z][a-z-]+`)
	variableName = regexp.MustCompile(`OPENAI_CONNECT_[A-Z_]*[A-Z]`)
)

// help returns the command's help text.
func help(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, arguments := range [][]string{{"--help"}, {"clients", "add", "--help"}} {
		command := exec.Command(commandtest.Program(t), arguments...)
		command.Env = commandtest.Environment()
		output, err := command.Output()
		if err != nil {
			t.Fatalf("%q: %v", arguments, err)
		}
		all.Write(output)
	}
	return all.String()
}

// Flags and environment variables mentioned in deployment files are in the help text.
func TestFlags_InDeploymentFilesExist(t *testing.T) {
	t.Parallel()
	text := help(t)
	for _, row := range []struct {
		path string
		// flags matches text with flags.
		flags *regexp.Regexp
		least int
	}{
		{"compose.yaml", regexp.MustCompile(`(?m)^    - (--.*)=|openai-connect (clients add.*)$`), 8},
		{"kubernetes/deployment.yaml", regexp.MustCompile(`(?m)^ +- (--.*)=|^ +# (.*)$`), 9},
		{"kubernetes/autoscaler.yaml", regexp.MustCompile(`(?m)^ *# (.*)$`), 1},
		{"haproxy/haproxy.cfg", regexp.MustCompile(`(?m)^ *# (\S.*)$`), 3},
		{"envoy/envoy.yaml", regexp.MustCompile(`(?m)^ *# (\S.*)$`), 2},
		{"README.md", regexp.MustCompile("`(--[^`]*)`"), 6},
	} {
		t.Run(row.path, func(t *testing.T) {
			content := readFile(t, row.path)
			var used []string
			for _, match := range row.flags.FindAllStringSubmatch(content, -1) {
				used = append(used, flagName.FindAllString(strings.Join(match[1:], " "), -1)...)
			}
			if len(used) < row.least {
				t.Errorf("got flags %q, want at least %d", used, row.least)
			}
			for _, flag := range used {
				if !regexp.MustCompile(`(?m)^ +` + flag + `\b`).MatchString(text) {
					t.Errorf("the help text lacks %s", flag)
				}
			}
			for _, variable := range variableName.FindAllString(content, -1) {
				if variable != "OPENAI_CONNECT_ROLLING_TIME" && !strings.Contains(text, "$"+variable) {
					t.Errorf("the help text lacks %s", variable)
				}
			}
		})
	}
}

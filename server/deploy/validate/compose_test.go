package validate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// operatorDirectories are the directories that compose.yaml asks the operator to create.
var operatorDirectories = []string{"clients", "secrets"}

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithResolvedPaths(true), cli.WithConsistency(true), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background()) // validates with a schema that rejects unknown fields
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestCompose_FileIsValid(t *testing.T) {
	t.Parallel()
	project := loadCompose(t)
	instances := 0
	for name, service := range project.Services {
		if strings.HasPrefix(name, "openai-connect-") {
			instances++
			checkInstance(t, service)
			continue
		}
		if _, tag, found := strings.Cut(service.Image, ":"); !found || strings.Count(tag, ".") < 2 {
			t.Errorf("%s: got image %q, want one with an exact version", name, service.Image)
		}
		if service.HealthCheck == nil || service.HealthCheck.Disable || len(service.HealthCheck.Test) == 0 {
			t.Errorf("%s: got no health check", name)
		}
	}
	if instances != 3 {
		t.Errorf("got %d instances, want 3 as in the balancers' configuration", instances)
	}
	for name, secret := range project.Secrets {
		if secret.File == "" {
			t.Errorf("secret %s: got no file", name)
		}
	}
}

// checkInstance checks the settings of an instance.
func checkInstance(t *testing.T, service types.ServiceConfig) {
	t.Helper()
	drain := time.Duration(0)
	for _, argument := range service.Command {
		for _, flag := range []string{"--drain-delay=", "--drain-timeout="} {
			if text, found := strings.CutPrefix(argument, flag); found {
				d, err := time.ParseDuration(text)
				if err != nil {
					t.Errorf("%s: %s: %v", service.Name, argument, err)
				}
				drain += d
			}
		}
	}
	if grace := service.StopGracePeriod; grace == nil || drain == 0 || time.Duration(*grace) < drain+10*time.Second {
		t.Errorf("%s: got stop grace period %v, want at least the drain time %v and 10s", service.Name, grace, drain)
	}
	if !service.ReadOnly || len(service.CapDrop) != 1 || len(service.Ports) > 0 || len(service.Secrets) == 0 {
		t.Errorf("%s: the container has unneeded privileges, ports or no secrets", service.Name)
	}
}

func TestCompose_MountsExist(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, service := range loadCompose(t).Services {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			checked++
			path, err := filepath.Rel(root, volume.Source)
			if err != nil {
				t.Fatal(err)
			}
			top, _, _ := strings.Cut(filepath.ToSlash(path), "/")
			if top == operatorDirectories[0] || top == operatorDirectories[1] {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: mount source does not exist: %v", name, err)
			}
			if !volume.ReadOnly {
				t.Errorf("%s: mount %s is writable", name, path)
			}
		}
	}
	if checked == 0 {
		t.Error("got no mounts")
	}
}

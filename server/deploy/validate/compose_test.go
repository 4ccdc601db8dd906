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

// made are the folders that the operator makes, as compose.yaml says.
var made = []string{"clients", "secrets"}

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"}, cli.WithResolvedPaths(true), cli.WithConsistency(true), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background()) // by the schema, which knows of no other members
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeAcceptsItsFile(t *testing.T) {
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
			t.Errorf("%s: the image %q isn't of one version", name, service.Image)
		}
		if service.HealthCheck == nil || service.HealthCheck.Disable || len(service.HealthCheck.Test) == 0 {
			t.Errorf("%s: has no health check", name)
		}
	}
	if instances != 3 {
		t.Errorf("there are %d instances, and the balancers know three", instances)
	}
	for name, secret := range project.Secrets {
		if secret.File == "" {
			t.Errorf("the secret %s isn't a file", name)
		}
	}
}

// checkInstance checks what is asked of each instance.
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
		t.Errorf("%s: is given %v to stop, and takes up to %v", service.Name, grace, drain)
	}
	if !service.ReadOnly || len(service.CapDrop) != 1 || len(service.Ports) > 0 || len(service.Secrets) == 0 {
		t.Errorf("%s: can do more than it needs", service.Name)
	}
}

func TestWhatComposeMountsIsThere(t *testing.T) {
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
			if top == made[0] || top == made[1] {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s: mounts what isn't there: %v", name, err)
			}
			if !volume.ReadOnly {
				t.Errorf("%s: can write to %s", name, path)
			}
		}
	}
	if checked == 0 {
		t.Error("there are no mounts")
	}
}

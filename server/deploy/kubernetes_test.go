package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// renderManifests returns kubectl's output for the kustomization.
func renderManifests(t *testing.T) []byte {
	t.Helper()
	tool := servertest.Tool(t, "kubectl", "see https://kubernetes.io/docs/tasks/tools/")
	command := exec.Command(tool, "kustomize", "kubernetes")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	rendered, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return rendered
}

func TestKubernetes_AcceptsManifests(t *testing.T) {
	t.Parallel()
	rendered := renderManifests(t)
	tool := servertest.Tool(t, "kubernetes-validate", "pip install kubernetes-validate==1.37.0")
	path := filepath.Join(t.TempDir(), "rendered.yaml")
	if err := os.WriteFile(path, rendered, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.30", "1.37"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			output, err := exec.Command(tool, "--strict", "--kubernetes-version", version, path).CombinedOutput()
			passed := strings.Count(string(output), " passed for resource ")
			if err != nil || passed != 5 || strings.Contains(string(output), "WARN") {
				t.Errorf("got %v with %d resources passed, want 5 without warnings\n%s", err, passed, output)
			}
		})
	}
}

// manifest holds the tested fields of a resource.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		ClusterIP string            `yaml:"clusterIP"`
		Ports     []servicePort     `yaml:"ports"`
		Selector  any               `yaml:"selector"`
		Target    map[string]string `yaml:"scaleTargetRef"`
		Metrics   []struct {
			Pods struct {
				Metric struct {
					Name string `yaml:"name"`
				} `yaml:"metric"`
			} `yaml:"pods"`
		} `yaml:"metrics"`
		Template struct {
			Spec podSpec `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type servicePort struct {
	Name       string `yaml:"name"`
	TargetPort string `yaml:"targetPort"`
}

type podSpec struct {
	Grace      int64 `yaml:"terminationGracePeriodSeconds"`
	Containers []struct {
		Args  []string `yaml:"args"`
		Ports []struct {
			Name          string `yaml:"name"`
			ContainerPort int    `yaml:"containerPort"`
		} `yaml:"ports"`
		Startup   probe `yaml:"startupProbe"`
		Readiness probe `yaml:"readinessProbe"`
		Liveness  probe `yaml:"livenessProbe"`
	} `yaml:"containers"`
}

type probe struct {
	Get struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
}

// manifests returns the resources by kind and name.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	all := make(map[string]manifest)
	for decoder := yaml.NewDecoder(bytes.NewReader(renderManifests(t))); ; {
		var one manifest
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[one.Kind+" "+one.Metadata.Name] = one
	}
}

func TestKubernetes_ManifestsAreConsistent(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	pod := all["Deployment openai-connect"].Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("got %d containers, want 1", len(pod.Containers))
	}
	server := pod.Containers[0]

	drain := duration(t, server.Args, "--drain-delay") + duration(t, server.Args, "--drain-timeout")
	if grace := time.Duration(pod.Grace) * time.Second; grace < drain+10*time.Second {
		t.Errorf("got termination grace period %v, want at least the drain time %v and 10s", grace, drain)
	}

	ports := make(map[string]string)
	for _, port := range server.Ports {
		ports[port.Name] = ""
	}
	if flagValue(server.Args, "--listen") != ":8080" || server.Ports[0].ContainerPort != 8080 ||
		flagValue(server.Args, "--admin") != "0.0.0.0:9464" || server.Ports[1].ContainerPort != 9464 {
		t.Errorf("the server's arguments %q do not match the container ports %v", server.Args, server.Ports)
	}
	for path, p := range map[string]probe{"/healthz": server.Startup, "/readyz": server.Readiness} {
		if _, known := ports[p.Get.Port]; !known || p.Get.Path != path {
			t.Errorf("got probe path %q on port %q, want path %s on a container port", p.Get.Path, p.Get.Port, path)
		}
	}
	if server.Liveness.Get != server.Startup.Get {
		t.Errorf("got liveness probe %v, want %v", server.Liveness.Get, server.Startup.Get)
	}
	services := 0
	for name, one := range all {
		if one.Kind != "Service" {
			continue
		}
		services++
		if headless := strings.HasSuffix(name, "-headless"); headless != (one.Spec.ClusterIP == "None") {
			t.Errorf("%s: got unexpected cluster IP %q", name, one.Spec.ClusterIP)
		}
		for _, port := range one.Spec.Ports {
			if _, known := ports[port.TargetPort]; !known {
				t.Errorf("%s: target port %q is not a container port", name, port.TargetPort)
			}
		}
		if selector, ok := one.Spec.Selector.(map[string]any); !ok || selector["app.kubernetes.io/name"] != "openai-connect" {
			t.Errorf("%s: got selector %v, want app.kubernetes.io/name openai-connect", name, one.Spec.Selector)
		}
	}
	scaler := all["HorizontalPodAutoscaler openai-connect"]
	if services != 2 || scaler.Spec.Target["name"] != "openai-connect" {
		t.Errorf("got %d services and autoscaler target %v, want 2 and openai-connect", services, scaler.Spec.Target)
	}
	metric := scaler.Spec.Metrics[0].Pods.Metric.Name
	if rule := readFile(t, "kubernetes/prometheus-adapter.yaml"); metric == "" || !strings.Contains(rule, "seriesQuery: '"+metric+"{") || !strings.Contains(rule, "^("+metric+")$") {
		t.Errorf("the Prometheus adapter lacks a rule for metric %q", metric)
	}
}

// flagValue returns the value of a flag in arguments, or "".
func flagValue(arguments []string, flag string) string {
	i := slices.IndexFunc(arguments, func(a string) bool { return strings.HasPrefix(a, flag+"=") })
	if i < 0 {
		return ""
	}
	return strings.TrimPrefix(arguments[i], flag+"=")
}

func duration(t *testing.T, arguments []string, flag string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(flagValue(arguments, flag))
	if err != nil {
		t.Errorf("%s: %v", flag, err)
	}
	return d
}

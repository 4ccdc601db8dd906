package soak_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// patience bounds the wait for anything that must happen.
const patience = 30 * time.Second

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// take returns what was written since the last call.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	o.text.Reset()
	return text
}

// instance is one process of the server.
type instance struct {
	front   *servertest.Front
	admin   string // base URL
	command *exec.Cmd
	output  output
}

// startInstance starts the command and waits until it is ready.
func startInstance(t *testing.T, environment []string, arguments ...string) *instance {
	t.Helper()
	address, admin := commandtest.FreeAddress(t), commandtest.FreeAddress(t)
	i := &instance{
		front: &servertest.Front{Address: address, URL: "http://" + address},
		admin: "http://" + admin,
	}
	arguments = append([]string{"--listen", address, "--admin", admin, "--admin-pprof"}, arguments...)
	i.command = exec.Command(commandtest.Program(t), arguments...) // A signal ends it.
	i.command.Env = append(commandtest.Environment(), environment...)
	i.command.Stdout, i.command.Stderr = &i.output, &i.output
	if err := i.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.command.Process.Kill() })
	waitFor(t, "the server to be ready", func() error {
		return i.get(t.Context(), "/readyz", io.Discard)
	})
	return i
}

// stop ends the process and returns its error.
func (i *instance) stop() error {
	if err := i.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return i.command.Wait()
}

// get copies the response of the admin listener for a path.
func (i *instance) get(ctx context.Context, path string, to io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.admin+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true // keeps it out of the connection count
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	_, err = io.Copy(to, response.Body)
	return err
}

// metrics returns the metrics of an instance by name, and their text.
func (i *instance) metrics(t *testing.T) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	var text bytes.Buffer
	if err := i.get(context.WithoutCancel(t.Context()), "/metrics", &text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return families, text.String()
}

// sum adds up all series of a metric.
func sum(family *dto.MetricFamily) float64 {
	var total float64
	for _, metric := range family.GetMetric() {
		total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return total
}

// waitFor polls a condition until it holds.
func waitFor(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

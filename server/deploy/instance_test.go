package deploy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

const (
	// drainDelay is the drain delay of the instances. Both balancers require it.
	drainDelay = 5 * time.Second

	// markHeader carries the name of a request. The upstream records it.
	markHeader = "X-Load-Mark"

	// leastChunks is the minimum number of chunks in a stream of the upstream, moreChunks
	// the range of additional chunks.
	leastChunks, moreChunks = 5, 40

	// chunkPace is the delay between chunks.
	chunkPace = 100 * time.Millisecond
)

// instance is a server process with an upstream that records requests.
type instance struct {
	name     string
	address  string
	upstream string
	flags    []string

	command *exec.Cmd
	log     *bytes.Buffer // standard error; read only after the process ends

	requests atomic.Int64 // number of requests
	mu       sync.Mutex
	marks    map[string]bool // guarded by mu: names of received requests
}

// startInstances starts three instances and stops them at the end of the test.
func startInstances(t *testing.T) []*instance {
	t.Helper()
	var instances []*instance
	for i := range 3 {
		one := &instance{name: fmt.Sprintf("openai-connect-%d", i+1), address: commandtest.FreeAddress(t), marks: make(map[string]bool)}
		one.flags = []string{"--drain-delay", drainDelay.String()}
		upstream := httptest.NewServer(http.HandlerFunc(one.serveUpstream))
		t.Cleanup(upstream.Close)
		one.upstream = upstream.URL
		one.start(t)
		t.Cleanup(func() { one.kill(t) })
		instances = append(instances, one)
	}
	return instances
}

// start starts the process and waits until it listens.
func (i *instance) start(t *testing.T) {
	t.Helper()
	i.log = new(bytes.Buffer)
	arguments := []string{"--listen", i.address, "--upstream", i.upstream, "--drain-timeout", waitTimeout.String()}
	i.command = exec.Command(commandtest.Program(t), append(arguments, i.flags...)...)
	i.command.Env = commandtest.Environment()
	i.command.Stderr = i.log
	output, err := i.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.command.Start(); err != nil {
		t.Fatal(err)
	}
	greeting, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.Contains(greeting, i.address) {
		t.Fatalf("%s: got first line %q, %v, exit %v\n%s", i.name, greeting, err, i.command.Wait(), i.log)
	}
}

// stop shuts the process down gracefully and waits for a successful exit.
func (i *instance) stop(t *testing.T) {
	t.Helper()
	if err := i.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	killTimer := time.AfterFunc(drainDelay+2*waitTimeout, func() { _ = i.command.Process.Kill() })
	defer killTimer.Stop()
	if err := i.command.Wait(); err != nil {
		t.Errorf("%s: got exit %v, want success\n%s", i.name, err, i.log)
	}
}

// kill ends the process at once.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	if i.command.ProcessState != nil {
		return
	}
	if err := i.command.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = i.command.Wait()
}

// awaitCalls waits until the instance has received more additional calls.
func (i *instance) awaitCalls(t *testing.T, more int64) {
	t.Helper()
	goal, deadline := i.requests.Load()+more, time.Now().Add(2*waitTimeout)
	for i.requests.Load() < goal {
		if time.Now().After(deadline) {
			t.Fatalf("%s receives no calls", i.name)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hasReceived reports whether the instance's upstream has received the named request.
func (i *instance) hasReceived(mark string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.marks[mark]
}

// serveUpstream is the handler of the upstream.
func (i *instance) serveUpstream(w http.ResponseWriter, r *http.Request) {
	i.requests.Add(1)
	i.mu.Lock()
	i.marks[r.Header.Get(markHeader)] = true
	i.mu.Unlock()
	if r.Header.Get("Upgrade") != "" {
		echoMessages(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if !strings.Contains(string(body), `"stream":true`) {
		time.Sleep(time.Millisecond)
		servertest.JSON(http.StatusOK, `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"logprobs":null,"finish_reason":"stop"}]}`)(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	count := streamLength(r.Header.Get(markHeader))
	pace := time.NewTicker(chunkPace)
	defer pace.Stop()
	for n := range count {
		finish := "null"
		if n == count-1 {
			finish = `"stop"`
		}
		fmt.Fprintf(w, `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%d "},"finish_reason":%s}]}`+"\n\n", n, finish)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-pace.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// streamLength returns the number of chunks in the response to the named request.
func streamLength(mark string) int {
	_, digits, _ := strings.Cut(mark, "#")
	n, _ := strconv.Atoi(digits)
	return leastChunks + n*7%moreChunks
}

// echoMessages accepts a WebSocket and echoes its messages.
func echoMessages(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		messageType, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), messageType, message) != nil {
			return
		}
	}
}

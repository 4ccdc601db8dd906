package memory_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// fill holds as much as a client can get, in bodies of up to 8 MiB.
func fill(t *testing.T, b *memory.Budget, client string) (held int64) {
	t.Helper()
	for {
		hold := b.Hold(client)
		t.Cleanup(hold.Close)
		size := int64(0)
		for ; size < 8*mib; size += 4 << 10 {
			if err := hold.Grow(4 << 10); err != nil {
				if limit, ok := errors.AsType[*memory.LimitError](err); !ok || !limit.Temporary {
					t.Errorf("the error is %v", err)
				}
				return held + size
			}
		}
		held += size
	}
}

func TestBudget_IsSharedByClients(t *testing.T) {
	t.Parallel()
	b := memory.New(256*mib, true)
	alone := fill(t, b, "a")
	if alone != 128*mib {
		t.Errorf("a single client gets %d bytes", alone)
	}
	if again := fill(t, b, "a"); again != 0 {
		t.Errorf("it gets %d more bytes afterwards", again)
	}
	if second := fill(t, b, "b"); second != 64*mib {
		t.Errorf("a second client gets %d bytes", second)
	}
	// Small requests find room, however many clients take all that they can get.
	for hog := range strings.SplitSeq("cdefghijklmnopqrstuvwxyz", "") {
		fill(t, b, hog)
	}
	for range 100 {
		victim := b.Hold("victim")
		t.Cleanup(victim.Close)
		if err := victim.Grow(64 << 10); err != nil {
			t.Fatalf("a small request does not fit: %v", err)
		}
	}
	if b.Used() > 256*mib {
		t.Errorf("%d bytes are used", b.Used())
	}
}

func TestBudget_IsSharedByEveryoneWithoutClients(t *testing.T) {
	t.Parallel()
	b := memory.New(256*mib, false)
	if got := fill(t, b, "a") + fill(t, b, "b"); got < 224*mib || got > 225*mib {
		t.Errorf("large bodies get %d bytes", got)
	}
	small := b.Hold("")
	defer small.Close()
	if err := small.Grow(64 << 10); err != nil {
		t.Errorf("a small request does not fit: %v", err)
	}
}

func TestHold_ReleasesMemory(t *testing.T) {
	t.Parallel()
	b := memory.New(100, false)
	hold := b.Hold("")
	for _, step := range []struct {
		name  string
		do    func() error
		used  int64
		fails bool
	}{
		{"growing", func() error { return hold.Grow(60) }, 60, false},
		{"growing beyond the limit", func() error { return hold.Grow(41) }, 60, true},
		{"resizing beyond the limit", func() error { return hold.Resize(101) }, 60, true},
		{"growing to the limit", func() error { return hold.Grow(40) }, 100, false},
		{"shrinking", func() error { return hold.Resize(10) }, 10, false},
		{"closing", func() error { hold.Close(); return nil }, 0, false},
		{"closing again", func() error { hold.Close(); return nil }, 0, false},
		{"growing after Close", func() error { return hold.Grow(1000) }, 0, false},
		{"resizing after Close", func() error { return hold.Resize(1000) }, 0, false},
	} {
		if err := step.do(); (err != nil) != step.fails || b.Used() != step.used {
			t.Errorf("%s: got %v, and %d bytes are used", step.name, err, b.Used())
		}
	}
	never := b.Hold("").Grow(101)
	if limit, ok := errors.AsType[*memory.LimitError](never); !ok || limit.Temporary || limit.Limit != 100 {
		t.Errorf("the error for a body that never fits is %v", never)
	}
}

func TestHold_OfNilBudgetHasNoLimit(t *testing.T) {
	t.Parallel()
	var b *memory.Budget
	hold := b.Hold("a")
	b.AcquireDecoding(1<<40, nil)()
	if err := errors.Join(hold.Grow(1<<40), hold.Resize(1<<50)); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(hold.BodyReader(strings.NewReader("text"))); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
	hold.Close()
}

func TestReader_ChargesWhatItReads(t *testing.T) {
	t.Parallel()
	b := memory.New(mib, false)
	hold := b.Hold("")
	reader := hold.Reader(bytes.NewReader(make([]byte, 2*mib)))
	n, err := io.Copy(io.Discard, io.LimitReader(reader, 1000))
	if err != nil || n != 1000 || b.Used() != 1000 {
		t.Errorf("read %d bytes, %v, and %d are used", n, err, b.Used())
	}
	if _, err = io.Copy(io.Discard, reader); err == nil || b.Used() > mib {
		t.Errorf("everything was read, and %d bytes are used", b.Used())
	}
	reader.Stop()
	if _, err = io.Copy(io.Discard, reader); err != nil {
		t.Errorf("reading after Stop: %v", err)
	}
	hold.Close()
	if b.Used() != 0 {
		t.Errorf("%d bytes are used after Close", b.Used())
	}
}

// steps is a body that returns one piece after each pause.
type steps struct {
	piece, pieces int
	pause         time.Duration
}

func (s *steps) Read(p []byte) (int, error) {
	if s.pieces == 0 {
		return 0, io.EOF
	}
	s.pieces--
	time.Sleep(s.pause)
	return min(s.piece, len(p)), nil
}

func TestReader_RejectsSlowBodiesUnderPressure(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		used  int64 // by others
		body  steps
		fails bool
	}{
		{"a fast body", 512 << 10, steps{16 << 10, 16, time.Second / 8}, false},
		{"a slow body", 512 << 10, steps{4 << 10, 100, time.Second}, true},
		{"a slow body without pressure", 0, steps{1 << 10, 200, time.Second}, false},
		{"a small slow body", 512 << 10, steps{1 << 10, 64, time.Minute}, false},
		{"a body with short pauses", 512 << 10, steps{32 << 10, 4, 9 * time.Second / 4}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(mib, false)
				others := b.Hold("")
				defer others.Close()
				if err := others.Grow(row.used); err != nil {
					t.Fatal(err)
				}
				hold := b.Hold("")
				defer hold.Close()
				_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{hold.BodyReader(&row.body)}, make([]byte, 64<<10))
				if limit, ok := errors.AsType[*memory.LimitError](err); row.fails != ok || ok && !limit.Slow || !ok && err != nil {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestBudget_LimitsConcurrentDecoding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(mib, false)
		var releases []func()
		for range runtime.GOMAXPROCS(0) {
			releases = append(releases, b.AcquireDecoding(mib, nil))
		}
		b.AcquireDecoding(mib-1, nil)() // a small body does not wait
		acquired := make(chan func(), 1)
		go func() { acquired <- b.AcquireDecoding(mib, nil) }()
		synctest.Wait()
		select {
		case <-acquired:
			t.Error("too many bodies are decoded at the same time")
		default:
		}
		releases[0]()
		releases[0] = <-acquired
		done := make(chan struct{})
		go func() { acquired <- b.AcquireDecoding(mib, done) }()
		synctest.Wait()
		close(done) // the client has disconnected
		(<-acquired)()
		for _, release := range releases {
			release()
		}
		b.AcquireDecoding(mib, nil)()
	})
}

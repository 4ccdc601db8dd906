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

// fill takes as much as a client can get, in bodies of up to 8 MiB.
func fill(t *testing.T, b *memory.Budget, client string) (taken int64) {
	t.Helper()
	for {
		hold := b.Hold(client)
		t.Cleanup(hold.Close)
		size := int64(0)
		for ; size < 8*mib; size += 4 << 10 {
			if err := hold.Grow(4 << 10); err != nil {
				if limit, ok := errors.AsType[*memory.LimitError](err); !ok || !limit.Passing {
					t.Errorf("the error is %v", err)
				}
				return taken + size
			}
		}
		taken += size
	}
}

func TestBudget_IsSharedByClients(t *testing.T) {
	t.Parallel()
	b := memory.New(256*mib, true)
	alone := fill(t, b, "a")
	if alone != 128*mib {
		t.Errorf("a client alone gets %d bytes", alone)
	}
	if again := fill(t, b, "a"); again != 0 {
		t.Errorf("then it gets %d bytes more", again)
	}
	if second := fill(t, b, "b"); second != 64*mib {
		t.Errorf("a second one gets %d bytes", second)
	}
	// However many take all that they can get, a small request finds room.
	for hog := range strings.SplitSeq("cdefghijklmnopqrstuvwxyz", "") {
		fill(t, b, hog)
	}
	for range 100 {
		victim := b.Hold("victim")
		t.Cleanup(victim.Close)
		if err := victim.Grow(64 << 10); err != nil {
			t.Fatalf("a small request finds no room: %v", err)
		}
	}
	if b.Taken() > 256*mib {
		t.Errorf("%d bytes are taken", b.Taken())
	}
}

func TestBudget_IsForAllWhereClientsAreNotKnown(t *testing.T) {
	t.Parallel()
	b := memory.New(256*mib, false)
	if got := fill(t, b, "a") + fill(t, b, "b"); got < 224*mib || got > 225*mib {
		t.Errorf("large bodies get %d bytes", got)
	}
	small := b.Hold("")
	defer small.Close()
	if err := small.Grow(64 << 10); err != nil {
		t.Errorf("a small request finds no room: %v", err)
	}
}

func TestHold_GivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	b := memory.New(100, false)
	hold := b.Hold("")
	for _, step := range []struct {
		name  string
		do    func() error
		taken int64
		fails bool
	}{
		{"growing", func() error { return hold.Grow(60) }, 60, false},
		{"growing too far", func() error { return hold.Grow(41) }, 60, true},
		{"resizing too far", func() error { return hold.Resize(101) }, 60, true},
		{"growing to the end", func() error { return hold.Grow(40) }, 100, false},
		{"shrinking", func() error { return hold.Resize(10) }, 10, false},
		{"closing", func() error { hold.Close(); return nil }, 0, false},
		{"closing again", func() error { hold.Close(); return nil }, 0, false},
		{"growing when it is closed", func() error { return hold.Grow(1000) }, 0, false},
		{"resizing when it is closed", func() error { return hold.Resize(1000) }, 0, false},
	} {
		if err := step.do(); (err != nil) != step.fails || b.Taken() != step.taken {
			t.Errorf("%s: %v, and %d bytes are taken", step.name, err, b.Taken())
		}
	}
	never := b.Hold("").Grow(101)
	if limit, ok := errors.AsType[*memory.LimitError](never); !ok || limit.Passing || limit.Limit != 100 {
		t.Errorf("the error for what never fits is %v", never)
	}
}

func TestHold_OfNoBudgetCountsNothing(t *testing.T) {
	t.Parallel()
	var b *memory.Budget
	hold := b.Hold("a")
	b.Turn(1<<40, nil)()
	if err := errors.Join(hold.Grow(1<<40), hold.Resize(1<<50)); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(hold.BodyReader(strings.NewReader("text"))); err != nil || string(text) != "text" {
		t.Errorf("it reads %q, %v", text, err)
	}
	hold.Close()
}

func TestReader_TakesWhatItReads(t *testing.T) {
	t.Parallel()
	b := memory.New(mib, false)
	hold := b.Hold("")
	reader := hold.Reader(bytes.NewReader(make([]byte, 2*mib)))
	n, err := io.Copy(io.Discard, io.LimitReader(reader, 1000))
	if err != nil || n != 1000 || b.Taken() != 1000 {
		t.Errorf("%d bytes were read, %v, and %d are taken", n, err, b.Taken())
	}
	if _, err = io.Copy(io.Discard, reader); err == nil || b.Taken() > mib {
		t.Errorf("all was read, and %d bytes are taken", b.Taken())
	}
	reader.Stop()
	if _, err = io.Copy(io.Discard, reader); err != nil {
		t.Errorf("what isn't held is not read: %v", err)
	}
	hold.Close()
	if b.Taken() != 0 {
		t.Errorf("%d bytes are taken in the end", b.Taken())
	}
}

// steps is a body of which a piece comes after each pause.
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

func TestReader_CutsSlowBodiesWhileMemoryIsShort(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		taken int64 // by others
		body  steps
		cut   bool
	}{
		{"a fast one", 512 << 10, steps{16 << 10, 16, time.Second / 8}, false},
		{"a slow one", 512 << 10, steps{4 << 10, 100, time.Second}, true},
		{"a slow one, where there is room", 0, steps{1 << 10, 200, time.Second}, false},
		{"a small one that is slow", 512 << 10, steps{1 << 10, 64, time.Minute}, false},
		{"one that pauses for a moment", 512 << 10, steps{32 << 10, 4, 9 * time.Second / 4}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := memory.New(mib, false)
				others := b.Hold("")
				defer others.Close()
				if err := others.Grow(row.taken); err != nil {
					t.Fatal(err)
				}
				hold := b.Hold("")
				defer hold.Close()
				_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{hold.BodyReader(&row.body)}, make([]byte, 64<<10))
				if limit, ok := errors.AsType[*memory.LimitError](err); row.cut != ok || ok && !limit.Slow || !ok && err != nil {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestBudget_DecodesLargeBodiesInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(mib, false)
		var ends []func()
		for range runtime.GOMAXPROCS(0) {
			ends = append(ends, b.Turn(mib, nil))
		}
		b.Turn(mib-1, nil)() // A small one doesn't wait.
		turn := make(chan func(), 1)
		go func() { turn <- b.Turn(mib, nil) }()
		synctest.Wait()
		select {
		case <-turn:
			t.Error("there is a turn too many")
		default:
		}
		ends[0]()
		ends[0] = <-turn
		left := make(chan struct{})
		go func() { turn <- b.Turn(mib, left) }()
		synctest.Wait()
		close(left) // The client of the one that waits is gone.
		(<-turn)()
		for _, end := range ends {
			end()
		}
		b.Turn(mib, nil)()
	})
}

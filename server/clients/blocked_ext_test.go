//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package clients_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
)

// swapPipe puts a pipe in the place of a file. Until the function that it returns
// is called, a read of the pipe blocks.
func swapPipe(t *testing.T, path string) (end func()) {
	t.Helper()
	if err := errors.Join(syscall.Mkfifo(path+".new", 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	end = func() { _ = writer.Close() }
	t.Cleanup(end)
	return end
}

// openImpatient opens a store that complains early of a read that blocks.
func openImpatient(t *testing.T, path string, options clients.Options) *clients.Store {
	t.Helper()
	store, err := clients.OpenWith(path, options, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore_KeepsClientsWhileReadingBlocks(t *testing.T) {
	t.Parallel()
	log, logger := newLog()
	soon := time.Now().Add(time.Second).Truncate(time.Millisecond)
	path := write(t, "clients:\n"+entry("alice")+entry("bob", "expires: "+soon.UTC().Format(time.RFC3339Nano)))
	store := openImpatient(t, path, clients.Options{Logger: logger})
	t.Cleanup(func() { _ = store.Close() })
	end := swapPipe(t, path)

	log.await(t, "level=ERROR", "keeping the previous ones", path, "reading takes too long")
	if now := store.Status(); now.Failures == 0 || now.Err == nil || now.Clients != 2 {
		t.Errorf("its status is %+v", now)
	}
	if _, err := store.Lookup(keyOf("alice")); err != nil {
		t.Errorf("of alice it says %v", err)
	}
	if _, err := store.Lookup(keyOf("carol")); !errors.Is(err, clients.ErrUnknownKey) {
		t.Errorf("of a stranger it says %v", err)
	}
	time.Sleep(time.Until(soon))
	if _, err := store.Lookup(keyOf("bob")); !errors.Is(err, clients.ErrExpired) {
		t.Errorf("of bob, whose token has expired, it says %v", err)
	}

	// Without a change of the file, which would start another read, it is read when
	// it can be.
	rewriteSoon := make(chan error, 1)
	go func() {
		writer, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = writer.WriteString("clients:\n" + entry("carol"))
			err = errors.Join(err, writer.Close())
		}
		rewriteSoon <- err
	}()
	if err := <-rewriteSoon; err != nil {
		t.Fatal(err)
	}
	end()
	log.await(t, "level=INFO", "clients=1", "added=[carol]", `removed="[alice bob]"`)
	checkKnown(t, store, "carol")
}

func TestStore_LoadsAValidFileAfterOneThatBlocks(t *testing.T) {
	t.Parallel()
	log, logger := newLog()
	path := write(t, "clients:\n"+entry("alice"))
	store := openImpatient(t, path, clients.Options{Logger: logger})
	t.Cleanup(func() { _ = store.Close() })
	swapPipe(t, path)
	log.await(t, "level=ERROR", "reading takes too long")
	began := time.Now()
	swap(t, path, "clients:\n"+entry("bob"))
	log.await(t, "level=INFO", "added=[bob]", "removed=[alice]")
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("it took %v, as long as the read that blocks", took)
	}
	checkKnown(t, store, "bob")

	// The read that blocks ends later, and does not undo that.
	for store.Reading() > 0 {
		time.Sleep(time.Millisecond)
	}
	checkKnown(t, store, "bob")
	if now := store.Status(); now.Err != nil {
		t.Errorf("its status is %+v", now)
	}
}

func TestStore_LimitsBlockedReads(t *testing.T) {
	t.Parallel()
	log, logger := newLog()
	path := write(t, "clients:\n"+entry("alice"))
	store := openImpatient(t, path, clients.Options{Logger: logger})
	t.Cleanup(func() { _ = store.Close() })
	end := swapPipe(t, path)
	for range 20 {
		if err := store.Reload(); err == nil {
			t.Fatal("it reads a pipe")
		}
		if reading := store.Reading(); reading > 4 {
			t.Fatalf("%d reads block", reading)
		}
	}
	swap(t, path, "clients:\n"+entry("bob"))
	end()
	log.await(t, "level=INFO", "added=[bob]")
	checkKnown(t, store, "bob")
}

func TestStore_ClosesWhileReadingBlocks(t *testing.T) {
	t.Parallel()
	path := write(t, "clients:\n"+entry("alice"))
	store, err := clients.Open(path, clients.Options{})
	if err != nil {
		t.Fatal(err)
	}
	end := swapPipe(t, path)
	reloaded := make(chan error, 1)
	go func() { reloaded <- store.Reload() }()
	for store.Reading() == 0 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if err := <-reloaded; err == nil {
		t.Error("it reads a pipe")
	}
	if took := time.Since(began); took > 2500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	end()
	checkKnown(t, store, "alice")
	for store.Reading() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestOpen_FailsIfReadingBlocks(t *testing.T) {
	t.Parallel()
	path := write(t, "")
	end := swapPipe(t, path)
	_, err := clients.OpenWith(path, clients.Options{}, 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
	end()
}

func TestStore_RejectsAnUpstreamKeyThatBlocks(t *testing.T) {
	t.Parallel()
	log, logger := newLog()
	path := write(t, "clients:\n"+entry("alice"))
	store := open(t, path, clients.Options{Logger: logger})
	key := filepath.Join(filepath.Dir(path), "alice.key")
	end := swapPipe(t, key)
	swap(t, path, "clients:\n"+entry("alice", "upstream_key: {file: alice.key}"))
	log.await(t, "level=ERROR", "keeping the previous ones", key)
	checkKnown(t, store, "alice")
	end()
}

func TestEdit_IsNotBlockedByTheLocksOfReaders(t *testing.T) {
	t.Parallel()
	path := write(t, "clients:\n"+entry("alice")+entry("bob"))
	for _, locked := range []string{path, filepath.Dir(path)} {
		for _, kind := range []int{syscall.LOCK_SH, syscall.LOCK_EX} {
			reader, err := os.Open(locked)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			_ = syscall.Flock(int(reader.Fd()), kind|syscall.LOCK_NB) // The second of a file takes the lock of the first.
		}
	}
	if err := clients.Revoke(path, "alice"); err != nil {
		t.Error(err)
	}
	if left, err := clients.Read(path); err != nil || len(left) != 1 || left[0].Name != "bob" {
		t.Errorf("there are %v, %v", left, err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("it leaves %v, %v", names, err)
	}
}

func TestEdit_WaitsForAnotherEdit(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	unlock, err := clients.Lock(folder, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, ".clients.lock"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("others can lock it: %v, %v", info, err)
	}
	if _, err := clients.Lock(folder, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "another process is editing the clients") {
		t.Errorf("got %v", err)
	}
	time.AfterFunc(50*time.Millisecond, unlock)
	again, err := clients.Lock(folder, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestEdit_RejectsALockThatIsALink(t *testing.T) {
	t.Parallel()
	path := write(t, "clients:\n"+entry("alice"))
	lock := filepath.Join(filepath.Dir(path), ".clients.lock")
	if err := os.Symlink("/dev/null", lock); err != nil {
		t.Fatal(err)
	}
	if err := clients.Revoke(path, "alice"); err == nil || !strings.Contains(err.Error(), lock) || !strings.Contains(err.Error(), "remove the lock") {
		t.Errorf("got %v", err)
	}
}

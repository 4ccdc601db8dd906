package clients

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
	"github.com/openai-connect/openai-connect/server/secret"
)

// Store holds the clients of a file and reloads it. It is safe for concurrent use.
//
// The file is reloaded within a second of a change: a write in place, a rename, or a
// change of a symbolic link in its path, as in Kubernetes. It is also reloaded by
// [Store.Reload], and every minute, which covers the files of upstream keys. A file
// takes effect as a whole or not at all. If it is invalid, the store logs an error and
// keeps the previous clients. Writers should replace the file with a rename, as half a
// file may be valid.
//
// Changes affect new requests. Requests in progress continue, also those of a revoked
// client.
//
// A read may block: the file may be a pipe, or on a lost network mount. The store then
// logs an error and keeps the previous clients, which still expire. Further changes
// start further reads, up to a limit, and the file takes effect as soon as a read
// completes.
type Store struct {
	file        string
	logger      *slog.Logger
	readTimeout time.Duration
	current     atomic.Pointer[index]
	polls       sync.WaitGroup
	closed      chan struct{}

	activating  sync.Mutex // held while the result of a read takes effect
	lastError   string     // logged last and not resolved; guarded by activating
	activated   uint64     // the latest read with a result; guarded by activating
	requireKeys bool       // guarded by activating

	mu       sync.Mutex
	started  uint64     // number of reads started; guarded by mu
	reading  int        // number of reads in progress; guarded by mu
	again    bool       // a read is due, but too many are in progress; guarded by mu
	ended    *sync.Cond // signals the end of a read; uses mu
	failures int64      // guarded by mu
	err      error      // guarded by mu
}

const (
	// readTimeout is how long a read may take before it is logged. It is longer than
	// the limit of readfile for pipes.
	readTimeout = readfile.Timeout + time.Second

	// maxReads limits concurrent reads. There is only more than one if reads block.
	maxReads = 4

	// closeTimeout is how long [Store.Close] waits for reads in progress.
	closeTimeout = time.Second
)

// errSlow is the error of a read that blocks.
var errSlow = errors.New("reading takes too long: is the file a pipe or on a lost network mount?")

// Options are options of a [Store].
type Options struct {
	// Logger receives the results of reloads. Nil discards them.
	Logger *slog.Logger
}

// Open opens a file and reloads it until the store is closed.
func Open(file string, options Options) (*Store, error) { return openWith(file, options, readTimeout) }

func openWith(file string, options Options, timeout time.Duration) (*Store, error) {
	s := &Store{file: file, logger: options.Logger, readTimeout: timeout, closed: make(chan struct{})}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.ended = sync.NewCond(&s.mu)
	type result struct {
		state fileState
		read  *index
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		state := stat(file) // first, so that no change is missed
		read, err := s.read()
		opened <- result{state, read, err}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, r.err
		}
		s.activate(r.read)
		s.polls.Go(func() { s.poll(r.state) })
		s.polls.Go(s.reloadRegularly)
		return s, nil
	case <-timer.C:
		return nil, &os.PathError{Op: "read", Path: file, Err: errSlow}
	}
}

// Close ends the reloads. The clients stay in effect. Close does not wait for reads that
// block.
func (s *Store) Close() error {
	close(s.closed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.polls.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.reading > 0 {
			s.ended.Wait()
		}
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return nil
}

// Lookup returns the client with an API key, or [ErrUnknownKey] or [ErrExpired].
func (s *Store) Lookup(key string) (*Client, error) {
	return s.current.Load().lookup(key, time.Now())
}

// RequireUpstreamKeys makes clients without an upstream key an error, now and in later
// reloads. Servers without an upstream key need it.
func (s *Store) RequireUpstreamKeys() error {
	s.activating.Lock()
	defer s.activating.Unlock()
	s.requireKeys = true
	return s.current.Load().keyless.Err()
}

// Status is the state of a [Store].
type Status struct {
	// Loaded is when the current clients were read, and Clients is their number.
	Loaded  time.Time
	Clients int
	// Failures is the number of failed reloads. Err is the error of the latest reload.
	Failures int64
	Err      error
}

// Status returns the state of the store.
func (s *Store) Status() Status {
	current := s.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Loaded: current.loaded, Clients: len(current.byName), Failures: s.failures, Err: s.err}
}

// UpstreamKeys returns the upstream keys of clients, without duplicates, so that logs
// can redact them. The result must not be modified.
func (s *Store) UpstreamKeys() []secret.Secret { return s.current.Load().upstreamKeys }

// Reload reads the file and logs the result. If the file does not take effect, the error
// says why. Reload does not wait for a read that blocks.
func (s *Store) Reload() error {
	result := s.start(true)
	timer := time.NewTimer(s.readTimeout)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		return errSlow
	case <-s.closed:
		return errors.New("the store is closed")
	}
}

// start reads the file in the background and returns a channel for the result. If too
// many reads block, the file is read when one of them ends. Explicit reloads are always
// logged.
func (s *Store) start(explicit bool) <-chan error {
	result := make(chan error, 1)
	s.mu.Lock()
	if s.reading == maxReads {
		s.again = true
		s.mu.Unlock()
		s.reportSlow(math.MaxUint64, explicit)
		result <- errSlow
		return result
	}
	s.reading++
	s.started++
	number := s.started
	s.mu.Unlock()
	slow := time.AfterFunc(s.readTimeout, func() { s.reportSlow(number, explicit) })
	go func() {
		read, err := s.read()
		slow.Stop()
		result <- s.finish(number, explicit, read, err)
		s.mu.Lock()
		s.reading--
		again := s.again
		s.again = false
		s.ended.Broadcast()
		s.mu.Unlock()
		if again && !s.isClosed() {
			s.start(explicit)
		}
	}()
	return result
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// reportSlow reports a read that blocks, unless it or a later one has finished.
func (s *Store) reportSlow(number uint64, explicit bool) {
	s.activating.Lock()
	defer s.activating.Unlock()
	if number > s.activated {
		s.report(errSlow, explicit)
	}
}

// finish applies the result of a read, unless a later one has finished.
func (s *Store) finish(number uint64, explicit bool, read *index, err error) error {
	s.activating.Lock()
	defer s.activating.Unlock()
	if number < s.activated || s.isClosed() {
		return err
	}
	s.activated = number
	if err == nil && s.requireKeys {
		err = read.keyless.Err()
	}
	if err != nil {
		s.report(err, explicit)
		return err
	}
	recovered := s.lastError != "" // logged even if nothing changed
	s.lastError = ""
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	current := s.current.Load()
	changes := read.diff(current)
	if !explicit && !recovered && changes.none() && bytes.Equal(read.text, current.text) {
		return nil
	}
	s.activate(read)
	s.logger.Info("clients loaded", "file", s.file, "clients", len(read.byName),
		"added", changes.added, "removed", changes.removed, "changed", changes.changed)
	return nil
}

// activate makes clients take effect.
func (s *Store) activate(read *index) {
	s.current.Store(read)
	for _, path := range read.worldReadable {
		s.logger.Warn("upstream key is readable by every user: chmod 600 the file", "file", path)
	}
}

// report logs an error and counts it. It skips the error that it logged last, unless the
// reload was explicit.
func (s *Store) report(err error, explicit bool) {
	const message = "failed to reload clients, keeping the previous ones"
	if err.Error() == s.lastError && !explicit {
		return
	}
	s.lastError = err.Error()
	s.mu.Lock()
	s.failures++
	s.err = err
	s.mu.Unlock()
	problems, ok := errors.AsType[strictyaml.Errors](err)
	if !ok {
		s.logger.Error(message, "file", s.file, "error", err)
		return
	}
	for _, p := range problems {
		s.logger.Error(message, "file", p.File, "line", p.Line, "error", p.Error())
	}
}

// read reads the file and the upstream keys that it refers to.
func (s *Store) read() (*index, error) {
	text, err := readText(s.file)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(s.file, text)
	if err != nil {
		return nil, err
	}
	return newIndex(s.file, text, parsed.entries)
}

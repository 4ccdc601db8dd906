package keys

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/access"
)

// Store has the tokens of a file, and keeps up with it. It is safe for concurrent
// use.
//
// The file is read again when it changes, be it in place, by a rename or by a
// symbolic link on the way to it, as Kubernetes does; when [Store.Reload] is
// called; and every minute, for file systems that tell of no change, and for the
// upstream's keys in files. It is in force as a whole or not at all: one that is
// broken is logged, at level ERROR, and the one before stays in force. Whoever
// writes the file should do so by a rename, as half a file may be a good one.
//
// What is in force counts from the next request on. Calls that run go on, also
// those of a token that has been revoked.
type Store struct {
	file    string
	options Options
	current atomic.Pointer[tokens]
	watcher *watcher

	reading   sync.Mutex // held while the file is read, so that the last to read is the last to put in force
	complaint string     // what was logged last, and is still so; guarded by reading

	mu       sync.Mutex
	failures int64 // guarded by mu
	err      error // guarded by mu
}

// Options of a [Store].
type Options struct {
	// ServerHoldsKey says that there is a key of the upstream's for tokens that
	// name none of their own. Otherwise such a token is an error.
	ServerHoldsKey bool

	// Logger is told of what is read, by the names of tokens. Nil means silence.
	Logger *slog.Logger
}

// maxFileBytes bounds the file: what is longer is none.
const maxFileBytes = 16 << 20

// Open reads a file, and watches it until the store is closed. The error may be
// [LineErrors].
func Open(file string, options Options) (*Store, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{file: file, options: options}
	watcher, err := watch(file, s.look, options.Logger) // First, so that no change is missed.
	if err != nil {
		options.Logger.Warn("changes of the file of tokens are noticed within a minute only, or at SIGHUP", "file", file, "error", err)
	}
	read, err := s.read()
	if err != nil {
		return nil, errors.Join(err, watcher.close())
	}
	s.enforce(read)
	s.watcher = watcher
	watcher.start()
	return s, nil
}

// Close ends the watch. The tokens stay in force.
func (s *Store) Close() error { return s.watcher.close() }

// ServerHoldsKey is that of the [Options].
func (s *Store) ServerHoldsKey() bool { return s.options.ServerHoldsKey }

// Find returns what is known under a token. The error is [access.ErrWrongToken] if
// nothing is, be it that it never was or that it was revoked, or [ErrExpired]. It
// takes the same time whatever tokens there are.
func (s *Store) Find(token string) (*Token, error) {
	return s.current.Load().find(token, time.Now())
}

// Status is how a [Store] is.
type Status struct {
	// Loaded is when what is in force was read, and Tokens how many it has.
	Loaded time.Time
	Tokens int
	// Failures counts how often what there was to read was broken, and Err is what
	// is wrong with it now, nil if nothing is.
	Failures int64
	Err      error
}

// Status returns how the store is.
func (s *Store) Status() Status {
	current := s.current.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Loaded: current.loaded, Tokens: len(current.byName), Failures: s.failures, Err: s.err}
}

// UpstreamKeys returns the keys of the upstream's that tokens have, each once, for
// logs to leave them out. The result is not to be changed.
func (s *Store) UpstreamKeys() []access.Secret { return s.current.Load().keys }

// Reload reads the file now, and logs that it did. The error says why it isn't in
// force.
func (s *Store) Reload() error { return s.refresh(true) }

// look reads the file, and logs what is new.
func (s *Store) look() { _ = s.refresh(false) } // The error is logged.

func (s *Store) refresh(asked bool) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	read, err := s.read()
	if err != nil {
		if text := err.Error(); asked || text != s.complaint {
			s.complaint = text
			s.fail(err)
		}
		return err
	}
	mended := s.complaint != "" // which is news, even if nothing else is
	s.complaint = ""
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	current := s.current.Load()
	changes := read.since(current)
	if !asked && !mended && changes.none() && bytes.Equal(read.text, current.text) {
		return nil
	}
	s.enforce(read)
	s.options.Logger.Info("the tokens were read", "file", s.file, "tokens", len(read.byName),
		"added", changes.added, "removed", changes.removed, "changed", changes.changed)
	return nil
}

// enforce puts tokens in force.
func (s *Store) enforce(read *tokens) {
	s.current.Store(read)
	for _, path := range read.open {
		s.options.Logger.Warn("every user of this machine can read the key of a token: chmod 600 it", "file", path)
	}
}

// fail notes that the file is broken.
func (s *Store) fail(err error) {
	s.mu.Lock()
	s.failures++
	s.err = err
	s.mu.Unlock()
	problems, ok := errors.AsType[LineErrors](err)
	if !ok {
		s.options.Logger.Error("the tokens can't be read: those before stay in force", "file", s.file, "error", err)
		return
	}
	for _, p := range problems {
		s.options.Logger.Error("the tokens can't be read: those before stay in force", "file", p.File, "line", p.Line, "error", p.Error())
	}
}

// read reads the file, and the keys that it names.
func (s *Store) read() (*tokens, error) {
	text, err := readText(s.file)
	if err != nil {
		return nil, err
	}
	read, err := parse(s.file, text)
	if err != nil {
		return nil, err
	}
	return build(s.file, text, read.entries, s.options.ServerHoldsKey)
}

// readText reads a file of bounded size.
func readText(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // It was only read.
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("it is longer than 16 MiB")}
	}
	return text, nil
}

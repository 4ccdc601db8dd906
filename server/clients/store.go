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
	"github.com/openai-connect/openai-connect/server/secret"
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
//
// Reading may block: the file may be a pipe, or on a network mount that is lost.
// The tokens in force then stay so, expiry included, and a change still starts
// another read, up to a bound. That is logged once it lasts, and the file is taken
// when it can be read.
type Store struct {
	file     string
	options  Options
	patience time.Duration
	current  atomic.Pointer[tokens]
	watcher  *watcher
	closed   chan struct{}

	settling  sync.Mutex // held while the outcome of a read is put in force
	complaint string     // what was logged last, and is still so; guarded by settling
	settled   uint64     // the latest read with an outcome; guarded by settling

	mu       sync.Mutex
	begun    uint64     // reads so far; guarded by mu
	reading  int        // reads that run; guarded by mu
	again    bool       // another one was due while too many ran; guarded by mu
	ended    *sync.Cond // one of them has; with mu
	failures int64      // guarded by mu
	err      error      // guarded by mu
}

const (
	// patience is how long a read may take until it is logged: longer than the
	// bound for a file that is a pipe.
	patience = readfile.Patience + time.Second

	// maxReads bounds the reads that run at a time. More than one does only while
	// reading blocks.
	maxReads = 4

	// closePatience is how long [Store.Close] waits for what still runs.
	closePatience = time.Second
)

// errSlow is what is wrong with a file while reading it blocks.
var errSlow = errors.New("reading takes too long: is the file a pipe, or on a network mount that is lost?")

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
func Open(file string, options Options) (*Store, error) { return openWith(file, options, patience) }

func openWith(file string, options Options, patience time.Duration) (*Store, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{file: file, options: options, patience: patience, closed: make(chan struct{})}
	s.ended = sync.NewCond(&s.mu)
	type outcome struct {
		watcher *watcher
		read    *tokens
		err     error
	}
	opened := make(chan outcome, 1)
	go func() {
		watcher, err := watch(file, s.look, options.Logger) // First, so that no change is missed.
		if err != nil {
			options.Logger.Warn("changes of the file of tokens are noticed within a minute only, or at SIGHUP", "file", file, "error", err)
		}
		read, err := s.read()
		opened <- outcome{watcher, read, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o := <-opened:
		if o.err != nil {
			return nil, errors.Join(o.err, o.watcher.close())
		}
		s.enforce(o.read)
		s.watcher = o.watcher
		s.watcher.start()
		return s, nil
	case <-timer.C:
		go func() { _ = (<-opened).watcher.close() }()
		return nil, &os.PathError{Op: "read", Path: file, Err: errSlow}
	}
}

// Close ends the watch. The tokens stay in force. It does not wait for a read that
// blocks.
func (s *Store) Close() error {
	close(s.closed)
	done := make(chan error, 1)
	go func() {
		err := s.watcher.close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.reading > 0 {
			s.ended.Wait()
		}
		done <- err
	}()
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return nil
	}
}

// ServerHoldsKey is that of the [Options].
func (s *Store) ServerHoldsKey() bool { return s.options.ServerHoldsKey }

// Find returns what is known under a token. The error is [access.ErrWrongToken] if
// nothing is, be it that it never was or that it was revoked, or [ErrExpired]. It
// takes the same time whatever tokens there are.
func (s *Store) Lookup(token string) (*Client, error) {
	return s.current.Load().find(token, time.Now())
}

// Status is how a [Store] is.
type Status struct {
	// Loaded is when what is in force was read, and Tokens how many it has.
	Loaded  time.Time
	Clients int
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
	return Status{Loaded: current.loaded, Clients: len(current.byName), Failures: s.failures, Err: s.err}
}

// UpstreamKeys returns the keys of the upstream's that tokens have, each once, for
// logs to leave them out. The result is not to be changed.
func (s *Store) UpstreamKeys() []secret.Secret { return s.current.Load().keys }

// Reload reads the file now, and logs that it did. The error says why it isn't in
// force. It does not wait for a read that blocks.
func (s *Store) Reload() error {
	outcome := s.begin(true, nil)
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case err := <-outcome:
		return err
	case <-timer.C:
		return errSlow
	case <-s.closed:
		return errors.New("the store is closed")
	}
}

// look has the file read, and what is new logged. A look that no change asked for
// is left out while reading blocks. prepare is called before.
func (s *Store) look(changed bool, prepare func()) {
	s.mu.Lock()
	blocked := s.reading > 0
	s.mu.Unlock()
	if changed || !blocked {
		s.begin(false, prepare)
	}
}

// begin reads the file in the background, and sends the outcome. Where too many
// reads block already, it is read when one of them ends.
func (s *Store) begin(asked bool, prepare func()) <-chan error {
	outcome := make(chan error, 1)
	s.mu.Lock()
	if s.reading == maxReads {
		s.again = true
		s.mu.Unlock()
		s.complain(math.MaxUint64, errSlow, asked)
		outcome <- errSlow
		return outcome
	}
	s.reading++
	s.begun++
	number := s.begun
	s.mu.Unlock()
	slow := time.AfterFunc(s.patience, func() { s.complain(number, errSlow, asked) })
	go func() {
		if prepare != nil {
			prepare()
		}
		read, err := s.read()
		slow.Stop()
		outcome <- s.settle(number, asked, read, err)
		s.mu.Lock()
		s.reading--
		again := s.again
		s.again = false
		s.ended.Broadcast()
		s.mu.Unlock()
		if again && !s.isClosed() {
			s.begin(asked, nil)
		}
	}()
	return outcome
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// complain notes what is wrong with a read, unless that, or a later one, has been
// settled.
func (s *Store) complain(number uint64, err error, asked bool) {
	s.settling.Lock()
	defer s.settling.Unlock()
	if number > s.settled {
		s.note(err, asked)
	}
}

// note logs what is wrong, unless that was logged last and nobody asked.
func (s *Store) note(err error, asked bool) {
	if text := err.Error(); asked || text != s.complaint {
		s.complaint = text
		s.fail(err)
	}
}

// settle puts what was read in force, unless a later read has been settled.
func (s *Store) settle(number uint64, asked bool, read *tokens, err error) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	if number < s.settled || s.isClosed() {
		return err
	}
	s.settled = number
	if err != nil {
		s.note(err, asked)
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
	s.options.Logger.Info("the tokens were read", "file", s.file, "clients", len(read.byName),
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
	return readfile.Read(path, maxFileBytes, readfile.Patience)
}

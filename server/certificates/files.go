package certificates

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
)

// lookInterval is how long a change of the files may go unnoticed. They are
// small, and are read in less time than a handshake takes.
const lookInterval = time.Second

// lookPatience is how long a handshake waits for the files. When it has passed, the
// handshake goes on with the certificate in memory.
const lookPatience = time.Second

// maxFileBytes bounds each of the files.
const maxFileBytes = 1 << 20

// Files is a certificate in files that somebody else keeps up to date. They are
// read again as connections arrive, at most once a second, and compared by what
// they hold: so a change is noticed however it was made, in place, by a rename,
// or by turning a symbolic link of a directory above, as Kubernetes does.
//
// A pair that is of no use, such as one of which half is written, is logged, and
// that before it stays in force.
type Files struct {
	chainPath, keyPath string
	logger             *slog.Logger
	now                func() time.Time

	current atomic.Pointer[pair]

	mu        sync.Mutex // held while the files are looked at
	looked    time.Time
	complaint string // what was logged last, and is still so
}

// pair is a certificate with the text that it was read from.
type pair struct {
	chain, key  []byte
	certificate tls.Certificate
}

// NewFiles reads a certificate from PEM files: the chain, that of the server
// first, and its private key.
func NewFiles(chainPath, keyPath string, logger *slog.Logger) (*Files, error) {
	f := &Files{chainPath: chainPath, keyPath: keyPath, logger: logger, now: time.Now}
	f.looked = f.now()
	read, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current.Store(read)
	return f, nil
}

// TLS returns what HTTPS is served with.
func (f *Files) TLS() *tls.Config {
	return serve(func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		f.look()
		return &f.current.Load().certificate, nil
	})
}

// look takes the files' certificate if it changed. Where another handshake is at
// it, this one doesn't wait.
func (f *Files) look() {
	if !f.mu.TryLock() {
		return
	}
	if f.now().Sub(f.looked) < lookInterval {
		f.mu.Unlock()
		return
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		defer f.mu.Unlock()
		f.refresh()
	}()
	timer := time.NewTimer(lookPatience)
	defer timer.Stop()
	select {
	case <-looked:
	case <-timer.C:
		f.logger.Error("the certificate can't be read in time: the one before stays in force", "file", f.chainPath)
	}
}

// refresh reads the files. The caller holds mu.
func (f *Files) refresh() {
	f.looked = f.now()
	read, err := f.read()
	switch {
	case err == nil:
		f.complaint = ""
		if f.current.Swap(read) != read {
			f.logger.Info("the certificate changed", "file", f.chainPath, "not_after", read.certificate.Leaf.NotAfter)
		}
	case err.Error() != f.complaint:
		f.complaint = err.Error()
		f.logger.Error("the certificate can't be read again: the one before stays in force", "error", err)
	}
}

// read reads the pair, and returns the current one if that is still it.
func (f *Files) read() (*pair, error) {
	chain, err := readfile.Read(f.chainPath, maxFileBytes, readfile.Patience)
	if err != nil {
		return nil, err
	}
	key, err := readfile.Read(f.keyPath, maxFileBytes, readfile.Patience)
	if err != nil {
		return nil, err
	}
	if current := f.current.Load(); current != nil && bytes.Equal(chain, current.chain) && bytes.Equal(key, current.key) {
		return current, nil
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.chainPath, f.keyPath, err)
	}
	return &pair{chain, key, certificate}, nil
}

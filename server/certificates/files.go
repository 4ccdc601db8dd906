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

const (
	// reloadInterval is the minimum time between two checks of the files. Reading them
	// takes less time than a handshake.
	reloadInterval = time.Second

	// reloadTimeout limits the time that a handshake waits for the files. It then uses
	// the certificate in memory.
	reloadTimeout = time.Second

	// maxFileBytes limits the size of each file.
	maxFileBytes = 1 << 20
)

// Files is a certificate in files that another program keeps up to date. They are read
// again when connections arrive, at most once per second, and compared by content. So a
// change is noticed however it was made: in place, by a rename, or by replacing a
// symbolic link to a parent directory, as Kubernetes does.
//
// An invalid pair, such as a partly written one, is logged, and the previous certificate
// stays active.
type Files struct {
	chainPath, keyPath string
	logger             *slog.Logger
	now                func() time.Time

	current atomic.Pointer[pair]

	mu        sync.Mutex // held during a reload
	checkedAt time.Time  // guarded by mu
	lastError string     // guarded by mu: the error of the last reload, if it failed
}

// pair is a certificate with the file contents that it was parsed from.
type pair struct {
	chain, key  []byte
	certificate tls.Certificate
}

// NewFiles reads a certificate from PEM files: the chain, beginning with the server's
// certificate, and the private key.
func NewFiles(chainPath, keyPath string, logger *slog.Logger) (*Files, error) {
	f := &Files{chainPath: chainPath, keyPath: keyPath, logger: logger, now: time.Now}
	f.checkedAt = f.now()
	read, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current.Store(read)
	return f, nil
}

// TLS returns the configuration for HTTPS.
func (f *Files) TLS() *tls.Config {
	return newTLSConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		f.reloadIfChanged()
		return &f.current.Load().certificate, nil
	})
}

// reloadIfChanged reloads the certificate if the files have changed. It does not wait for
// a reload by another handshake.
func (f *Files) reloadIfChanged() {
	if !f.mu.TryLock() {
		return
	}
	if f.now().Sub(f.checkedAt) < reloadInterval {
		f.mu.Unlock()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.mu.Unlock()
		f.reloadLocked()
	}()
	timer := time.NewTimer(reloadTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		f.logger.Error("failed to reload certificate in time, keeping previous", "file", f.chainPath)
	}
}

// reloadLocked reads the files.
func (f *Files) reloadLocked() {
	f.checkedAt = f.now()
	read, err := f.read()
	switch {
	case err == nil:
		f.lastError = ""
		if f.current.Swap(read) != read {
			f.logger.Info("certificate reloaded", "file", f.chainPath, "not_after", read.certificate.Leaf.NotAfter)
		}
	case err.Error() != f.lastError:
		f.lastError = err.Error()
		f.logger.Error("failed to reload certificate, keeping previous", "error", err)
	}
}

// read reads the pair. It returns the current one if the files have not changed.
func (f *Files) read() (*pair, error) {
	chain, err := readfile.Read(f.chainPath, maxFileBytes, readfile.Timeout)
	if err != nil {
		return nil, err
	}
	key, err := readfile.Read(f.keyPath, maxFileBytes, readfile.Timeout)
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

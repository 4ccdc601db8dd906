package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// directory is a directory with a certificate in chain.pem and key.pem.
type directory struct {
	t    *testing.T
	path string
}

func newDirectory(t *testing.T) *directory {
	t.Helper()
	return &directory{t, t.TempDir()}
}

// newPair returns a certificate with the serial number, and its key, in PEM.
func newPair(t *testing.T, serial int64) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// write writes a file in place.
func (f *directory) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// rename renames a file of the directory. It replaces an existing file.
func (f *directory) rename(from, to string) {
	f.t.Helper()
	if err := os.Rename(filepath.Join(f.path, from), filepath.Join(f.path, to)); err != nil {
		f.t.Fatal(err)
	}
}

// link creates a symbolic link.
func (f *directory) link(target, name string) {
	f.t.Helper()
	if err := os.Symlink(target, filepath.Join(f.path, name)); err != nil {
		f.t.Fatal(err)
	}
}

// pair writes both files in place.
func (f *directory) pair(serial int64) {
	f.t.Helper()
	chain, key := newPair(f.t, serial)
	f.write("chain.pem", chain)
	f.write("key.pem", key)
}

// reader is a Files with a fake clock.
type reader struct {
	*Files

	t     *testing.T
	clock atomic.Int64
	log   lines
}

// read opens the files of the directory.
func (f *directory) read() *reader {
	f.t.Helper()
	r := &reader{t: f.t, log: make(lines, 100)}
	files, err := NewFiles(filepath.Join(f.path, "chain.pem"), filepath.Join(f.path, "key.pem"), slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		f.t.Fatal(err)
	}
	start := files.checkedAt
	files.now = func() time.Time { return start.Add(time.Duration(r.clock.Load())) }
	r.Files = files
	return r
}

// serial advances the clock and returns the serial number of the certificate for a
// handshake.
func (r *reader) serial(later time.Duration) int64 {
	r.t.Helper()
	r.clock.Add(int64(later))
	certificate, err := r.TLS().GetCertificate(new(tls.ClientHelloInfo))
	if err != nil {
		r.t.Fatal(err)
	}
	return certificate.Leaf.SerialNumber.Int64()
}

// check checks the certificate of a handshake a second later. logged are strings that the
// new log lines must contain, one per line.
func (r *reader) check(want int64, logged ...string) {
	r.t.Helper()
	if serial := r.serial(time.Second); serial != want {
		r.t.Errorf("got certificate %d, want %d", serial, want)
	}
	log := r.log.rest()
	if strings.Count(log, "\n") != len(logged) {
		r.t.Errorf("got log\n%swant lines with %q", log, logged)
	}
	for _, text := range logged {
		if !strings.Contains(log, text) {
			r.t.Errorf("got log\n%swant a line with %q", log, text)
		}
	}
	if strings.Contains(log, "PRIVATE KEY-") {
		r.t.Error("got a private key in the log")
	}
}

const (
	reloadedMessage = "certificate reloaded"
	keptMessage     = "keeping previous"
	missingMessage  = "no such file"
)

func TestFiles_DetectsChanges(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		before func(*directory)
		after  func(*directory)
	}{
		{"in place", func(f *directory) { f.pair(1) }, func(f *directory) { f.pair(2) }},
		{"with renames", func(f *directory) { f.pair(1) }, func(f *directory) {
			chain, key := newPair(f.t, 2)
			f.write("chain.new", chain)
			f.write("key.new", key)
			f.rename("chain.new", "chain.pem")
			f.rename("key.new", "key.pem")
		}},
		{"with symbolic links to files, as from certbot", func(f *directory) {
			chain, key := newPair(f.t, 1)
			f.write("chain1.pem", chain)
			f.write("key1.pem", key)
			f.link("chain1.pem", "chain.pem")
			f.link("key1.pem", "key.pem")
		}, func(f *directory) {
			chain, key := newPair(f.t, 2)
			f.write("chain2.pem", chain)
			f.write("key2.pem", key)
			f.link("chain2.pem", "chain.new")
			f.link("key2.pem", "key.new")
			f.rename("chain.new", "chain.pem")
			f.rename("key.new", "key.pem")
		}},
		{"with a symbolic link to a directory, as in Kubernetes", func(f *directory) { kubernetes(f, "..1", 1) }, func(f *directory) { kubernetes(f, "..2", 2) }},
		{"without a change of time and size", func(f *directory) { f.pair(1); f.setTimes() }, func(f *directory) { f.pair(2); f.setTimes() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newDirectory(t)
			row.before(f)
			r := f.read()
			r.check(1)
			row.after(f)
			r.check(2, reloadedMessage)
			r.check(2)
		})
	}
}

// kubernetes makes a version of the directory the current one.
func kubernetes(f *directory, version string, serial int64) {
	f.t.Helper()
	if err := os.Mkdir(filepath.Join(f.path, version), 0o700); err != nil {
		f.t.Fatal(err)
	}
	chain, key := newPair(f.t, serial)
	f.write(filepath.Join(version, "chain.pem"), chain)
	f.write(filepath.Join(version, "key.pem"), key)
	f.link(version, "..data_tmp")
	f.rename("..data_tmp", "..data")
	if serial == 1 {
		f.link(filepath.Join("..data", "chain.pem"), "chain.pem")
		f.link(filepath.Join("..data", "key.pem"), "key.pem")
	}
}

// setTimes sets the same modification time for both files.
func (f *directory) setTimes() {
	f.t.Helper()
	for _, name := range []string{"chain.pem", "key.pem"} {
		if err := os.Chtimes(filepath.Join(f.path, name), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestFiles_LogsInvalidPairOnceAndKeepsPrevious(t *testing.T) {
	t.Parallel()
	chain, key := newPair(t, 2)
	for _, row := range []struct {
		name    string
		change  func(*directory)
		wantErr string
	}{
		{"a new chain with the old key", func(f *directory) { f.write("chain.pem", chain) }, "does not match"},
		{"a new key with the old chain", func(f *directory) { f.write("key.pem", key) }, "does not match"},
		{"half a chain", func(f *directory) { f.write("chain.pem", chain[:len(chain)/2]) }, "failed to find any PEM data in certificate input"},
		{"an empty chain", func(f *directory) { f.write("chain.pem", nil) }, "failed to find any PEM data in certificate input"},
		{"an empty key", func(f *directory) { f.write("key.pem", nil) }, "failed to find any PEM data in key input"},
		{"no chain", func(f *directory) { f.rename("chain.pem", "chain.old") }, missingMessage},
		{"no key", func(f *directory) { f.rename("key.pem", "key.old") }, missingMessage},
		{"a dangling link", func(f *directory) { f.link("nowhere", "link"); f.rename("link", "key.pem") }, missingMessage},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newDirectory(t)
			f.pair(1)
			r := f.read()
			row.change(f)
			r.check(1, keptMessage)
			r.check(1)
			r.clock.Add(int64(time.Second))
			if _, err := r.read(); err == nil || !strings.Contains(err.Error(), row.wantErr) || !strings.Contains(err.Error(), f.path) {
				t.Errorf("got error %v, want one that contains %q", err, row.wantErr)
			}
			f.write("chain.pem", chain)
			if target, err := os.Readlink(filepath.Join(f.path, "key.pem")); err == nil && target != "" {
				f.rename("key.pem", "link")
			}
			f.write("key.pem", key)
			r.check(2, reloadedMessage)
		})
	}
}

func TestFiles_DoesNotReloadTheSamePair(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	chain, key := newPair(t, 1)
	f.write("chain.pem", chain)
	f.write("key.pem", key)
	r := f.read()
	f.write("chain.pem", nil)
	r.check(1, keptMessage)
	f.write("chain.pem", chain)
	r.check(1)
	f.write("chain.pem", nil)
	r.check(1, keptMessage)
}

func TestFiles_ReadsOncePerSecond(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.pair(1)
	r := f.read()
	f.pair(2)
	if serial := r.serial(reloadInterval - time.Nanosecond); serial != 1 {
		t.Error("the files were read too early")
	}
	if serial := r.serial(time.Nanosecond); serial != 2 {
		t.Error("the files were read too late")
	}
	f.pair(3)
	if serial := r.serial(reloadInterval - time.Nanosecond); serial != 2 {
		t.Error("the files were read again too early")
	}
}

func TestFiles_HandshakesDuringAChange(t *testing.T) {
	t.Parallel()
	f := newDirectory(t)
	f.pair(1)
	r := f.read()
	var handshakes sync.WaitGroup
	for range 8 {
		handshakes.Go(func() {
			last := int64(1)
			for last < 20 {
				certificate, err := r.TLS().GetCertificate(new(tls.ClientHelloInfo))
				if err != nil {
					t.Error(err)
					return
				}
				serial := certificate.Leaf.SerialNumber.Int64()
				if serial < last {
					t.Errorf("got certificate %d after %d", serial, last)
				}
				last = serial
				r.clock.Add(int64(time.Second))
			}
		})
	}
	for serial := range int64(20) {
		f.pair(serial + 1)
	}
	handshakes.Wait()
}

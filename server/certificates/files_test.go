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

// folder has a certificate in chain.pem and key.pem.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	return &folder{t, t.TempDir()}
}

// made returns the text of a certificate with the serial number, and of its key.
func made(t *testing.T, serial int64) (chain, key []byte) {
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
func (f *folder) write(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.path, name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// rename gives a file of the folder another name, over what has it.
func (f *folder) rename(from, to string) {
	f.t.Helper()
	if err := os.Rename(filepath.Join(f.path, from), filepath.Join(f.path, to)); err != nil {
		f.t.Fatal(err)
	}
}

// link makes a symbolic link.
func (f *folder) link(target, name string) {
	f.t.Helper()
	if err := os.Symlink(target, filepath.Join(f.path, name)); err != nil {
		f.t.Fatal(err)
	}
}

// pair writes both files in place.
func (f *folder) pair(serial int64) {
	f.t.Helper()
	chain, key := made(f.t, serial)
	f.write("chain.pem", chain)
	f.write("key.pem", key)
}

// reader is Files with a clock of its own.
type reader struct {
	*Files

	t     *testing.T
	clock atomic.Int64
	log   lines
}

// read reads the folder's files.
func (f *folder) read() *reader {
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

// serial is that of the certificate for a handshake that takes place so much
// later.
func (r *reader) serial(later time.Duration) int64 {
	r.t.Helper()
	r.clock.Add(int64(later))
	certificate, err := r.TLS().GetCertificate(new(tls.ClientHelloInfo))
	if err != nil {
		r.t.Fatal(err)
	}
	return certificate.Leaf.SerialNumber.Int64()
}

// sees checks the next certificate, and that the log since then has these texts,
// one a line.
func (r *reader) sees(want int64, logged ...string) {
	r.t.Helper()
	if serial := r.serial(time.Second); serial != want {
		r.t.Errorf("the certificate is number %d, not %d", serial, want)
	}
	log := r.log.rest()
	if strings.Count(log, "\n") != len(logged) {
		r.t.Errorf("it logged\n%s, not %q", log, logged)
	}
	for _, text := range logged {
		if !strings.Contains(log, text) {
			r.t.Errorf("it logged\n%s, without %q", log, text)
		}
	}
	if strings.Contains(log, "PRIVATE KEY-") {
		r.t.Error("it logged a key")
	}
}

const (
	changed   = "certificate reloaded"
	unusable  = "keeping previous"
	notByName = "no such file"
)

func TestAChangeIsNoticedHoweverItIsMade(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		before func(*folder)
		after  func(*folder)
	}{
		{"in place", func(f *folder) { f.pair(1) }, func(f *folder) { f.pair(2) }},
		{"by renaming", func(f *folder) { f.pair(1) }, func(f *folder) {
			chain, key := made(f.t, 2)
			f.write("chain.new", chain)
			f.write("key.new", key)
			f.rename("chain.new", "chain.pem")
			f.rename("key.new", "key.pem")
		}},
		{"by a link to each file, as certbot has them", func(f *folder) {
			chain, key := made(f.t, 1)
			f.write("chain1.pem", chain)
			f.write("key1.pem", key)
			f.link("chain1.pem", "chain.pem")
			f.link("key1.pem", "key.pem")
		}, func(f *folder) {
			chain, key := made(f.t, 2)
			f.write("chain2.pem", chain)
			f.write("key2.pem", key)
			f.link("chain2.pem", "chain.new")
			f.link("key2.pem", "key.new")
			f.rename("chain.new", "chain.pem")
			f.rename("key.new", "key.pem")
		}},
		{"by a link to the folder, as Kubernetes has it", func(f *folder) { kubernetes(f, "..1", 1) }, func(f *folder) { kubernetes(f, "..2", 2) }},
		{"with the time and the size that the files had", func(f *folder) { f.pair(1); f.date() }, func(f *folder) { f.pair(2); f.date() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			row.before(f)
			r := f.read()
			r.sees(1)
			row.after(f)
			r.sees(2, changed)
			r.sees(2)
		})
	}
}

// kubernetes makes a version of the folder the current one.
func kubernetes(f *folder, version string, serial int64) {
	f.t.Helper()
	if err := os.Mkdir(filepath.Join(f.path, version), 0o700); err != nil {
		f.t.Fatal(err)
	}
	chain, key := made(f.t, serial)
	f.write(filepath.Join(version, "chain.pem"), chain)
	f.write(filepath.Join(version, "key.pem"), key)
	f.link(version, "..data_tmp")
	f.rename("..data_tmp", "..data")
	if serial == 1 {
		f.link(filepath.Join("..data", "chain.pem"), "chain.pem")
		f.link(filepath.Join("..data", "key.pem"), "key.pem")
	}
}

// date gives both files one time.
func (f *folder) date() {
	f.t.Helper()
	for _, name := range []string{"chain.pem", "key.pem"} {
		if err := os.Chtimes(filepath.Join(f.path, name), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestAPairThatIsOfNoUseIsLoggedOnceAndNotUsed(t *testing.T) {
	t.Parallel()
	chain, key := made(t, 2)
	for _, row := range []struct {
		name   string
		change func(*folder)
		says   string
	}{
		{"a chain without its key yet", func(f *folder) { f.write("chain.pem", chain) }, "does not match"},
		{"a key without its chain yet", func(f *folder) { f.write("key.pem", key) }, "does not match"},
		{"half a chain", func(f *folder) { f.write("chain.pem", chain[:len(chain)/2]) }, "failed to find any PEM data in certificate input"},
		{"an empty chain", func(f *folder) { f.write("chain.pem", nil) }, "failed to find any PEM data in certificate input"},
		{"an empty key", func(f *folder) { f.write("key.pem", nil) }, "failed to find any PEM data in key input"},
		{"no chain", func(f *folder) { f.rename("chain.pem", "chain.old") }, notByName},
		{"no key", func(f *folder) { f.rename("key.pem", "key.old") }, notByName},
		{"a link that leads nowhere", func(f *folder) { f.link("nowhere", "link"); f.rename("link", "key.pem") }, notByName},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			f.pair(1)
			r := f.read()
			row.change(f)
			r.sees(1, unusable)
			r.sees(1)
			r.clock.Add(int64(time.Second))
			if _, err := r.read(); err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), f.path) {
				t.Errorf("it says %v", err)
			}
			f.write("chain.pem", chain)
			if target, err := os.Readlink(filepath.Join(f.path, "key.pem")); err == nil && target != "" {
				f.rename("key.pem", "link")
			}
			f.write("key.pem", key)
			r.sees(2, changed)
		})
	}
}

func TestTheSamePairAgainIsNoChange(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	chain, key := made(t, 1)
	f.write("chain.pem", chain)
	f.write("key.pem", key)
	r := f.read()
	f.write("chain.pem", nil)
	r.sees(1, unusable)
	f.write("chain.pem", chain)
	r.sees(1)
	f.write("chain.pem", nil)
	r.sees(1, unusable)
}

func TestFilesAreReadOnceASecond(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.pair(1)
	r := f.read()
	f.pair(2)
	if serial := r.serial(reloadInterval - time.Nanosecond); serial != 1 {
		t.Error("they are read too early")
	}
	if serial := r.serial(time.Nanosecond); serial != 2 {
		t.Error("they are read too late")
	}
	f.pair(3)
	if serial := r.serial(reloadInterval - time.Nanosecond); serial != 2 {
		t.Error("they are read again too early")
	}
}

func TestHandshakesDuringAChangeHaveOneOrTheOther(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
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
					t.Errorf("number %d comes after %d", serial, last)
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

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package clients_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// checkOwnerStays checks that an edit by root leaves a file to its owner.
func checkOwnerStays(t *testing.T, path string) {
	t.Helper()
	const user, group = 12345, 23456
	if err := os.Chown(path, user, group); err != nil {
		t.Fatal(err)
	}
	if err := clients.Add(path, client("of-another")); err != nil {
		t.Fatal(err)
	}
	if err := clients.Revoke(path, "of-another"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != user || owner.Gid != group {
		t.Errorf("the owner is %d:%d", owner.Uid, owner.Gid)
	}
}

package process

import (
	"os"
	"testing"
)

func TestParseStat_AcceptsAnyName(t *testing.T) {
	const rest = " S 17 42 42 0 -1 4194560 1 2 3 4 250 50 70 80 20 0 1 0 12345\n"
	for _, name := range []string{"nginx", "nginx: worker", "a) b (c", ") S 1 2", ""} {
		got, err := parseStat([]byte("42 (" + name + ")" + rest))
		if want := (stat{pid: 42, parent: 17, ticks: 300}); err != nil || got != want {
			t.Errorf("process name %q: got %+v and %v, want %+v", name, got, err, want)
		}
	}
}

func TestParseStat_RejectsInvalidInput(t *testing.T) {
	for _, text := range []string{"", "42", "42 (a", "42 (a) S 17", "x (a) S 17 42 42 0 -1 0 1 2 3 4 250 50", "42 (a) S 17 42 42 0 -1 0 1 2 3 4 x 50"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q was parsed as %+v", text, got)
		}
	}
}

func TestParseStat_ParsesCurrentProcess(t *testing.T) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skipf("requires Linux: %v", err)
	}
	got, err := parseStat(text)
	if err != nil || got.pid != os.Getpid() || got.parent != os.Getppid() {
		t.Errorf("got %+v and %v, want process %d of parent %d", got, err, os.Getpid(), os.Getppid())
	}
}

func TestParsePSS_ReturnsBytes(t *testing.T) {
	const rollup = "00400000-7ffd0000 ---p 00000000 00:00 0    [rollup]\nRss:      2048 kB\nPss:      1024 kB\nPss_Dirty: 7 kB\n"
	if got, err := parsePSS([]byte(rollup)); err != nil || got != 1<<20 {
		t.Errorf("got %d and %v, want 1 MiB", got, err)
	}
	for _, text := range []string{"", "Rss: 1 kB\n", "Pss: 1 MB\n", "Pss: x kB\n"} {
		if _, err := parsePSS([]byte(text)); err == nil {
			t.Errorf("%q was parsed", text)
		}
	}
}

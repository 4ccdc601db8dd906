package clients

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long a file that changes is left alone, as whoever writes it may
	// not be done, and busy how long at most.
	quiet = 100 * time.Millisecond
	busy  = time.Second

	// regularly is how often the file is looked at though nothing told of a change.
	regularly = time.Minute

	// maxLinks bounds the symbolic links on the way to a file.
	maxLinks = 40
)

// watcher calls a function when a file may have changed, and regularly. The function
// calls what it is given first, and must not block.
type watcher struct {
	file   string
	look   func(changed bool, prepare func())
	logger *slog.Logger
	notify *fsnotify.Watcher // nil if the system has none to give
	trail  atomic.Pointer[[]string]

	following sync.Mutex // held while the trail is followed, which may block

	done    chan struct{}
	running sync.WaitGroup
}

// watch returns a watcher, which begins when it is started, with what has happened
// since the call. With an error it looks regularly alone.
func watch(file string, look func(changed bool, prepare func()), logger *slog.Logger) (*watcher, error) {
	w := &watcher{file: file, look: look, logger: logger, done: make(chan struct{})}
	w.trail.Store(new([]string))
	absolute, err := filepath.Abs(file)
	if err != nil {
		return w, err
	}
	w.file = absolute
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		w.notify = nil
		return w, err
	}
	return w, w.follow()
}

func (w *watcher) start() { w.running.Go(w.run) }

// close ends the watcher, and waits until it has ended.
func (w *watcher) close() error {
	close(w.done)
	w.running.Wait()
	if w.notify == nil {
		return nil
	}
	return w.notify.Close()
}

func (w *watcher) run() {
	var (
		events   <-chan fsnotify.Event
		failures <-chan error
		pending  time.Time // since when there has been a change to look at
	)
	if w.notify != nil {
		events, failures = w.notify.Events, w.notify.Errors
	}
	ticker := time.NewTicker(regularly)
	defer ticker.Stop()
	timer := time.NewTimer(0)
	timer.Stop()
	for {
		changed := true
		select {
		case <-w.done:
			timer.Stop()
			return
		case event := <-events:
			if !slices.Contains(*w.trail.Load(), event.Name) {
				continue
			}
			now := time.Now()
			if pending.IsZero() {
				pending = now
			}
			timer.Reset(min(quiet, max(0, busy-now.Sub(pending))))
			continue
		case err := <-failures:
			// Such as that events came faster than they were taken.
			w.logger.Warn("a change of the file of tokens may have been missed", "file", w.file, "error", err)
		case <-timer.C:
		case <-ticker.C:
			changed = !pending.IsZero()
		}
		pending = time.Time{}
		w.look(changed, w.prepare)
	}
}

// prepare follows the file where it leads now.
func (w *watcher) prepare() {
	if w.notify == nil || !w.following.TryLock() {
		return
	}
	defer w.following.Unlock()
	if err := w.follow(); err != nil {
		w.logger.Debug("the file of tokens can't be watched", "file", w.file, "error", err)
	}
}

// follow watches the folders of all that leads to the file. Folders are watched,
// and not the file, which may be another one after a rename.
func (w *watcher) follow() error {
	trail := trailOf(w.file)
	w.trail.Store(&trail)
	folders := make([]string, 0, len(trail))
	for _, path := range trail {
		folders = append(folders, filepath.Dir(path))
	}
	for _, watched := range w.notify.WatchList() {
		if !slices.Contains(folders, watched) {
			_ = w.notify.Remove(watched) // It may be gone already.
		}
	}
	for _, folder := range folders {
		if err := w.notify.Add(folder); err != nil {
			return err
		}
	}
	return nil
}

// trailOf returns an absolute path's symbolic links, of which each is one to
// follow, and at the end the file, all of them free of links above.
func trailOf(path string) []string {
	var trail []string
	separator := string(filepath.Separator)
	root := filepath.VolumeName(path) + separator
	at, rest := root, strings.Split(strings.TrimPrefix(path, root), separator)
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		if err != nil || len(trail) == maxLinks {
			at = next
			continue
		}
		trail = append(trail, next)
		if filepath.IsAbs(target) {
			at = filepath.VolumeName(target) + separator
			target = strings.TrimPrefix(target, at)
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return append(trail, at)
}

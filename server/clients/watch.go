package clients

import (
	"os"
	"time"
)

const (
	// pollInterval is how often the file is checked for changes. A changed file is
	// reloaded when it has not changed for an interval, as its writer may not be done, or
	// after maxDelay.
	pollInterval = 200 * time.Millisecond
	maxDelay     = time.Second

	// reloadInterval is how often the file is reloaded without a change.
	reloadInterval = time.Minute
)

// fileState changes when a file does.
type fileState struct {
	info    os.FileInfo // nil if the file is not accessible
	settled bool        // the last change is older than the resolution of timestamps
}

// stat returns the state of a file. It follows symbolic links. It may block on a lost
// network mount.
func stat(file string) fileState {
	info, err := os.Stat(file)
	if err != nil {
		return fileState{}
	}
	return fileState{info, time.Since(info.ModTime()) > pollInterval/2}
}

func (f fileState) equal(other fileState) bool {
	if f.info == nil || other.info == nil {
		return f.info == other.info
	}
	return f.settled == other.settled && os.SameFile(f.info, other.info) &&
		f.info.Size() == other.info.Size() && f.info.ModTime().Equal(other.info.ModTime())
}

// poll reloads the file when it changes. Polling also works on network file systems and
// follows symbolic links, unlike notifications of the kernel.
func (s *Store) poll(loaded fileState) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	last, changed := loaded, time.Time{}
	for {
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
		now := stat(s.file)
		switch {
		case now.equal(loaded):
			changed = time.Time{}
		case changed.IsZero():
			changed = time.Now()
		}
		if !changed.IsZero() && (now.equal(last) || time.Since(changed) >= maxDelay) {
			loaded, changed = now, time.Time{}
			s.start(false)
		}
		last = now
	}
}

// reloadRegularly reloads the file at intervals, unless a read blocks.
func (s *Store) reloadRegularly() {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		blocked := s.reading > 0
		s.mu.Unlock()
		if !blocked {
			s.start(false)
		}
	}
}

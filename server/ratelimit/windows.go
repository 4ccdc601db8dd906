package ratelimit

import "time"

// windows are those that are open, and some that are over. The zero value is
// ready for use; it is not safe for concurrent use.
type windows struct {
	open    map[windowID]*window
	sweepAt int // how many there may be before those that are over are forgotten
}

// windowID says what a window counts.
type windowID struct {
	scope string
	kind  Kind
}

// window counts until it is over. What comes behind count is of [Shared] alone.
type window struct {
	end   time.Time
	count int64

	// confirmed says that end is the store's, and used is what the store has
	// counted in the window at least.
	confirmed bool
	used      int64
	// alone says that the store has forgotten what was counted in this window, so
	// that this instance may not count more in it than its share.
	alone bool
	// unshared is what was counted while the store was away, and is yet to be told.
	unshared int64
}

// fewWindows is how many may stay behind once they are over.
const fewWindows = 64

// at returns the window that a limit counts in, and whether it begins now, as the
// one before it is over.
func (w *windows) at(c counter, now time.Time) (open *window, begun bool) {
	id := windowID{c.scope, c.kind}
	if open, ok := w.open[id]; ok && now.Before(open.end) {
		return open, false
	}
	return w.begin(id, now.Add(c.kind.length()), now), true
}

// begin has a window begin in place of the one before it. From time to time it
// forgets all that are over, so that there are never more than twice as many as
// were open at a time, and a few.
func (w *windows) begin(id windowID, end, now time.Time) *window {
	if len(w.open) >= w.sweepAt {
		for id, old := range w.open {
			if !now.Before(old.end) {
				delete(w.open, id)
			}
		}
		w.sweepAt = max(fewWindows, 2*len(w.open))
	}
	if w.open == nil {
		w.open = make(map[windowID]*window)
	}
	begun := &window{end: end}
	w.open[id] = begun
	return begun
}

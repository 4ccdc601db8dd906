package telemetry

import (
	"sync"
	"unicode/utf8"
)

const (
	// maxModels bounds how many models the metrics tell apart.
	maxModels = 200
	// maxModelName bounds the name of one of them, in bytes.
	maxModelName = 128
	// otherModel is every model that is one too many.
	otherModel = "other"
)

// bounded is a set of the names that came first.
type bounded struct {
	mu    sync.RWMutex
	names map[string]struct{} // guarded by mu
}

// bound returns a name if it is in the set, or there is room for it, and "other"
// if not, or if it is no name: some upstreams answer by whatever name they were asked
// for, be it a key.
func (b *bounded) bound(name string) string {
	b.mu.RLock()
	_, known := b.names[name]
	full := len(b.names) >= maxModels
	b.mu.RUnlock()
	switch {
	case known:
		return name
	case full || len(name) > maxModelName || !utf8.ValidString(name) || keyLike.MatchString(name):
		return otherModel
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.names[name]; !known && len(b.names) >= maxModels {
		return otherModel
	}
	if b.names == nil {
		b.names = make(map[string]struct{})
	}
	b.names[name] = struct{}{}
	return name
}

package telemetry

import (
	"sync"
	"unicode/utf8"
)

const (
	// maxModels is the maximum number of models with their own label value.
	maxModels = 200
	// maxModelName is the maximum size of a model's name in bytes.
	maxModelName = 128
	// otherModel is the label value of all further models.
	otherModel = "other"
)

// labelSet is a bounded set of label values.
type labelSet struct {
	mu    sync.RWMutex
	names map[string]struct{} // guarded by mu
}

// value returns name if it is in the set or there is room for it, and "other" otherwise. It
// also returns "other" for names that look like a key: some upstreams return any requested
// name.
func (s *labelSet) value(name string) string {
	s.mu.RLock()
	_, known := s.names[name]
	full := len(s.names) >= maxModels
	s.mu.RUnlock()
	switch {
	case known:
		return name
	case full || len(name) > maxModelName || !utf8.ValidString(name) || keyPattern.MatchString(name):
		return otherModel
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.names[name]; !known && len(s.names) >= maxModels {
		return otherModel
	}
	if s.names == nil {
		s.names = make(map[string]struct{})
	}
	s.names[name] = struct{}{}
	return name
}

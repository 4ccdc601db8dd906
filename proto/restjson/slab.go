package restjson

import (
	"strings"
	"unsafe"
)

// slab allocates small values in batches, to save allocations. A value in use keeps its
// whole batch in memory.
type slab[T any] struct {
	free []T
}

// slabSize is the size of a batch in bytes.
const slabSize = 64

// next returns a new zero value.
func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.free = make([]T, slabSize/unsafe.Sizeof(*new(T)))
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

// stringSlab allocates short strings in batches. A string in use keeps its whole batch in
// memory.
type stringSlab struct {
	data strings.Builder
}

const (
	// stringSlabSize is the size of a batch in bytes.
	stringSlabSize = 128
	// maxShort is the maximum length of a string in a batch, such as an ID, a model or a
	// token.
	maxShort = 64
)

// string returns a copy of b as a string.
func (s *stringSlab) string(b []byte) string {
	if len(b) > maxShort {
		return string(b)
	}
	if len(b) > s.data.Cap()-s.data.Len() {
		s.data.Reset()
		s.data.Grow(stringSlabSize)
	}
	start := s.data.Len()
	s.data.Write(b)
	return s.data.String()[start:]
}

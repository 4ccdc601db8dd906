package restjson

import (
	"strings"
	"unsafe"
)

// slab allocates small values, several at once. Each keeps the others alive.
type slab[T any] struct {
	free []T
}

// slabSize is the size of the allocations of a slab in bytes.
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

// stringSlab allocates short strings, several at once. Each keeps the others alive.
type stringSlab struct {
	data strings.Builder
}

const (
	// stringSlabSize is the size of the allocations of a stringSlab in bytes.
	stringSlabSize = 128
	// maxShort is the maximum length of a short string: an ID, a model, a token.
	maxShort = 64
)

// string returns b as a string.
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

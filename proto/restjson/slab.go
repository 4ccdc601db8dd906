package restjson

import (
	"strings"
	"unsafe"
)

// slab allocates small values, some at a time. Each keeps the other ones alive.
type slab[T any] struct {
	free []T
}

// slabSize is how many bytes a slab allocates at a time.
const slabSize = 64

// next returns a zero value that was not handed out before.
func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.free = make([]T, slabSize/unsafe.Sizeof(*new(T)))
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

// textSlab allocates short strings, some at a time. Each keeps the other ones
// alive.
type textSlab struct {
	texts strings.Builder
}

const (
	// textSlabSize is how many bytes a textSlab allocates at a time.
	textSlabSize = 128
	// maxShort bounds what counts as a short string: an id, a model, a token.
	maxShort = 64
)

// text is the string of these bytes.
func (s *textSlab) text(text []byte) string {
	if len(text) > maxShort {
		return string(text)
	}
	if len(text) > s.texts.Cap()-s.texts.Len() {
		s.texts.Reset()
		s.texts.Grow(textSlabSize)
	}
	start := s.texts.Len()
	s.texts.Write(text)
	return s.texts.String()[start:]
}

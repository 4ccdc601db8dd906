package restjson

// slab allocates small values four at a time. Each keeps the other ones alive.
type slab[T any] struct {
	free []T
}

// next returns a zero value that was not handed out before.
func (s *slab[T]) next() *T {
	if len(s.free) == 0 {
		s.free = make([]T, 4)
	}
	v := &s.free[0]
	s.free = s.free[1:]
	return v
}

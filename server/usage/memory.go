package usage

import "bytes"

// maxRemembered bounds, in bytes, what is remembered of a text.
const maxRemembered = 256

// memory is how a text began, up to its first member of roleText, and where that
// leads a scanner. The events of a chat's stream all begin the same, with three
// quarters of what they are, which need not be read again.
type memory struct {
	head   []byte
	place  place
	models int
	echoes bool
	last   bool

	learning bool // the text under way began with the piece that is being read
}

// recall reads the beginning of p as far as it is known, and returns how far. A
// text that begins otherwise is learned.
func (s *scanner) recall(p []byte) int {
	m := s.memory
	if m == nil || s.depth > 0 || s.expect != expectValue {
		return 0
	}
	if len(m.head) == 0 || !bytes.HasPrefix(p, m.head) {
		m.learning = true
		return 0
	}
	// The model that the head may name was told before.
	s.place, s.models, s.echoes, s.last = m.place, m.models, m.echoes, m.last
	return len(m.head)
}

// remember is given how the text under way began.
func (s *scanner) remember(head []byte) {
	m := s.memory
	if m == nil || !m.learning {
		return
	}
	m.learning = false
	if len(head) <= maxRemembered {
		m.head = append(m.head[:0], head...)
		m.place, m.models, m.echoes, m.last = s.place, s.models, s.echoes, s.last
	}
}

// rest is told that what comes can't be remembered: it has no beginning any more,
// or a beginning that says more than where it leads.
func (m *memory) rest() {
	if m != nil {
		m.learning = false
	}
}

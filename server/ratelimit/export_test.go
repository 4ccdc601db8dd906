package ratelimit

// Die ends an instance as a crash does: the store isn't told.
func (s *Shared) Die() {
	s.ledger.mu.Lock()
	s.ledger.down = true
	s.ledger.spell++
	s.ledger.mu.Unlock()
	_ = s.Close()
}

// Beat has the next beat come at once.
func (s *Shared) Beat() { s.wake() }

package ratelimit

// Die ends an instance as a crash does, without telling Redis.
func (s *Shared) Die() {
	s.up.Store(false)
	_ = s.Close()
}

// Sync sends a heartbeat at once.
func (s *Shared) Sync() {
	if err := s.sync(); err != nil {
		s.markDown(err)
	}
}

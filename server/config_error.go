package server

// ConfigError reports a field of [Config] whose value is invalid, alone or together
// with others.
type ConfigError struct {
	Field string // of Config
	Err   error
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

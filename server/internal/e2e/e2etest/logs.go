package e2etest

// LogRecords takes a log, a line at a time.
type LogRecords chan string

func (l LogRecords) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

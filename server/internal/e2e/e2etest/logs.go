package e2etest

// LogRecords is a log writer that sends each line to the channel.
type LogRecords chan string

func (l LogRecords) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

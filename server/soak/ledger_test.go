package soak_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxUnexpected is how many surprises are kept word for word.
const maxUnexpected = 20

// ledger accounts for every request that was sent.
type ledger struct {
	mu         sync.Mutex
	sent       int
	outcomes   map[string]int // by kind of traffic and reason
	surprises  int
	unexpected []string // the first of them
}

// begin notes that a request is sent.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
}

// end notes what became of a request: "ok", or the reason of its failure. An error
// says that this is none to be expected.
func (l *ledger) end(kind, reason string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outcomes == nil {
		l.outcomes = make(map[string]int)
	}
	if err != nil {
		reason = "UNEXPECTED"
		if l.surprises++; len(l.unexpected) < maxUnexpected {
			l.unexpected = append(l.unexpected, fmt.Sprintf("%s: %v", kind, err))
		}
	}
	l.outcomes[kind+": "+reason]++
}

// totals returns how many requests were sent, succeeded and failed.
func (l *ledger) totals() (sent, succeeded, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for outcome, n := range l.outcomes {
		if strings.HasSuffix(outcome, ": ok") {
			succeeded += n
		} else {
			failed += n
		}
	}
	return l.sent, succeeded, failed
}

// report is the table of what became of the requests.
func (l *ledger) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, outcome := range slices.Sorted(maps.Keys(l.outcomes)) {
		fmt.Fprintf(&text, "%9d  %s\n", l.outcomes[outcome], outcome)
	}
	return text.String()
}

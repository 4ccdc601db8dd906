package soak_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxUnexpected is the number of unexpected outcomes recorded verbatim.
const maxUnexpected = 20

// ledger accounts for every request that was sent.
type ledger struct {
	mu         sync.Mutex
	sent       int
	outcomes   map[string]int // by kind of traffic and reason
	surprises  int
	unexpected []string // the first ones

	names  int
	unseen map[string]bool // names of requests that no server has logged
}

const namePrefix = "may-not-arrive-"

// loggedName matches the name of a request in a JSON log record.
var loggedName = regexp.MustCompile(`"id":"(` + namePrefix + `\d+)"`)

// begin records that a request is sent.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
}

// end records the outcome of a request: "ok", or the reason of its failure. A non-nil
// error marks the outcome as unexpected.
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

// totals returns the numbers of requests that were sent, succeeded, and failed.
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

// name returns a name for a request whose client may disconnect before a server
// receives it.
func (l *ledger) name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unseen == nil {
		l.unseen = make(map[string]bool)
	}
	l.names++
	name := fmt.Sprintf("%s%d", namePrefix, l.names)
	l.unseen[name] = true
	return name
}

// see records the names of requests in a log.
func (l *ledger) see(log string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, match := range loggedName.FindAllStringSubmatch(log, -1) {
		delete(l.unseen, match[1])
	}
}

// arrived returns how many requests the servers have received.
func (l *ledger) arrived() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent - len(l.unseen)
}

// report returns a table of the outcomes.
func (l *ledger) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, outcome := range slices.Sorted(maps.Keys(l.outcomes)) {
		fmt.Fprintf(&text, "%9d  %s\n", l.outcomes[outcome], outcome)
	}
	return text.String()
}

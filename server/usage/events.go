package usage

import "bytes"

// lines splits an event stream into the data of its events, in pieces of any size
// and in constant memory, by the grammar of the WHATWG HTML standard §9.2:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
//
// It is package sse the other way round: told what came, where that one asks.
type lines struct {
	data func(piece []byte) // is given the data of an event, as it comes
	end  func()             // is told that the event is over

	state   lineState
	matched uint8 // how much of the byte order mark, or of "data:", came
	began   bool  // past where a byte order mark may stand
	afterCR bool  // the line before ended with CR: an LF here belongs to it
	inEvent bool  // the event has a line of data
}

type lineState uint8

const (
	lineStart lineState = iota // up to "data:"
	lineSpace                  // where one space is no data
	lineData
	lineOther // to be passed over
)

const (
	byteOrderMark = "\ufeff"
	dataField     = "data:"
)

// write reads the next piece.
func (l *lines) write(p []byte) {
	if !l.began {
		p = l.skipMark(p)
	}
	feed := -1 // where in p the next LF is, if that is known
	for at := 0; at < len(p); {
		if feed < at {
			if feed = bytes.IndexByte(p[at:], '\n'); feed < 0 {
				feed = len(p)
			} else {
				feed += at
			}
		}
		if l.afterCR {
			l.afterCR = false
			if p[at] == '\n' {
				at++
				continue
			}
		}
		stop := feed
		if cr := bytes.IndexByte(p[at:feed], '\r'); cr >= 0 {
			stop = at + cr
			l.afterCR = true
		}
		l.part(p[at:stop])
		if stop < len(p) {
			l.endLine()
		}
		at = stop + 1
	}
}

// skipMark passes over a byte order mark at the very beginning. What begins like
// one and isn't is the beginning of a field that nobody knows.
func (l *lines) skipMark(p []byte) []byte {
	for i, c := range p {
		if c != byteOrderMark[l.matched] {
			l.began = true
			if l.matched > 0 {
				l.state = lineOther
			}
			l.matched = 0
			return p[i:]
		}
		if l.matched++; int(l.matched) == len(byteOrderMark) {
			l.began, l.matched = true, 0
			return p[i+1:]
		}
	}
	return nil
}

// part reads a part of a line.
func (l *lines) part(p []byte) {
	if l.state == lineStart {
		n := 0
		for n < len(p) && int(l.matched) < len(dataField) && p[n] == dataField[l.matched] {
			n++
			l.matched++
		}
		p = p[n:]
		switch {
		case int(l.matched) == len(dataField):
			l.state = lineSpace
			l.beginData()
		case len(p) > 0:
			l.state = lineOther
		}
	}
	if l.state == lineSpace && len(p) > 0 {
		l.state = lineData
		if p[0] == ' ' {
			p = p[1:]
		}
	}
	if l.state == lineData && len(p) > 0 {
		l.data(p)
	}
}

// beginData begins a line of data. Several are joined by LF.
func (l *lines) beginData() {
	if l.inEvent {
		l.data(newline)
	}
	l.inEvent = true
}

var newline = []byte("\n")

func (l *lines) endLine() {
	switch {
	case l.state != lineStart:
	case int(l.matched) == len(dataField)-1: // a field without a colon
		l.beginData()
	case l.matched == 0 && l.inEvent:
		l.inEvent = false
		l.end()
	}
	l.state, l.matched = lineStart, 0
}

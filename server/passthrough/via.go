package passthrough

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const (
	// product is this server's name in the Via field of responses (RFC 9110
	// §7.6.3), and the beginning of it in that of requests.
	product = "openai-connect"

	// maxHops is how many servers of this kind a request may pass.
	maxHops = 16
)

// newPseudonym returns a name for the Via field of requests, by which a server
// knows its own from those of others: a chain of them is in order, and a loop is
// not.
func newPseudonym() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // It never fails.
	return product + "-" + hex.EncodeToString(id[:])
}

// loops reports whether a request has passed the server of a pseudonym before, or
// so many others that it must be in a loop that hides this.
func loops(header http.Header, pseudonym string) bool {
	hops := 0
	for _, value := range header["Via"] {
		for member := range strings.SplitSeq(value, ",") {
			words := strings.Fields(member) // protocol, name, comments
			switch {
			case len(words) < 2:
			case words[1] == pseudonym:
				return true
			case words[1] == product || strings.HasPrefix(words[1], product+"-"):
				hops++
			}
		}
	}
	return hops >= maxHops
}

// names are a server's entries in the Via field, by the version of HTTP that it
// received a message in. They are made once, as nearly every message gets one.
type names struct{ http10, http11, http2 []string }

func newNames(name string) names {
	return names{[]string{"1.0 " + name}, []string{"1.1 " + name}, []string{"2 " + name}}
}

// add names the server in header, on a message that was received in the given
// version of HTTP. It leaves the values alone that are there: they belong to the
// message received.
func (n *names) add(header http.Header, major, minor int) {
	entry := n.http11
	switch {
	case major >= 2:
		entry = n.http2
	case minor == 0:
		entry = n.http10
	}
	if values, ok := header["Via"]; ok {
		entry = slices.Concat(values, entry)
	}
	header["Via"] = entry
}

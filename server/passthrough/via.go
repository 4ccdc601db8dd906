package passthrough

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const (
	// product is this server's name in the Via header of responses (RFC 9110 §7.6.3), and
	// the prefix of its name in requests.
	product = "openai-connect"

	// maxHops is the number of servers of this kind that a request may pass.
	maxHops = 16
)

// newPseudonym returns a random name for the Via header of requests, by which a server
// recognizes its own requests: a chain of servers is allowed, a loop is not.
func newPseudonym() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return product + "-" + hex.EncodeToString(id[:])
}

// isLoop reports whether a request has passed the server with this pseudonym before, or so
// many others that it must be in a loop.
func isLoop(header http.Header, pseudonym string) bool {
	hops := 0
	for _, value := range header["Via"] {
		for member := range strings.SplitSeq(value, ",") {
			parts := strings.Fields(member) // protocol, name, comments
			switch {
			case len(parts) < 2:
			case parts[1] == pseudonym:
				return true
			case parts[1] == product || strings.HasPrefix(parts[1], product+"-"):
				hops++
			}
		}
	}
	return hops >= maxHops
}

// viaEntries are the entries of a server in the Via header, one for each version of HTTP.
// They are created once, because nearly every message needs one.
type viaEntries struct{ http10, http11, http2 []string }

func newViaEntries(name string) viaEntries {
	return viaEntries{[]string{"1.0 " + name}, []string{"1.1 " + name}, []string{"2 " + name}}
}

// add adds the server to the Via header of a message that was received with the given version
// of HTTP. It doesn't modify existing values, which belong to the received message.
func (v *viaEntries) add(header http.Header, major, minor int) {
	entry := v.http11
	switch {
	case major >= 2:
		entry = v.http2
	case minor == 0:
		entry = v.http10
	}
	if values, ok := header["Via"]; ok {
		entry = slices.Concat(values, entry)
	}
	header["Via"] = entry
}

package telemetry

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/openai-connect/openai-connect/server/secret"
)

// redacted stands in for what may be a key.
const redacted = "[redacted]"

// keyLike is what a key looks like: OpenAI's, this server's own and those of other
// vendors by how they begin, those that are sent as an authorization, and members of JSON that are
// called like one.
var keyLike = regexp.MustCompile(
	`\b(?:sk|oc|pk|rk|sess)-[A-Za-z0-9_-]{6,}` +
		`|\bek_[A-Za-z0-9_-]{6,}` +
		`|\b(?:gsk_|hf_|xai-|pplx-|nvapi-)[A-Za-z0-9_-]{20,}` +
		`|(?i:\b(?:bearer|basic)(?:\s|%20|\+)+)[A-Za-z0-9._~+/=-]{6,}` +
		`|(?i:"(?:[a-z_-]*(?:api[-_]?key|password|secret|_token|authorization))"\s*:\s*)"(?:[^"\\]|\\.)*"`,
)

// keySigns are characters of which each match of keyLike has one.
const keySigns = "-_\"+% \t\n\f\r"

// Redact returns a text without secrets, and without what looks like a key.
func Redact(text string, secrets []secret.Secret) string { return redaction(secrets).text(text) }

// redactor takes out of texts what may be a key.
type redactor struct {
	secrets func() []secret.Secret // that are known; may be nil
}

// text is [redaction.text] of one text.
func (r *redactor) text(text string, others ...string) string {
	if text == "" {
		return ""
	}
	return r.now().text(text, others...)
}

// now returns what the server knows at the moment, for several texts.
func (r *redactor) now() redaction {
	if r.secrets == nil {
		return nil
	}
	return r.secrets()
}

// redaction has the secrets to take out of a text.
type redaction []secret.Secret

// text returns a text without what looks like a key, the secrets that the
// server knows, and others. In a text that is escaped as URLs are, what it stands
// for is looked at too: if that shows one, it comes back as it stands for.
func (r redaction) text(text string, others ...string) string {
	if text == "" {
		return ""
	}
	text = r.known(text, others)
	plain, found := text, false
	for range maxEscapes {
		if strings.IndexByte(plain, '%') < 0 {
			break
		}
		plain = unescape(plain)
		clean := r.known(plain, others)
		plain, found = clean, found || clean != plain
	}
	if clean := withoutKeys(plain); found || clean != plain {
		return clean
	}
	return withoutKeys(text)
}

// maxEscapes is how often an escaped text is escaped again.
const maxEscapes = 3

// unescape replaces what is escaped in a text by what it stands for (RFC 3986 §2.1),
// and leaves the rest unchanged.
func unescape(text string) string {
	var plain strings.Builder
	plain.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				plain.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		plain.WriteByte(text[i])
	}
	return plain.String()
}

// known returns a text without the secrets that are known.
func (r redaction) known(text string, others []string) string {
	for _, secret := range r {
		if !secret.IsZero() {
			text = strings.ReplaceAll(text, secret.Reveal(), redacted)
		}
	}
	for _, other := range others {
		if other != "" {
			text = strings.ReplaceAll(text, other, redacted)
		}
	}
	return text
}

// withoutKeys returns a text without what looks like a key.
func withoutKeys(text string) string {
	if !strings.ContainsAny(text, keySigns) { // as most names and paths
		return text
	}
	return keyLike.ReplaceAllString(text, redacted)
}

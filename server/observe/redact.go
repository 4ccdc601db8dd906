package observe

import (
	"regexp"
	"strings"

	"github.com/openai-connect/openai-connect/server/access"
)

// redacted stands in for what may be a key.
const redacted = "[redacted]"

// keyLike is what a key looks like: OpenAI's and this server's own by how they
// begin, those that are sent as an authorization, and members of JSON that are
// called like one.
var keyLike = regexp.MustCompile(
	`\b(?:sk|oc|pk|rk|sess)-[A-Za-z0-9_-]{6,}` +
		`|\bek_[A-Za-z0-9_-]{6,}` +
		`|(?i:\b(?:bearer|basic)(?:\s|%20|\+)+)[A-Za-z0-9._~+/=-]{6,}` +
		`|(?i:"(?:[a-z_-]*(?:api[-_]?key|password|secret|_token|authorization))"\s*:\s*)"(?:[^"\\]|\\.)*"`,
)

// keySigns are characters of which each match of keyLike has one.
const keySigns = "-_\"+% \t\n\f\r"

// redactor takes out of texts what may be a key.
type redactor struct {
	secrets func() []access.Secret // that are known; may be nil
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
type redaction []access.Secret

// text returns a text without what looks like a key, the secrets that the
// server knows, and others.
func (r redaction) text(text string, others ...string) string {
	if text == "" {
		return ""
	}
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
	if !strings.ContainsAny(text, keySigns) { // as most names and paths
		return text
	}
	return keyLike.ReplaceAllString(text, redacted)
}

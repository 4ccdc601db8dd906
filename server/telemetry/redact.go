package telemetry

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/openai-connect/openai-connect/server/secret"
)

// redacted replaces possible keys.
const redacted = "[redacted]"

// keyLike matches strings that look like a key: by the prefixes of OpenAI, of this server
// and of other vendors, as authorization, and by the name of a JSON field.
var keyLike = regexp.MustCompile(
	`\b(?:sk|oc|pk|rk|sess)-[A-Za-z0-9_-]{6,}` +
		`|\bek_[A-Za-z0-9_-]{6,}` +
		`|\b(?:gsk_|hf_|xai-|pplx-|nvapi-)[A-Za-z0-9_-]{20,}` +
		`|(?i:\b(?:bearer|basic)(?:\s|%20|\+)+)[A-Za-z0-9._~+/=-]{6,}` +
		`|(?i:"(?:[a-z_-]*(?:api[-_]?key|password|secret|_token|authorization))"\s*:\s*)"(?:[^"\\]|\\.)*"`,
)

// keySigns are characters of which each match of keyLike contains at least one.
const keySigns = "-_\"+% \t\n\f\r"

// Redact returns a string without the given secrets and without strings that look like a
// key.
func Redact(text string, secrets []secret.Secret) string { return redaction(secrets).text(text) }

// redactor removes possible keys from strings.
type redactor struct {
	secrets func() []secret.Secret // that are known; may be nil
}

// text is [redaction.text] for one string.
func (r *redactor) text(text string, others ...string) string {
	if text == "" {
		return ""
	}
	return r.now().text(text, others...)
}

// now returns the current secrets, for several strings.
func (r *redactor) now() redaction {
	if r.secrets == nil {
		return nil
	}
	return r.secrets()
}

// redaction is the list of secrets to remove.
type redaction []secret.Secret

// text returns a string without strings that look like a key, the secrets of the server,
// and others. It also looks for them in a URL-escaped string after unescaping, and returns
// the unescaped form if it finds one.
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

// maxEscapes is the maximum number of nested escapings that are undone.
const maxEscapes = 3

// unescape undoes URL escaping (RFC 3986 §2.1). It leaves invalid escapes unchanged.
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

// known returns a string without known secrets.
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

// withoutKeys returns a string without strings that look like a key.
func withoutKeys(text string) string {
	if !strings.ContainsAny(text, keySigns) { // as most names and paths
		return text
	}
	return keyLike.ReplaceAllString(text, redacted)
}

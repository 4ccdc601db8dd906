package telemetry

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/openai-connect/openai-connect/server/secret"
)

// redacted replaces secrets and strings that look like keys.
const redacted = "[redacted]"

// keyPattern matches strings that look like API keys: strings with a key prefix of OpenAI,
// this server or another vendor, Authorization values, and JSON fields whose name suggests
// a secret.
var keyPattern = regexp.MustCompile(
	`\b(?:sk|oc|pk|rk|sess)-[A-Za-z0-9_-]{6,}` +
		`|\bek_[A-Za-z0-9_-]{6,}` +
		`|\b(?:gsk_|hf_|xai-|pplx-|nvapi-)[A-Za-z0-9_-]{20,}` +
		`|(?i:\b(?:bearer|basic)(?:\s|%20|\+)+)[A-Za-z0-9._~+/=-]{6,}` +
		`|(?i:"(?:[a-z_-]*(?:api[-_]?key|password|secret|_token|authorization))"\s*:\s*)"(?:[^"\\]|\\.)*"`,
)

// keyChars is a set of characters. Every match of keyPattern contains at least one of them.
const keyChars = "-_\"+% \t\n\f\r"

// Redact returns text with the given secrets and everything that looks like an API key
// replaced by "[redacted]".
func Redact(text string, secrets []secret.Secret) string { return knownSecrets(secrets).redact(text) }

// redactor redacts the server's secrets, which may change, and strings that look like API
// keys.
type redactor struct {
	secrets func() []secret.Secret // returns the current secrets; may be nil
}

// redact returns text without secrets. See [knownSecrets.redact].
func (r *redactor) redact(text string, others ...string) string {
	if text == "" {
		return ""
	}
	return r.snapshot().redact(text, others...)
}

// snapshot returns the current secrets. Callers that redact several strings take one
// snapshot.
func (r *redactor) snapshot() knownSecrets {
	if r.secrets == nil {
		return nil
	}
	return r.secrets()
}

// knownSecrets is a list of secrets to redact.
type knownSecrets []secret.Secret

// redact returns text with the known secrets, the strings in others and everything that
// looks like an API key replaced. If it finds any of them only after URL-unescaping text, it
// returns the unescaped form.
func (k knownSecrets) redact(text string, others ...string) string {
	if text == "" {
		return ""
	}
	text = k.replaceKnown(text, others)
	unescaped, found := text, false
	for range maxEscapes {
		if strings.IndexByte(unescaped, '%') < 0 {
			break
		}
		unescaped = unescape(unescaped)
		clean := k.replaceKnown(unescaped, others)
		unescaped, found = clean, found || clean != unescaped
	}
	if clean := replaceKeys(unescaped); found || clean != unescaped {
		return clean
	}
	return replaceKeys(text)
}

// maxEscapes is how many times a string is unescaped at most.
const maxEscapes = 3

// unescape decodes percent-encoding (RFC 3986 §2.1). Unlike [net/url.PathUnescape], it
// leaves invalid escapes unchanged.
func unescape(text string) string {
	var decoded strings.Builder
	decoded.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				decoded.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		decoded.WriteByte(text[i])
	}
	return decoded.String()
}

// replaceKnown replaces the known secrets and the strings in others.
func (k knownSecrets) replaceKnown(text string, others []string) string {
	for _, secret := range k {
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

// replaceKeys replaces everything that looks like an API key.
func replaceKeys(text string) string {
	if !strings.ContainsAny(text, keyChars) { // fast path for most names and paths
		return text
	}
	return keyPattern.ReplaceAllString(text, redacted)
}

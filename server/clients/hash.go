package clients

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/openai-connect/openai-connect/server/secret"
)

// Hash is what the file has of a token, "sha256:" and 64 hexadecimal digits: its
// SHA-256. A slow hash with a salt, as passwords need, would gain nothing: a
// token has 256 random bits, which nobody guesses at any speed, and no two are the
// same. So each request can be checked in a microsecond.
type Hash [sha256.Size]byte

const (
	hashPrefix  = "sha256:"
	tokenPrefix = "oc-"
)

// HashOf returns the hash of a token.
func HashKey(token string) Hash { return sha256.Sum256([]byte(token)) }

// Generate returns a new token: "oc-", and 32 random bytes in 43 characters of
// base64url (RFC 4648 §5).
func GenerateKey() secret.Secret {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // It never fails.
	token, err := secret.New(tokenPrefix + base64.RawURLEncoding.EncodeToString(random))
	if err != nil {
		panic(err) // The alphabet is fit for a header.
	}
	return token
}

// String returns the hash as the file has it.
func (h Hash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// parseHash reads a hash. The error shows nothing of the text, which may be a
// token that was put there by mistake.
func parseHash(text string) (Hash, error) {
	digits, found := strings.CutPrefix(text, hashPrefix)
	decoded, err := hex.DecodeString(digits)
	if !found || err != nil || len(decoded) != len(Hash{}) {
		return Hash{}, errors.New(`must be "sha256:" and 64 hexadecimal digits, the SHA-256 of the token:` +
			" `openai-connect clients add` makes both")
	}
	return Hash(decoded), nil
}

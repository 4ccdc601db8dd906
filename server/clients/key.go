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

// Hash is the SHA-256 of an API key. Files have it as "sha256:" and 64 hexadecimal
// digits.
//
// A slow, salted hash, as for passwords, would gain nothing. API keys have 256 random
// bits: nobody can guess one, and no two are the same. A fast hash lets the server check
// each request in a microsecond.
type Hash [sha256.Size]byte

const (
	hashPrefix = "sha256:"
	keyPrefix  = "oc-"
)

// HashKey returns the hash of an API key.
func HashKey(key string) Hash { return sha256.Sum256([]byte(key)) }

// GenerateKey returns a new API key: "oc-" and 32 random bytes in base64url (RFC 4648
// §5).
func GenerateKey() secret.Secret {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	key, err := secret.New(keyPrefix + base64.RawURLEncoding.EncodeToString(random))
	if err != nil {
		panic(err) // base64url is valid in a secret
	}
	return key
}

// String returns the hash as in a file.
func (h Hash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// parseHash parses a hash. The error does not quote the text, which may be an API key by
// mistake.
func parseHash(text string) (Hash, error) {
	digits, found := strings.CutPrefix(text, hashPrefix)
	decoded, err := hex.DecodeString(digits)
	if !found || err != nil || len(decoded) != len(Hash{}) {
		return Hash{}, errors.New(`invalid hash: want "sha256:" and 64 hexadecimal digits; ` +
			"`openai-connect clients add` generates API keys and their hashes")
	}
	return Hash(decoded), nil
}

package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"
)

// RefreshGrace is how long after its first use a refresh token still leads to the same successor: for
// clients that lost the answer, and for many tabs that refresh at once. Later uses end the session.
const RefreshGrace = 10 * time.Second

// refreshPrefix makes refresh tokens recognisable to people and secret scanners.
const refreshPrefix = "cfr_"

const refreshLength = 32 // bytes of a refresh token

// RefreshToken is an opaque secret of 256 bits.
type RefreshToken [refreshLength]byte

// NewRefreshToken makes the first token of a session.
func NewRefreshToken() RefreshToken {
	var t RefreshToken
	rand.Read(t[:])
	return t
}

// ParseRefreshToken reads the text form; only the one spelling that String gives is accepted.
func ParseRefreshToken(text string) (t RefreshToken, ok bool) {
	body, found := strings.CutPrefix(text, refreshPrefix)
	if !found || len(body) != base64.RawURLEncoding.EncodedLen(refreshLength) {
		return t, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(t[:], []byte(body))
	return t, err == nil && n == refreshLength
}

// String is the text a client keeps.
func (t RefreshToken) String() string {
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(t[:])
}

// RefreshKeys are the server's part of refresh tokens, derived from its secret.
type RefreshKeys struct{ digest, successor []byte }

// NewRefreshKeys derives the keys.
func NewRefreshKeys(secret []byte) RefreshKeys {
	return RefreshKeys{digest: Subkey(secret, purposeRefresh), successor: Subkey(secret, purposeSuccessor)}
}

// Digest is what is stored of a token: hex HMAC-SHA-256.
func (k RefreshKeys) Digest(t RefreshToken) string { return hex.EncodeToString(mac(k.digest, t[:])) }

// Successor is the token that follows. It depends on the presented token and the secret alone, so it can be
// given again without being kept.
func (k RefreshKeys) Successor(t RefreshToken) RefreshToken {
	return RefreshToken(mac(k.successor, t[:]))
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

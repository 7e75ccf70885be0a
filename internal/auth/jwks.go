package auth

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// signingKeyBits is ASVS 5.0 11.2.3: at least 128 bits of security.
const signingKeyBits = 3072

// SigningKey is a key pair that signs access tokens from ActiveFrom on, until the next one's ActiveFrom.
type SigningKey struct {
	ID         string // kid: RFC 7638 thumbprint
	Public     *rsa.PublicKey
	CreatedAt  time.Time
	ActiveFrom time.Time

	private *rsa.PrivateKey
}

// NewSigningKey makes a key pair that signs from activeFrom on.
func NewSigningKey(now, activeFrom time.Time) (*SigningKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, signingKeyBits)
	if err != nil {
		return nil, fmt.Errorf("auth: new signing key: %w", err)
	}
	return newSigningKey(private, now, activeFrom), nil
}

func newSigningKey(private *rsa.PrivateKey, now, activeFrom time.Time) *SigningKey {
	return &SigningKey{ID: thumbprint(&private.PublicKey), Public: &private.PublicKey, private: private,
		CreatedAt: now.UTC(), ActiveFrom: activeFrom.UTC()}
}

// thumbprint names a key by RFC 7638: SHA-256 over the required members in lexical order.
func thumbprint(k *rsa.PublicKey) string {
	e, n := publicNumbers(k)
	sum := sha256.Sum256([]byte(`{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func publicNumbers(k *rsa.PublicKey) (e, n string) {
	b64 := base64.RawURLEncoding
	return b64.EncodeToString(big.NewInt(int64(k.E)).Bytes()), b64.EncodeToString(k.N.Bytes())
}

// KeyState is where a signing key is in its life.
type KeyState uint8

// The states, in order. A key is published in all but the last.
const (
	KeyNext     KeyState = iota // published, so that every verifier has it before it signs
	KeyActive                   // signs
	KeyRetiring                 // signs no more; its tokens are still good
	KeyGone                     // no token of it can be valid
)

func (s KeyState) String() string { return [...]string{"next", "active", "retiring", "gone"}[s] }

// Rotation is the plan by which signing keys follow one another. The state of every key is a function of
// the keys' ActiveFrom and the clock, so replicas agree without talking.
type Rotation struct {
	Period  time.Duration // how long a key signs
	Publish time.Duration // how long it is published before: token lifetime + JWKS max-age
	Retire  time.Duration // how long it is accepted after: the longest token lifetime + leeway
}

// MaxTokenTTL bounds the lifetime of access tokens. Keys are retired by it and not by the lifetime in
// force, which may have been longer before a restart.
const MaxTokenTTL = 24 * time.Hour

// JWKSMaxAge is how long others may cache the public keys.
const JWKSMaxAge = 15 * time.Minute

// NewRotation plans for tokens of the given lifetime.
func NewRotation(period, tokenTTL time.Duration) Rotation {
	return Rotation{Period: period, Publish: tokenTTL + JWKSMaxAge, Retire: MaxTokenTTL + time.Minute}
}

// KeySet is the signing keys of a moment, in the order in which they are to sign.
type KeySet struct {
	keys     []*SigningKey
	byID     map[string]*keySpan
	rotation Rotation
}

type keySpan struct {
	key         *SigningKey
	from, until time.Time // signs; until is zero for the last
	gone        time.Time // zero for the last
}

// NewKeySet orders keys by the time they begin to sign.
func NewKeySet(rotation Rotation, keys ...*SigningKey) *KeySet {
	s := &KeySet{rotation: rotation, keys: slices.Clone(keys), byID: make(map[string]*keySpan, len(keys))}
	slices.SortFunc(s.keys, func(a, b *SigningKey) int {
		return cmp.Or(a.ActiveFrom.Compare(b.ActiveFrom), cmp.Compare(a.ID, b.ID))
	})
	for i, k := range s.keys {
		span := &keySpan{key: k, from: k.ActiveFrom}
		if i+1 < len(s.keys) {
			span.until = s.keys[i+1].ActiveFrom
			span.gone = span.until.Add(rotation.Retire)
		}
		s.byID[k.ID] = span
	}
	return s
}

func (p *keySpan) state(now time.Time) KeyState {
	switch {
	case now.Before(p.from):
		return KeyNext
	case p.until.IsZero() || now.Before(p.until):
		return KeyActive
	case now.Before(p.gone):
		return KeyRetiring
	}
	return KeyGone
}

// State is the state of one key of the set; KeyGone for a stranger.
func (s *KeySet) State(id string, now time.Time) KeyState {
	if p := s.byID[id]; p != nil {
		return p.state(now)
	}
	return KeyGone
}

// Gone lists the keys that can be forgotten.
func (s *KeySet) Gone(now time.Time) []*SigningKey {
	return slices.DeleteFunc(slices.Clone(s.keys), func(k *SigningKey) bool { return s.State(k.ID, now) != KeyGone })
}

// NextDue says whether a successor must be made now, and from when it is to sign. There is one successor at
// a time, so a period shorter than Publish is as good as Publish. Without any key one is due at once; nobody
// can hold an older one's tokens.
func (s *KeySet) NextDue(now time.Time) (activeFrom time.Time, due bool) {
	if len(s.keys) == 0 {
		return now, true
	}
	last := s.keys[len(s.keys)-1].ActiveFrom
	end := last.Add(s.rotation.Period)
	if last.After(now) {
		return time.Time{}, false
	}
	if published := now.Add(s.rotation.Publish); !published.Before(end) {
		return published, true
	}
	return time.Time{}, false
}

func (s *KeySet) active(now time.Time) (*SigningKey, error) {
	if s != nil {
		for _, k := range slices.Backward(s.keys) {
			if !now.Before(k.ActiveFrom) {
				return k, nil
			}
		}
		if len(s.keys) > 0 {
			return s.keys[0], nil // a clock that went back; the key is published all the same
		}
	}
	return nil, errors.New("auth: no signing key")
}

// find is a published key.
func (s *KeySet) find(id string, now time.Time) *SigningKey {
	if p := s.byID[id]; p != nil && p.state(now) != KeyGone {
		return p.key
	}
	return nil
}

func (s *KeySet) accepts(k *SigningKey, now time.Time) bool { return s.find(k.ID, now) != nil }

// PublicKeys is a set of public keys on the wire (RFC 7517 section 5).
type PublicKeys struct {
	Keys []PublicKey `json:"keys" doc:"The key that signs now, the next one, and those whose tokens are still good."`
}

// PublicKey is one RSA key on the wire (RFC 7517 section 4, RFC 7518 section 6.3.1).
type PublicKey struct {
	Type      string `json:"kty" enum:"RSA"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"RS256"`
	ID        string `json:"kid" doc:"RFC 7638 thumbprint."`
	N         string `json:"n" doc:"Modulus, base64url."`
	E         string `json:"e" doc:"Exponent, base64url."`
}

// ContentType implements huma.ContentTypeFilter.
func (PublicKeys) ContentType(string) string { return "application/jwk-set+json" }

// JWKS is the published public keys, newest first.
func (s *KeySet) JWKS(now time.Time) PublicKeys {
	set := PublicKeys{Keys: []PublicKey{}}
	for _, k := range slices.Backward(s.keys) {
		if s.State(k.ID, now) == KeyGone {
			continue
		}
		e, n := publicNumbers(k.Public)
		set.Keys = append(set.Keys, PublicKey{Type: "RSA", Use: "sig", Algorithm: "RS256", ID: k.ID, N: n, E: e})
	}
	return set
}

package auth

import (
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
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

// NextDue says whether a successor must be made now, and from when it is to sign. Without any key one is
// due at once; nobody can hold an older one's tokens.
func (s *KeySet) NextDue(now time.Time) (activeFrom time.Time, due bool) {
	if len(s.keys) == 0 {
		return now, true
	}
	end := s.keys[len(s.keys)-1].ActiveFrom.Add(s.rotation.Period)
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

// JWKS is the set of published public keys (RFC 7517 section 5), newest first.
func (s *KeySet) JWKS(now time.Time) ([]byte, error) {
	type jwk struct {
		Type      string `json:"kty"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
		ID        string `json:"kid"`
		N         string `json:"n"`
		E         string `json:"e"`
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range slices.Backward(s.keys) {
		if s.State(k.ID, now) == KeyGone {
			continue
		}
		e, n := publicNumbers(k.Public)
		set.Keys = append(set.Keys, jwk{Type: "RSA", Use: "sig", Algorithm: "RS256", ID: k.ID, N: n, E: e})
	}
	return json.Marshal(set)
}

// Purposes of keys derived from the server's secret.
const (
	purposeSigningKeys = "carfluence signing keys v1"
	purposeRefresh     = "carfluence refresh token digest v1"
	purposeSuccessor   = "carfluence refresh token successor v1"
	purposeThrottle    = "carfluence login throttle v1"
)

// subkey derives a 256-bit key for one purpose from the server's secret (RFC 5869).
func subkey(secret []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		panic(err) // only for lengths beyond the hash's
	}
	return k
}

// KeySealer encrypts signing keys for storage: AES-256-GCM under a key derived from the server's secret,
// bound to the key's id.
type KeySealer struct{ aead cipher.AEAD }

// NewKeySealer derives the encryption key.
func NewKeySealer(secret []byte) (*KeySealer, error) {
	block, err := aes.NewCipher(subkey(secret, purposeSigningKeys))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &KeySealer{aead}, err
}

// Seal returns base64 of nonce, PKCS #8 and tag.
func (s *KeySealer) Seal(k *SigningKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", fmt.Errorf("auth: seal signing key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, der, []byte(k.ID))), nil
}

// Open is the reverse. It fails under another secret.
func (s *KeySealer) Open(id, sealed string, createdAt, activeFrom time.Time) (*SigningKey, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key %s: %w", id, err)
	}
	der, err := s.aead.Open(nil, nil, raw, []byte(id))
	if err != nil {
		return nil, fmt.Errorf("auth: signing key %s was sealed under another secret or is damaged: %w", id, err)
	}
	private, err := parsePKCS8(der)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key %s: %w", id, err)
	}
	k := newSigningKey(private, createdAt, activeFrom)
	if k.ID != id {
		return nil, fmt.Errorf("auth: signing key %s has another thumbprint", id)
	}
	return k, nil
}

func parsePKCS8(der []byte) (*rsa.PrivateKey, error) {
	var k crypto.PrivateKey
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return private, nil
}

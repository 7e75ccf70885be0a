package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"
)

// Limits of access tokens.
const (
	maxTokenLength = 4096            // bytes; ours are about 1,100
	clockLeeway    = 5 * time.Second // for nbf and iat; exp has none
	tokenType      = "JWT"
)

// Why a token is refused. ErrTokenExpired is only for a token that is right in everything else.
var (
	ErrTokenInvalid = errors.New("auth: token is not valid")
	ErrTokenExpired = errors.New("auth: token has expired")
)

// Claims is what an access token says (RFC 9068 section 2.2). Email, name and roles are for the client's
// eyes: what a caller may do comes from the records, never from here. Read only: claims are shared.
type Claims struct {
	Issuer        string
	Audience      string
	Subject       string // person id
	ID            string // jti
	SessionID     string // sid
	DealerGroupID string
	Email, Name   string
	Roles         []string
	IssuedAt      time.Time
	NotBefore     time.Time
	ExpiresAt     time.Time
}

// claimsJSON is the form on the wire.
type claimsJSON struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	ExpiresAt     int64    `json:"exp"`
	NotBefore     int64    `json:"nbf"`
	IssuedAt      int64    `json:"iat"`
	ID            string   `json:"jti"`
	SessionID     string   `json:"sid"`
	DealerGroupID string   `json:"dealerGroupId"`
	Email         string   `json:"email"`
	Name          string   `json:"name"`
	Roles         []string `json:"roles"`
}

// Signer makes access tokens. Its keys are the ones of the last SetKeys.
type Signer struct {
	issuer, audience string
	keys             atomic.Pointer[KeySet]
}

// NewSigner makes tokens of one issuer for one audience.
func NewSigner(issuer, audience string) *Signer { return &Signer{issuer: issuer, audience: audience} }

// SetKeys replaces the signing keys.
func (s *Signer) SetKeys(keys *KeySet) { s.keys.Store(keys) }

// Sign makes the token's text with the key that is active at c.IssuedAt; issuer and audience are the signer's.
func (s *Signer) Sign(c Claims) (string, error) {
	key, err := s.keys.Load().active(c.IssuedAt)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, wireClaims{claimsJSON{
		Issuer: s.issuer, Audience: s.audience, Subject: c.Subject, ID: c.ID, SessionID: c.SessionID,
		DealerGroupID: c.DealerGroupID, Email: c.Email, Name: c.Name, Roles: c.Roles,
		IssuedAt: c.IssuedAt.Unix(), NotBefore: c.NotBefore.Unix(), ExpiresAt: c.ExpiresAt.Unix(),
	}})
	token.Header = map[string]any{"alg": "RS256", "typ": tokenType, "kid": key.ID}
	return token.SignedString(key.private)
}

// Verifier checks access tokens. A token seen before costs a digest and a look-up, no RSA.
type Verifier struct {
	issuer, audience string
	keys             atomic.Pointer[KeySet]
	seen             *otter.Cache[[sha256.Size]byte, verified]
	parser           *jwt.Parser
	checked          atomic.Int64 // signatures computed
}

type verified struct {
	claims *Claims
	key    *SigningKey
	login  *knownLogin
}

// knownLogin is the session and person of a token that was seen before.
type knownLogin = atomic.Pointer[known[login]]

// NewVerifier accepts tokens of one issuer for one audience and remembers up to size of them.
func NewVerifier(issuer, audience string, size int) (*Verifier, error) {
	seen, err := otter.New(&otter.Options[[sha256.Size]byte, verified]{MaximumSize: size})
	if err != nil {
		return nil, fmt.Errorf("auth: token cache: %w", err)
	}
	v := &Verifier{issuer: issuer, audience: audience, seen: seen, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())}
	v.keys.Store(&KeySet{})
	return v, nil
}

// SetKeys replaces the keys whose signatures count. Tokens of keys that are gone are refused from now on.
func (v *Verifier) SetKeys(keys *KeySet) { v.keys.Store(keys) }

// SignaturesChecked counts the RSA operations done so far.
func (v *Verifier) SignaturesChecked() int64 { return v.checked.Load() }

// Verify returns what a token says. Its error is ErrTokenInvalid, or ErrTokenExpired together with what the
// token said.
func (v *Verifier) Verify(token string, now time.Time) (*Claims, error) {
	claims, _, err := v.verify(token, now)
	return claims, err
}

// verify also returns the place for what is known of the token's login.
func (v *Verifier) verify(token string, now time.Time) (*Claims, *knownLogin, error) {
	if len(token) > maxTokenLength {
		return nil, nil, fmt.Errorf("%w: too long", ErrTokenInvalid)
	}
	digest := digestOf(token)
	keys := v.keys.Load()
	if hit, ok := v.seen.GetIfPresent(digest); ok && keys.accepts(hit.key, now) {
		return hit.claims, hit.login, v.inTime(hit.claims, now)
	}
	if strings.ContainsAny(token, "\r\n") { // base64 would pass over them
		return nil, nil, fmt.Errorf("%w: several lines", ErrTokenInvalid)
	}
	claims, key, err := v.check(token, keys, now)
	if err != nil {
		return nil, nil, err
	}
	if err := v.inTime(claims, now); err != nil {
		return claims, nil, err
	}
	seen := verified{claims, key, &knownLogin{}}
	v.seen.Set(digest, seen)
	return claims, seen.login, nil
}

// digestOf copies tokens of the usual length to the stack, because the conversion of a long string goes to the heap.
func digestOf(token string) [sha256.Size]byte {
	var buf [1280]byte
	return sha256.Sum256(append(buf[:0], token...))
}

func (v *Verifier) inTime(c *Claims, now time.Time) error {
	switch {
	case c.NotBefore.After(now.Add(clockLeeway)), c.IssuedAt.After(now.Add(clockLeeway)):
		return fmt.Errorf("%w: not valid yet", ErrTokenInvalid)
	case !now.Before(c.ExpiresAt):
		return ErrTokenExpired
	}
	return nil
}

// check does everything but the times.
func (v *Verifier) check(token string, keys *KeySet, now time.Time) (*Claims, *SigningKey, error) {
	var (
		claims wireClaims
		key    *SigningKey
	)
	_, err := v.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		kid, err := checkHeader(t.Raw)
		if err != nil {
			return nil, err
		}
		if key = keys.find(kid, now); key == nil {
			return nil, errors.New("unknown kid")
		}
		v.checked.Add(1)
		return key.Public, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
	}
	if claims.Issuer != v.issuer || claims.Audience != v.audience {
		return nil, nil, fmt.Errorf("%w: of another issuer or for another audience", ErrTokenInvalid)
	}
	return claims.claims(), key, nil
}

// checkHeader wants exactly alg, typ and kid, each once: whatever else a JOSE header may hold (jku, jwk,
// x5u, crit, zip, b64 …) has no business in ours. It returns kid.
func checkHeader(token string) (kid string, err error) {
	segment, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return "", err
	}
	var alg, typ string
	err = decodeMembers(raw, map[string]any{"alg": &alg, "typ": &typ, "kid": &kid}, false)
	if err == nil && (alg != jwt.SigningMethodRS256.Alg() || typ != tokenType || kid == "") {
		err = errors.New("wrong alg, typ or kid")
	}
	return kid, err
}

// decodeMembers reads a JSON object strictly: every wanted member exactly once, by its exact name, and never
// null. Further members are refused unless lax.
func decodeMembers(raw []byte, want map[string]any, lax bool) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := make(map[string]bool, len(want))
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		key := name.(string)
		if seen[key] {
			return fmt.Errorf("%q twice", key)
		}
		seen[key] = true
		into, wanted := want[key]
		switch {
		case !wanted && !lax:
			return fmt.Errorf("unexpected member %q", key)
		case !wanted:
			continue
		case string(value) == "null":
			return fmt.Errorf("%q is null", key)
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	for name := range want {
		if !seen[name] {
			return fmt.Errorf("%q is missing", name)
		}
	}
	_, err := d.Token() // the closing brace; json.Unmarshal has refused what follows it
	return err
}

// wireClaims ties claimsJSON to the JWT library, with strict decoding.
type wireClaims struct{ claimsJSON }

// MarshalJSON implements json.Marshaler.
func (w wireClaims) MarshalJSON() ([]byte, error) { return json.Marshal(w.claimsJSON) }

// UnmarshalJSON implements json.Unmarshaler. Members of later releases are passed over.
func (w *wireClaims) UnmarshalJSON(raw []byte) error {
	c := &w.claimsJSON
	err := decodeMembers(raw, map[string]any{"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "exp": &c.ExpiresAt,
		"nbf": &c.NotBefore, "iat": &c.IssuedAt, "jti": &c.ID, "sid": &c.SessionID, "dealerGroupId": &c.DealerGroupID,
		"email": &c.Email, "name": &c.Name, "roles": &c.Roles}, true)
	if err != nil {
		return err
	}
	if c.Subject == "" || c.ID == "" || c.SessionID == "" || c.DealerGroupID == "" || len(c.Roles) == 0 || c.ExpiresAt <= c.IssuedAt {
		return errors.New("empty or contradictory claims")
	}
	return nil
}

func (w *wireClaims) claims() *Claims {
	return &Claims{
		Issuer: w.Issuer, Audience: w.Audience, Subject: w.Subject, ID: w.ID, SessionID: w.SessionID,
		DealerGroupID: w.DealerGroupID, Email: w.Email, Name: w.Name, Roles: w.Roles,
		IssuedAt: time.Unix(w.IssuedAt, 0).UTC(), NotBefore: time.Unix(w.NotBefore, 0).UTC(), ExpiresAt: time.Unix(w.ExpiresAt, 0).UTC(),
	}
}

// The library asks for these; the checks are ours.

func (w wireClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (w wireClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (w wireClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (w wireClaims) GetIssuer() (string, error)                   { return w.Issuer, nil }
func (w wireClaims) GetSubject() (string, error)                  { return w.Subject, nil }
func (w wireClaims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{w.Audience}, nil }

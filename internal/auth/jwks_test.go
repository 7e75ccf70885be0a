package auth

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The example of RFC 7638 section 3.1.
func TestThumbprint(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	if got := thumbprint(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Error(got)
	}
}

func TestJWKS(t *testing.T) {
	r := NewRotation(90*24*time.Hour, 15*time.Minute)
	now := tokenNow
	old, active, next := newSigningKey(testKeys()[0], now, now.Add(-100*24*time.Hour)),
		newSigningKey(testKeys()[1], now, now.Add(-time.Hour)), newSigningKey(testKeys()[2], now, now.Add(time.Minute))
	s := NewKeySet(r, next, old, active)
	var got struct{ Keys []map[string]string }
	raw := jwksText(t, s, now)
	if err := json.Unmarshal(raw, &got); err != nil || len(got.Keys) != 3 {
		t.Fatal(err, string(raw))
	}
	for i, k := range []*SigningKey{next, active, old} {
		j := got.Keys[i]
		if j["kty"] != "RSA" || j["use"] != "sig" || j["alg"] != "RS256" || j["kid"] != k.ID || j["e"] != "AQAB" || len(j) != 6 {
			t.Errorf("key %d: %v", i, j)
		}
		n, _ := base64.RawURLEncoding.DecodeString(j["n"])
		if !bytes.Equal(n, k.Public.N.Bytes()) {
			t.Errorf("key %d has another modulus", i)
		}
	}
	for i, want := range []KeyState{KeyRetiring, KeyActive, KeyNext} {
		if got := s.State([]*SigningKey{old, active, next}[i].ID, now); got != want {
			t.Errorf("key %d is %s, want %s", i, got, want)
		}
	}
	later := now.Add(r.Retire + time.Minute)
	raw = jwksText(t, s, later)
	if strings.Contains(string(raw), old.ID) || strings.Contains(string(raw), `"d"`) || len(s.Gone(later)) != 2 {
		t.Errorf("after retirement: %s", raw)
	}
	if raw := jwksText(t, NewKeySet(r), now); string(raw) != `{"keys":[]}` {
		t.Errorf("no keys: %s", raw)
	}
}

func jwksText(t *testing.T, s *KeySet, now time.Time) []byte {
	t.Helper()
	raw, err := json.Marshal(s.JWKS(now))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSealedSigningKeys(t *testing.T) {
	sealer, err := NewKeySealer([]byte("the secret of the server"))
	if err != nil {
		t.Fatal(err)
	}
	k := newSigningKey(testKeys()[0], tokenNow, tokenNow.Add(time.Hour))
	sealed, err := sealer.Seal(k)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := sealer.Seal(k)
	if again == sealed {
		t.Error("the same nonce twice")
	}
	if raw, _ := base64.StdEncoding.DecodeString(sealed); bytes.Contains(raw, k.private.D.Bytes()[:16]) {
		t.Error("the private exponent is readable")
	}
	got, err := sealer.Open(k.ID, sealed, k.CreatedAt, k.ActiveFrom)
	if err != nil || !got.private.Equal(k.private) || got.ID != k.ID || !got.ActiveFrom.Equal(k.ActiveFrom) {
		t.Error(got, err)
	}
	other, _ := NewKeySealer([]byte("the secret of another server"))
	damaged := []byte(sealed)
	damaged[40] ^= 1
	for name, f := range map[string]func() (*SigningKey, error){
		"another secret": func() (*SigningKey, error) { return other.Open(k.ID, sealed, tokenNow, tokenNow) },
		"another id":     func() (*SigningKey, error) { return sealer.Open("x", sealed, tokenNow, tokenNow) },
		"damaged":        func() (*SigningKey, error) { return sealer.Open(k.ID, string(damaged), tokenNow, tokenNow) },
		"empty":          func() (*SigningKey, error) { return sealer.Open(k.ID, "", tokenNow, tokenNow) },
		"no base64":      func() (*SigningKey, error) { return sealer.Open(k.ID, "!", tokenNow, tokenNow) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// Whatever the periods, and however late replicas learn of a new key (up to the JWKS max-age for others):
// a token that is signed now by one is accepted by every other until it expires.
func TestRotationNeverRefusesGoodTokens(t *testing.T) {
	private := testKeys()[0] // keys differ by id only: no RSA in this test
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.IntRange(1, int(MaxTokenTTL/time.Second)).Draw(t, "ttl")) * time.Second
		period := time.Duration(rapid.IntRange(1, 90*24*60).Draw(t, "period")) * time.Minute
		lag := time.Duration(rapid.IntRange(0, int(JWKSMaxAge/time.Second)).Draw(t, "lag")) * time.Second
		r := NewRotation(period, ttl)
		step := max(period, r.Publish) / 20
		type version struct {
			at   time.Time
			keys *KeySet
		}
		type token struct {
			kid      string
			iat, exp time.Time
		}
		var versions []version // of the key set, as published
		var tokens []token
		asOf := func(at time.Time) *KeySet {
			for i := len(versions) - 1; i >= 0; i-- {
				if !versions[i].at.After(at) {
					return versions[i].keys
				}
			}
			return versions[0].keys
		}
		set, now := NewKeySet(r), tokenNow
		for i := range 100 {
			gone := set.Gone(now)
			keep := map[string]bool{}
			for _, k := range gone {
				keep[k.ID] = true
			}
			var keys []*SigningKey
			for _, k := range set.keys {
				if !keep[k.ID] {
					keys = append(keys, k)
				}
			}
			from, due := set.NextDue(now)
			if due {
				k := &SigningKey{ID: string(rune('A'+i%26)) + string(rune('a'+i/26)), Public: &private.PublicKey, private: private, CreatedAt: now, ActiveFrom: from}
				keys = append(keys, k)
			}
			if due || len(gone) > 0 {
				set = NewKeySet(r, keys...)
				versions = append(versions, version{now, set})
			}
			k, err := set.active(now)
			if err != nil {
				t.Fatal(err)
			}
			if set.State(k.ID, now) != KeyActive {
				t.Fatalf("signs with a key that is %s", set.State(k.ID, now))
			}
			tokens = append(tokens, token{k.ID, now, now.Add(ttl)})
			for _, tok := range tokens {
				if now.Before(tok.exp) {
					if set.find(tok.kid, now) == nil || asOf(now.Add(-lag)).find(tok.kid, now) == nil {
						t.Fatalf("token of %s signed at %s refused at %s", tok.kid, tok.iat, now)
					}
				}
			}
			now = now.Add(step)
		}
		if len(versions) < 3 {
			t.Fatalf("only %d rotations seen", len(versions))
		}
	})
}

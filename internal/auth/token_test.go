package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	tokenNow = time.Date(2025, 11, 23, 12, 0, 0, 0, time.UTC)
	// RSA keys take a second to make, so all tests share these.
	testKeys = sync.OnceValue(func() [3]*rsa.PrivateKey {
		var keys [3]*rsa.PrivateKey
		for i := range keys {
			k, err := rsa.GenerateKey(rand.Reader, signingKeyBits)
			if err != nil {
				panic(err)
			}
			keys[i] = k
		}
		return keys
	})
)

const (
	testIssuer   = "https://cars.example"
	testAudience = "https://cars.example"
)

func testClaims(now time.Time) Claims {
	return Claims{Subject: "p1", ID: "j1", SessionID: "s1", DealerGroupID: "g1", Email: "jane@cars.example", Name: "Jane \"J\" Dœ",
		Roles: []string{"admin"}, IssuedAt: now, NotBefore: now, ExpiresAt: now.Add(15 * time.Minute)}
}

func testKeySet(now time.Time) *KeySet {
	return NewKeySet(NewRotation(90*24*time.Hour, 15*time.Minute), newSigningKey(testKeys()[0], now, now))
}

func newTokenPair(t testing.TB) (*Signer, *Verifier) {
	t.Helper()
	s := NewSigner(testIssuer, testAudience)
	v, err := NewVerifier(testIssuer, testAudience, 100)
	if err != nil {
		t.Fatal(err)
	}
	s.SetKeys(testKeySet(tokenNow))
	v.SetKeys(testKeySet(tokenNow))
	return s, v
}

func mustSign(t testing.TB, s *Signer, c Claims) string {
	t.Helper()
	text, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenRoundTrip(t *testing.T) {
	s, v := newTokenPair(t)
	text := mustSign(t, s, testClaims(tokenNow))
	want := testClaims(tokenNow)
	want.Issuer, want.Audience = testIssuer, testAudience
	for range 3 {
		got, err := v.Verify(text, tokenNow.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Error(d)
		}
	}
	if n := v.SignaturesChecked(); n != 1 {
		t.Errorf("%d RSA operations for one token", n)
	}
	header, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	if want := fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"JWT"}`, thumbprint(&testKeys()[0].PublicKey)); string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	for _, member := range []string{`"iss":`, `"sub":`, `"aud":`, `"exp":`, `"iat":`, `"nbf":`, `"jti":`, `"sid":`, `"email":`, `"name":`, `"roles":["admin"]`, `"dealerGroupId":"g1"`} {
		if !strings.Contains(string(claims), member) {
			t.Errorf("claims lack %s: %s", member, claims)
		}
	}
}

func TestTokenTimes(t *testing.T) {
	s, v := newTokenPair(t)
	text := mustSign(t, s, testClaims(tokenNow))
	exp := tokenNow.Add(15 * time.Minute)
	for _, warm := range []bool{false, true} {
		for _, c := range []struct {
			at   time.Time
			want error
		}{
			{tokenNow.Add(-6 * time.Second), ErrTokenInvalid},
			{tokenNow.Add(-5 * time.Second), nil},
			{tokenNow, nil},
			{exp.Add(-time.Nanosecond), nil},
			{exp, ErrTokenExpired},
			{exp.Add(time.Hour), ErrTokenExpired},
		} {
			if !warm {
				_, v = newTokenPair(t)
			}
			if _, err := v.Verify(text, c.at); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Errorf("warm=%v at %s: %v, want %v", warm, c.at, err, c.want)
			}
		}
	}
	// Another's word that it has expired counts for nothing.
	tampered := text[:len(text)-10] + "AAAAAAAAAA"
	if _, err := v.Verify(tampered, exp.Add(time.Hour)); !errors.Is(err, ErrTokenInvalid) || errors.Is(err, ErrTokenExpired) {
		t.Errorf("expired with a wrong signature: %v", err)
	}
}

// forge signs any header and claims with a key.
func forge(header, claims string, sign func(input []byte) []byte) string {
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	return input + "." + b64.EncodeToString(sign([]byte(input)))
}

func rs256(k *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return sig
	}
}

func TestTokenAttacks(t *testing.T) {
	_, v := newTokenPair(t)
	key, other := testKeys()[0], testKeys()[1]
	kid := thumbprint(&key.PublicKey)
	good := fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":%q}`, kid)
	header := func(format string, a ...any) string { return fmt.Sprintf(format, append([]any{kid}, a...)...) }
	claimsOf := func(edit func(m map[string]any)) string {
		m := map[string]any{"iss": testIssuer, "aud": testAudience, "sub": "p1", "jti": "j1", "sid": "s1", "dealerGroupId": "g1",
			"email": "jane@cars.example", "name": "Jane", "roles": []string{"admin"},
			"iat": tokenNow.Unix(), "nbf": tokenNow.Unix(), "exp": tokenNow.Unix() + 900}
		edit(m)
		b, _ := json.Marshal(m)
		return string(b)
	}
	claims := claimsOf(func(map[string]any) {})
	set := func(name string, value any) string { return claimsOf(func(m map[string]any) { m[name] = value }) }
	without := func(name string) string { return claimsOf(func(m map[string]any) { delete(m, name) }) }
	signed := rs256(key)
	nothing := func([]byte) []byte { return nil }

	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hs := func(secret []byte) func([]byte) []byte { return func(in []byte) []byte { return mac(secret, in) } }
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e, n := publicNumbers(&other.PublicKey)

	if _, err := v.Verify(forge(good, claims, signed), tokenNow); err != nil {
		t.Fatalf("the honest token: %v", err)
	}
	parts := strings.Split(forge(good, claims, signed), ".")
	attacks := map[string]string{
		"empty":                         "",
		"dots":                          "..",
		"one part":                      parts[0],
		"two parts":                     parts[0] + "." + parts[1],
		"four parts":                    strings.Join(parts, ".") + ".x",
		"JWE, five parts":               strings.Join(parts, ".") + ".x.y",
		"JWS JSON":                      `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
		"none":                          forge(header(`{"alg":"none","typ":"JWT","kid":%q}`), claims, nothing),
		"None":                          forge(header(`{"alg":"NoNe","typ":"JWT","kid":%q}`), claims, nothing),
		"no alg":                        forge(header(`{"typ":"JWT","kid":%q}`), claims, signed),
		"empty alg":                     forge(header(`{"alg":"","typ":"JWT","kid":%q}`), claims, signed),
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"HS256 with the public key PEM": forge(header(`{"alg":"HS256","typ":"JWT","kid":%q}`), claims, hs(asPEM)),
		"HS256 with the public key DER": forge(header(`{"alg":"HS256","typ":"JWT","kid":%q}`), claims, hs(der)),
		"HS256 with the modulus":        forge(header(`{"alg":"HS256","typ":"JWT","kid":%q}`), claims, hs(key.N.Bytes())),
		"HS256, empty secret":           forge(header(`{"alg":"HS256","typ":"JWT","kid":%q}`), claims, hs(nil)),
		"RS384":                         forge(header(`{"alg":"RS384","typ":"JWT","kid":%q}`), claims, signed),
		"PS256": forge(header(`{"alg":"PS256","typ":"JWT","kid":%q}`), claims, func(in []byte) []byte {
			sum := sha256.Sum256(in)
			sig, _ := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], nil)
			return sig
		}),
		"ES256, own key": forge(header(`{"alg":"ES256","typ":"JWT","kid":%q}`), claims, func(in []byte) []byte {
			sum := sha256.Sum256(in)
			sig, _ := ecdsa.SignASN1(rand.Reader, ec, sum[:])
			return sig
		}),
		"rs256 in small letters":       forge(header(`{"alg":"rs256","typ":"JWT","kid":%q}`), claims, signed),
		"another's signature":          forge(good, claims, rs256(other)),
		"unknown kid":                  forge(fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":%q}`, thumbprint(&other.PublicKey)), claims, rs256(other)),
		"no kid":                       forge(`{"alg":"RS256","typ":"JWT"}`, claims, signed),
		"empty kid":                    forge(`{"alg":"RS256","typ":"JWT","kid":""}`, claims, signed),
		"kid as path":                  forge(`{"alg":"RS256","typ":"JWT","kid":"../../dev/null"}`, claims, signed),
		"kid as SQL":                   forge(`{"alg":"RS256","typ":"JWT","kid":"x' OR '1'='1"}`, claims, signed),
		"kid as number":                forge(`{"alg":"RS256","typ":"JWT","kid":1}`, claims, signed),
		"two kids":                     forge(header(`{"alg":"RS256","typ":"JWT","kid":"x","kid":%q}`), claims, signed),
		"two algs":                     forge(header(`{"alg":"none","alg":"RS256","typ":"JWT","kid":%q}`), claims, signed),
		"no typ":                       forge(header(`{"alg":"RS256","kid":%q}`), claims, signed),
		"typ of another use":           forge(header(`{"alg":"RS256","typ":"logout+jwt","kid":%q}`), claims, signed),
		"jku":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"jku":"https://evil.example/jwks.json"}`), claims, signed),
		"jwk":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"jwk":{"kty":"RSA","e":%q,"n":%q}}`, e, n), claims, rs256(other)),
		"x5u":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"x5u":"https://evil.example/c.pem"}`), claims, signed),
		"x5c":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"x5c":["MII"]}`), claims, signed),
		"x5t":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"x5t":"aaaa"}`), claims, signed),
		"crit":                         forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"crit":["exp"]}`), claims, signed),
		"b64":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"b64":false}`), claims, signed),
		"zip":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"zip":"DEF"}`), claims, signed),
		"cty":                          forge(header(`{"alg":"RS256","typ":"JWT","kid":%q,"cty":"JWT"}`), claims, signed),
		"header with a tail":           forge(good+`{}`, claims, signed),
		"header is an array":           forge(`["RS256"]`, claims, signed),
		"header is null":               forge(`null`, claims, signed),
		"claims with a tail":           forge(good, claims+`{}`, signed),
		"claims are a string":          forge(good, `"admin"`, signed),
		"claims are null":              forge(good, `null`, signed),
		"another issuer":               forge(good, set("iss", "https://evil.example"), signed),
		"issuer with a slash more":     forge(good, set("iss", testIssuer+"/"), signed),
		"another audience":             forge(good, set("aud", "https://other.example"), signed),
		"ours among several audiences": forge(good, set("aud", []string{testAudience, "x"}), signed),
		"exp as text":                  forge(good, set("exp", "9999999999"), signed),
		"exp with a fraction":          forge(good, set("exp", 1764000000.5), signed),
		"exp beyond numbers":           forge(good, strings.Replace(claims, `"exp":`, `"exp":1e400,"x":`, 1), signed),
		"exp before iat":               forge(good, set("exp", tokenNow.Unix()-1), signed),
		"iat in the future":            forge(good, set("iat", tokenNow.Unix()+60), signed),
		"nbf in the future":            forge(good, set("nbf", tokenNow.Unix()+60), signed),
		"two subs":                     forge(good, strings.Replace(claims, `"sub":`, `"sub":"root","sub":`, 1), signed),
		"two exps":                     forge(good, strings.Replace(claims, `"exp":`, `"exp":9999999999,"exp":`, 1), signed),
		"empty sub":                    forge(good, set("sub", ""), signed),
		"roles as text":                forge(good, set("roles", "admin"), signed),
		"roles null":                   forge(good, set("roles", nil), signed),
		"Exp in capitals":              forge(good, strings.Replace(claims, `"exp"`, `"EXP"`, 1), signed),
		"padding":                      strings.Join(parts, ".") + "=",
		"spaces":                       " " + strings.Join(parts, "."),
		"newline in the signature":     parts[0] + "." + parts[1] + ".\n" + parts[2],
		"standard base64":              strings.NewReplacer("-", "+", "_", "/").Replace(strings.Join(parts, ".")) + "//++",
		"too long":                     forge(good, set("name", strings.Repeat("x", 4000)), signed),
		"megabytes":                    strings.Repeat("A", 1<<20),
		"many dots":                    strings.Repeat(".", 4000),
		"changed role":                 parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(set("roles", []string{"root"}))) + "." + parts[2],
		"signature of the header":      forge(good, claims, func([]byte) []byte { return signed([]byte(good)) }),
		"zero signature":               forge(good, claims, func([]byte) []byte { return make([]byte, 384) }),
		"signature cut short":          forge(good, claims, func(in []byte) []byte { return signed(in)[:383] }),
		"signature too long":           forge(good, claims, func(in []byte) []byte { return append(signed(in), 0) }),
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "email", "name", "roles", "dealerGroupId"} {
		attacks["without "+name] = forge(good, without(name), signed)
	}
	// The last character of a base64url signature has bits that mean nothing: only one spelling is taken.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", parts[1][len(parts[1])-1])
	if len(parts[1])%4 != 0 {
		attacks["second spelling"] = parts[0] + "." + parts[1][:len(parts[1])-1] +
			string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1]) + "." + parts[2]
	}
	for name, token := range attacks {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a refusal is never remembered as a success
				if c, err := v.Verify(token, tokenNow); !errors.Is(err, ErrTokenInvalid) || errors.Is(err, ErrTokenExpired) {
					t.Errorf("%v, %v", c, err)
				}
			}
		})
	}
	if len(attacks) < 20 {
		t.Errorf("only %d attacks", len(attacks))
	}
}

func TestTokenOfKeyThatIsGone(t *testing.T) {
	s, v := newTokenPair(t)
	text := mustSign(t, s, testClaims(tokenNow))
	if _, err := v.Verify(text, tokenNow); err != nil {
		t.Fatal(err)
	}
	v.SetKeys(NewKeySet(Rotation{}, newSigningKey(testKeys()[1], tokenNow, tokenNow)))
	if _, err := v.Verify(text, tokenNow); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("still accepted: %v", err)
	}
}

func TestVerifierMemoryIsBounded(t *testing.T) {
	s, v := newTokenPair(t)
	for i := range 300 {
		c := testClaims(tokenNow)
		c.ID = fmt.Sprint(i)
		if _, err := v.Verify(mustSign(t, s, c), tokenNow); err != nil {
			t.Fatal(err)
		}
	}
	v.seen.CleanUp()
	if n := v.seen.EstimatedSize(); n > 100 {
		t.Errorf("%d tokens kept", n)
	}
}

func TestVerifyAllocations(t *testing.T) {
	s, v := newTokenPair(t)
	text := mustSign(t, s, testClaims(tokenNow))
	if n := testing.AllocsPerRun(100, func() { v.Verify(text, tokenNow) }); n > 1 {
		t.Errorf("%v allocations on a hit", n)
	}
}

func FuzzVerify(f *testing.F) {
	s, v := newTokenPair(f)
	text := mustSign(f, s, testClaims(tokenNow))
	f.Add(text)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(forge(`{"alg":"HS256","typ":"JWT","kid":"x"}`, `{}`, func(in []byte) []byte {
		h := hmac.New(sha256.New, nil)
		h.Write(in)
		return h.Sum(nil)
	}))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(token, tokenNow)
		if (err == nil) != (token == text) {
			t.Errorf("%q: %v, %v", token, c, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s, v := newTokenPair(b)
	text := mustSign(b, s, testClaims(tokenNow))
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Verify(text, tokenNow)
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.check(text, v.keys.Load(), tokenNow)
		}
	})
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			s.Sign(testClaims(tokenNow))
		}
	})
}

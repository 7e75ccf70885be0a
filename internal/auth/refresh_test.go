package auth

import (
	"regexp"
	"strings"
	"testing"
)

func TestRefreshTokenText(t *testing.T) {
	a, b := NewRefreshToken(), NewRefreshToken()
	if a == b {
		t.Fatal("the same token twice")
	}
	if !regexp.MustCompile(`^cfr_[A-Za-z0-9_-]{43}$`).MatchString(a.String()) {
		t.Error(a.String())
	}
	if got, ok := ParseRefreshToken(a.String()); !ok || got != a {
		t.Error("can't read its own text")
	}
	s := a.String()
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", s[len(s)-1])
	for _, text := range []string{"", "cfr_", s[4:], "CFR_" + s[4:], s + "=", s + "A", s[:len(s)-1], " " + s, s + "\n", "cfr_" + strings.Repeat("!", 43),
		"cfr_\n" + s[5:], s[:len(s)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1]), strings.Repeat("x", 1<<20)} {
		if _, ok := ParseRefreshToken(text); ok {
			t.Errorf("accepted %.60q", text)
		}
	}
}

func TestRefreshSuccessor(t *testing.T) {
	k, other := NewRefreshKeys([]byte("secret")), NewRefreshKeys([]byte("another"))
	a := NewRefreshToken()
	b := k.Successor(a)
	if b == a || k.Successor(a) != b || k.Successor(b) == a || other.Successor(a) == b {
		t.Error("successors must depend on the token and the secret, and on nothing else")
	}
	first, again := k.Digest(a), k.Digest(a)
	if first == k.Digest(b) || first != again || other.Digest(a) == k.Digest(a) || len(k.Digest(a)) != 64 {
		t.Error("digests must depend on the token and the secret, and on nothing else")
	}
	if d := k.Digest(a); strings.Contains(b.String(), d) {
		t.Error("a stored digest must not give the successor")
	}
}

package auth

import (
	"strings"
	"testing"
)

func TestSealedOpensUnderSecretPurposeAndName(t *testing.T) {
	sealer := func(secret, purpose string) Sealer {
		s, err := NewSealer([]byte(secret), purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := sealer("secret", "purpose")
	sealed := s.Seal([]byte("plain"), "name")
	if plain, err := s.Open(sealed, "name"); err != nil || string(plain) != "plain" || strings.Contains(sealed, "plain") {
		t.Errorf("%q %v", plain, err)
	}
	if s.Seal([]byte("plain"), "name") == sealed {
		t.Error("sealed twice alike")
	}
	flipped := "A" + sealed[1:]
	if sealed[0] == 'A' {
		flipped = "B" + sealed[1:]
	}
	for what, try := range map[string]func() ([]byte, error){
		"another secret":  func() ([]byte, error) { return sealer("other", "purpose").Open(sealed, "name") },
		"another purpose": func() ([]byte, error) { return sealer("secret", "other").Open(sealed, "name") },
		"another name":    func() ([]byte, error) { return s.Open(sealed, "other") },
		"changed":         func() ([]byte, error) { return s.Open(flipped, "name") },
		"cut":             func() ([]byte, error) { return s.Open(sealed[:8], "name") },
		"empty":           func() ([]byte, error) { return s.Open("", "name") },
		"no base64":       func() ([]byte, error) { return s.Open("!", "name") },
	} {
		if plain, err := try(); err == nil {
			t.Errorf("%s: %q", what, plain)
		}
	}
}

func TestRandomTextsAreEven(t *testing.T) {
	counts := map[rune]int{}
	for range 1000 {
		text := RandomBase62(62)
		if len(text) != 62 {
			t.Fatalf("%d characters", len(text))
		}
		for _, c := range text {
			counts[c]++
		}
	}
	for _, c := range base62 {
		if n := counts[c]; n < 800 || n > 1200 { // 6 standard deviations
			t.Errorf("%c: %d of 1000", c, n)
		}
	}
	if len(counts) != 62 {
		t.Errorf("%d characters in use", len(counts))
	}
}

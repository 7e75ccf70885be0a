package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Subkey derives a 256-bit key for one purpose from the server's secret (RFC 5869). A purpose is used for one
// thing, everywhere in the program.
func Subkey(secret []byte, purpose string) []byte {
	k, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		panic(err) // only for lengths beyond the hash's
	}
	return k
}

// Sealer encrypts what the store keeps for the server alone: AES-256-GCM under a key derived from the server's secret.
type Sealer struct{ aead cipher.AEAD }

// NewSealer derives the encryption key for a purpose.
func NewSealer(secret []byte, purpose string) (Sealer, error) {
	block, err := aes.NewCipher(Subkey(secret, purpose))
	if err != nil {
		return Sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return Sealer{aead}, err
}

// Seal returns base64 of nonce, ciphertext and tag. The result opens only under the same name.
func (s Sealer) Seal(plain []byte, name string) string {
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(name)))
}

// Open is the reverse of Seal. It fails under another secret.
func (s Sealer) Open(sealed, name string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	plain, err := s.aead.Open(nil, nil, raw, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("sealed under another secret or damaged: %w", err)
	}
	return plain, nil
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// RandomBase62 makes a text of n characters from the system's generator, each equally likely: 5.95 bits a character.
func RandomBase62(n int) string {
	text, b := make([]byte, 0, n), make([]byte, 2*n)
	for len(text) < n {
		_, _ = rand.Read(b)
		for _, c := range b {
			if c < 4*62 && len(text) < n {
				text = append(text, base62[c%62])
			}
		}
	}
	return string(text)
}

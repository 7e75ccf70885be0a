package sftpd

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// GenerateHostKey makes an Ed25519 host key in OpenSSH's PEM form. The caller keeps it, encrypted: clients
// pin it, so a new one makes all of them refuse the server.
func GenerateHostKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, fmt.Errorf("encode host key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// ParseHostKey reads a key made by GenerateHostKey.
func ParseHostKey(text []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read host key: %w", err)
	}
	if key.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return nil, errors.New("read host key: only Ed25519 is used")
	}
	return key, nil
}

// Fingerprint is how clients show a key to their users: "SHA256:…".
func Fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

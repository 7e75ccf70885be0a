package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash/crc32"
)

// KeyPrefix begins every API key.
const KeyPrefix = "cf_live_"

// A key is the prefix, 32 random base62 characters (190 bits) and a CRC-32 of both in 6 base62 characters.
// The checksum is a typo filter and proof for secret scanners, not a security measure.
const (
	keyRandom   = 32
	keyChecksum = 6
	keyLength   = len(KeyPrefix) + keyRandom + keyChecksum
)

// KeyPattern matches every API key, for secret scanners.
const KeyPattern = `cf_live_[0-9A-Za-z]{38}`

const purposeKeys = "carfluence api key digest v1"

// newKeyText makes a key.
func newKeyText() string {
	text := KeyPrefix + RandomBase62(keyRandom)
	sum := checksum(text)
	return text + string(sum[:])
}

func checksum[T string | []byte](text T) (sum [keyChecksum]byte) {
	crc := uint32(0xffffffff)
	for i := range len(text) { // crc32.ChecksumIEEE without converting a string
		crc = crc32.IEEETable[byte(crc)^text[i]] ^ (crc >> 8)
	}
	n := ^crc
	for i := keyChecksum - 1; i >= 0; i-- {
		sum[i] = base62[n%62]
		n /= 62
	}
	return sum
}

// ValidKeyText tells whether a text can be a key: form and checksum, without asking the store.
func ValidKeyText(text string) bool {
	if len(text) != keyLength || text[:len(KeyPrefix)] != KeyPrefix {
		return false
	}
	for i := len(KeyPrefix); i < keyLength; i++ {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	sum := checksum(text[:keyLength-keyChecksum])
	return string(sum[:]) == text[keyLength-keyChecksum:]
}

// keyDigester makes what is stored of a key: an HMAC under the server's secret, so that the database alone
// can't confirm a guess.
type keyDigester struct{ pepper []byte }

func newKeyDigester(secret []byte) keyDigester { return keyDigester{Subkey(secret, purposeKeys)} }

func (d keyDigester) digest(text string) []byte {
	m := hmac.New(sha256.New, d.pepper)
	m.Write([]byte(text))
	return m.Sum(nil)
}

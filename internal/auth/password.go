package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"carfluence/internal/errs"
)

// Length of a password in Unicode code points, after NFKC (NIST SP 800-63B-4 section 3.1.1.2: at least 15
// where it is the only factor, at least 64 allowed). No other rule of composition exists.
const (
	MinPasswordLength = 15
	MaxPasswordLength = 256
)

// Cost of a password hash: argon2id, 19 MiB, two passes, one lane (OWASP and ASVS 5.0 appendix C). Stored
// hashes carry their own parameters; other ones are renewed at the next successful login.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonTag     = 32 // bytes

	// PasswordBytes is the memory that one takes while it is hashed.
	PasswordBytes = argonMemory << 10
)

// Passwords hashes and verifies passwords. A hash takes 19 MiB and tens of milliseconds, so only some run
// at once and only some may wait for them.
type Passwords struct {
	slots   chan struct{} // one per running hash
	queue   chan struct{} // one per running or waiting hash
	dummy   string        // verified for accounts that don't exist
	memory  uint32
	passes  uint32
	compute func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

// NewPasswords allows running hashes at a time and waiting more in the queue.
func NewPasswords(running, waiting int) *Passwords {
	p := &Passwords{
		slots: make(chan struct{}, running), queue: make(chan struct{}, running+waiting),
		memory: argonMemory, passes: argonTime, compute: argon2.IDKey,
	}
	p.dummy = phc{memory: p.memory, time: p.passes, threads: argonThreads,
		salt: make([]byte, argonSalt), tag: make([]byte, argonTag)}.String()
	return p
}

// Hash is the text to store for a password: PHC string format, argon2id. It waits for a free slot.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	h := phc{memory: p.memory, time: p.passes, threads: argonThreads, salt: make([]byte, argonSalt)}
	rand.Read(h.salt) // never fails: crypto/rand ends the program instead
	tag, err := p.derive(ctx, password, h, argonTag)
	if err != nil {
		return "", err
	}
	h.tag = tag
	return h.String(), nil
}

// Verify says whether the password is the one stored, and whether the stored text should be replaced by a
// new Hash because its parameters are not today's. The error is about waiting or a damaged stored text.
func (p *Passwords) Verify(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	h, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	tag, err := p.derive(ctx, password, h, uint32(len(h.tag)))
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(tag, h.tag) == 1
	stale = h.memory != p.memory || h.time != p.passes || h.threads != argonThreads ||
		len(h.salt) != argonSalt || len(h.tag) != argonTag
	return ok, ok && stale, nil
}

// VerifyNobody costs what Verify costs and never agrees: for accounts that don't exist.
func (p *Passwords) VerifyNobody(ctx context.Context, password string) error {
	_, _, err := p.Verify(ctx, p.dummy, password)
	return err
}

func (p *Passwords) derive(ctx context.Context, password string, h phc, tagLen uint32) ([]byte, error) {
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return nil, errs.UnavailableFor(time.Second, "Too many logins at once; try again in a moment.", nil)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return p.compute([]byte(nfkc(password)), h.salt, h.time, h.memory, h.threads, tagLen), nil
}

// nfkc makes the same text typed on different systems the same bytes (Unicode NFKC, as
// SP 800-63B-4 asks).
func nfkc(password string) string { return norm.NFKC.String(password) }

// passwordLength counts code points. Both forms count for the minimum, so that one ligature of many
// letters isn't a password.
func passwordLength(password string) (least, most int) {
	given, normal := utf8.RuneCountInString(password), utf8.RuneCountInString(nfkc(password))
	return min(given, normal), max(given, normal)
}

// phc is a hash in PHC string format:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>, base64 without padding.
type phc struct {
	memory, time uint32
	threads      uint8
	salt, tag    []byte
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

var errPHC = errors.New("auth: stored password hash is damaged")

// parsePHC bounds what it accepts, so a damaged or planted row can't demand memory or time without end.
func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	var h phc
	for i, p := range strings.Split(parts[3], ",") {
		name, value, _ := strings.Cut(p, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		switch {
		case err != nil:
			return phc{}, errPHC
		case i == 0 && name == "m" && n >= 8 && n <= 256<<10:
			h.memory = uint32(n)
		case i == 1 && name == "t" && n >= 1 && n <= 16:
			h.time = uint32(n)
		case i == 2 && name == "p" && n >= 1 && n <= 16:
			h.threads = uint8(n)
		default:
			return phc{}, errPHC
		}
	}
	var errSalt, errTag error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	h.tag, errTag = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errTag != nil || h.threads == 0 || len(h.salt) < 8 || len(h.tag) < 16 || len(h.tag) > 64 {
		return phc{}, errPHC
	}
	return h, nil
}

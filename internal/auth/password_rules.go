package auth

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"carfluence/internal/errs"
)

// blocklistText holds passwords, words and phrases that attackers try first, one a line, lower case,
// without spaces and punctuation.
//
//go:embed blocklist.txt
var blocklistText string

// Personal is what is known about the owner of a password, and therefore guessed first.
type Personal struct{ Email, Name, Group string }

// Blocklist decides which passwords are too easy to guess. It compares whole passwords, without regard to
// case, spaces, punctuation and digits in place of letters; what also contains something of the owner's own
// is fine (SP 800-63B-4 section 3.1.1.2).
type Blocklist struct {
	entries map[string]struct{}
	longest int
}

// NewBlocklist reads the embedded list.
func NewBlocklist() *Blocklist {
	b := &Blocklist{entries: map[string]struct{}{}}
	for line := range strings.Lines(blocklistText) {
		if entry := strings.TrimSpace(line); entry != "" {
			b.entries[entry] = struct{}{}
			b.longest = max(b.longest, len(entry))
		}
	}
	return b
}

// Check says why a new password can't be taken, as a fault at the given place of the body; nil when it can.
func (b *Blocklist) Check(pointer, password string, who Personal) []errs.Fault {
	if reason := b.reason(password, who); reason != "" {
		return []errs.Fault{errs.At(pointer, reason)}
	}
	return nil
}

func (b *Blocklist) reason(password string, who Personal) string {
	if reason := formReason(password); reason != "" {
		return reason
	}
	folded := []rune(strings.ToLower(nfkc(password)))
	if n := period(folded); n > 0 {
		return fmt.Sprintf("repeats the same %d characters", n)
	}
	text := squash(folded)
	if b.has(text) || b.has(unleet(text)) {
		return "is one of the passwords that attackers try first"
	}
	own := who.words()
	if covered(text, own, nil) {
		return "is made of your own name, address or group, or the name of this product, and little else"
	}
	if covered(text, own, b) {
		return "is made of very common words, names or rows of keys, and little else"
	}
	return ""
}

// passwordForm is the part of Check that needs to know nothing but the password.
func passwordForm(pointer, password string) []errs.Fault {
	if reason := formReason(password); reason != "" {
		return []errs.Fault{errs.At(pointer, reason)}
	}
	return nil
}

func formReason(password string) string {
	least, most := passwordLength(password)
	switch {
	case !validText(password):
		return "must be text without control characters"
	case least < MinPasswordLength:
		return fmt.Sprintf("must have at least %d characters, has %d; a few words in a row do well", MinPasswordLength, least)
	case most > MaxPasswordLength:
		return fmt.Sprintf("must have at most %d characters, has %d", MaxPasswordLength, most)
	}
	return ""
}

func (b *Blocklist) has(text string) bool {
	_, listed := b.entries[text]
	return listed
}

func validText(s string) bool {
	return strings.ToValidUTF8(s, "\uFFFD") == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// period is the length of the piece that the text repeats from beginning to end (the last time perhaps cut
// short), 0 when it repeats none at least twice.
func period(s []rune) int {
	for n := 1; n <= len(s)/2; n++ {
		if slices.Equal(s[n:], s[:len(s)-n]) {
			return n
		}
	}
	return 0
}

// squash leaves letters, digits and marks, and reads the usual signs in place of letters.
func squash(s []rune) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '@':
			return 'a'
		case c == '$':
			return 's'
		case unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c):
			return c
		}
		return -1
	}, string(s))
}

// unleet reads digits in place of letters; the text keeps its length.
func unleet(s string) string {
	return strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return rune("oizeasgtbg"[c-'0'])
		}
		return c
	}, s)
}

// words are the owner's own: the address and its parts, the parts of the names, the product.
func (p Personal) words() map[string]struct{} {
	words := map[string]struct{}{"carfluence": {}}
	add := func(s string) {
		s = squash([]rune(strings.ToLower(nfkc(s))))
		if len([]rune(s)) >= 3 {
			words[s] = struct{}{}
		}
	}
	split := func(s string) {
		add(s)
		for _, part := range strings.FieldsFunc(s, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
			add(part)
		}
	}
	local, domain, _ := strings.Cut(p.Email, "@")
	add(p.Email)
	for _, s := range []string{local, domain, p.Name, p.Group} {
		split(s)
	}
	return words
}

// Limits of "little else": single characters and rows of keys beside the words; different listed words.
const (
	sparseExtras = 3
	sparseWords  = 2
)

// covered says whether the text consists of the owner's words, at most two different entries of the list
// (each as often as it likes) and at most three more characters or rows of keys.
func covered(text string, own map[string]struct{}, b *Blocklist) bool {
	c := cover{text: text, plain: unleet(text), own: own, list: b, seen: map[coverState]struct{}{}}
	if b != nil {
		c.longest = b.longest
	}
	for w := range own {
		c.longest = max(c.longest, len(w))
	}
	return c.from(coverState{})
}

type coverState struct {
	at, extras int
	used       [sparseWords]string
}

type cover struct {
	text    string
	plain   string // text with letters in place of digits, of the same length
	own     map[string]struct{}
	list    *Blocklist
	longest int
	seen    map[coverState]struct{} // dead ends
}

func (c *cover) from(s coverState) bool {
	if s.at == len(c.text) {
		return true
	}
	if _, dead := c.seen[s]; dead {
		return false
	}
	c.seen[s] = struct{}{}
	return c.word(s) || c.extra(s)
}

func (c *cover) word(s coverState) bool {
	for n := min(c.longest, len(c.text)-s.at); n >= 3; n-- {
		for _, w := range [2]string{c.text[s.at : s.at+n], c.plain[s.at : s.at+n]} {
			next := s
			next.at += n
			if c.known(w, &next) && c.from(next) {
				return true
			}
		}
	}
	return false
}

// known says whether a piece is a word of the owner, or one of the list that may still be used.
func (c *cover) known(w string, s *coverState) bool {
	if _, own := c.own[w]; own {
		return true
	}
	return c.list != nil && c.list.has(w) && s.use(w)
}

// use counts a listed word unless it was used before; false when that is one too many.
func (s *coverState) use(word string) bool {
	for i, w := range s.used {
		if w == word {
			return true
		}
		if w == "" {
			s.used[i] = word
			return true
		}
	}
	return false
}

func (c *cover) extra(s coverState) bool {
	if s.extras == sparseExtras {
		return false
	}
	s.extras++
	at := s.at
	if n := row(c.text[at:]); n >= 3 {
		s.at = at + n
		if c.from(s) {
			return true
		}
	}
	_, size := utf8.DecodeRuneInString(c.text[at:])
	s.at = at + size
	return c.from(s)
}

// tracks are the orders in which people run along alphabets and keyboards.
var tracks = []string{
	"abcdefghijklmnopqrstuvwxyzabc", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm",
	"azertyuiopqsdfghjklmwxcvbn", "1234567890qwertyuiop", "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "13579", "24680", "147258369", "741852963", "123321", "112233445566778899", "aabbccddeeffgg",
}

// row is the length of the longest piece at the beginning of s that is one character over and over, a year,
// or runs along a track in either direction.
func row(s string) int {
	longest := sameLen(s)
	for _, t := range tracks {
		longest = max(longest, alongTrack(s, t), alongTrack(s, reversed(t)))
	}
	if longest < 4 && len(s) >= 4 && (s[:2] == "19" || s[:2] == "20") && isDigit(s[2]) && isDigit(s[3]) {
		longest = 4
	}
	return longest
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func sameLen(s string) int {
	n := 0
	for n < len(s) && s[n] == s[0] {
		n++
	}
	return n
}

func alongTrack(s, track string) int {
	best := 0
	for i := range track {
		n := 0
		for n < len(s) && i+n < len(track) && s[n] == track[i+n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

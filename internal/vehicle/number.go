package vehicle

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// number is the first number in a text, its thousands separators removed, with a point for decimals; "" when
// there is none. Currency signs, letters and what follows (rest) are left out.
func (c Cleaner) number(text string) (digits, rest string) {
	start := strings.IndexAny(text, "0123456789")
	if start < 0 {
		return "", ""
	}
	before, number := text[:start], text[start:]
	text, ok := closeGroups(number)
	end := 0
	for end < len(text) && (isDigit(text[end]) || text[end] == '.' || text[end] == ',') {
		end++
	}
	point, thousands := ".", ","
	if c.CommaDecimal {
		point, thousands = ",", "."
	}
	digits, rest = strings.TrimRight(text[:end], ".,"), text[end:]
	whole, fraction, _ := strings.Cut(digits, point)
	twice := text != number && strings.Contains(whole, thousands)
	if !ok || twice || !grouped(whole, thousands) || strings.ContainsAny(fraction, ".,") {
		return "", ""
	}
	digits = strings.ReplaceAll(whole, thousands, "")
	if fraction != "" {
		digits += "." + fraction
	}
	if strings.HasSuffix(before, ".") {
		digits = "0." + digits
	}
	if negative(before) {
		digits = "-" + digits
	}
	return digits, rest
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// spaced are thousands written as `45 210` or `23'995`.
var spaced = regexp.MustCompile(`^[0-9]{1,3}(?:(?: [0-9]{3})+|(?:'[0-9]{3})+|(?:’[0-9]{3})+)`)

// closeGroups takes the separators out of the spaced thousands a text begins with. They are not ok when more
// digits follow: a telephone number, or a slip.
func closeGroups(text string) (closed string, ok bool) {
	groups := ""
	if strings.ContainsAny(text, " '’") { // most numbers stand alone
		groups = spaced.FindString(text)
	}
	if groups == "" {
		return text, true
	}
	rest := text[len(groups):]
	more := strings.TrimLeft(rest, " '’")
	return strings.NewReplacer(" ", "", "'", "", "’", "").Replace(groups) + rest, more == "" || !isDigit(more[0])
}

// inThousands recognises the k of `45k`, given what stands behind the number.
func inThousands(rest string) bool {
	rest = strings.TrimLeft(rest, " ")
	return rest != "" && (rest[0] == 'k' || rest[0] == 'K') && (len(rest) == 1 || !unicode.IsLetter(rune(rest[1])))
}

func unwritten(text string) string {
	return fmt.Sprintf("%q may mean thousands; write the number out", clip(text, 40))
}

// grouped tells whether separators stand where thousands end. `12,5` is some other notation.
func grouped(whole, separator string) bool {
	groups := strings.Split(whole, separator)
	for _, g := range groups[1:] {
		if len(g) != 3 {
			return false
		}
	}
	return groups[0] != "" || len(groups) == 1
}

// negative looks for a minus, or accountants' parenthesis, before a number.
func negative(before string) bool {
	before = strings.TrimRight(before, " $€£")
	return strings.HasSuffix(before, "-") || strings.HasSuffix(before, "−") || strings.HasSuffix(before, "(")
}

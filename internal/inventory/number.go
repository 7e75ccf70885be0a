package inventory

import (
	"regexp"
	"strings"
)

// number is the first number in a text, its thousands separators removed, with a point for decimals; "" when
// there is none. Currency signs, letters and what follows are left out.
func (c Cleaner) number(text string) string {
	start := strings.IndexAny(text, "0123456789")
	if start < 0 {
		return ""
	}
	end := start
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '.' || text[end] == ',') {
		end++
	}
	point, thousands := ".", ","
	if c.CommaDecimal {
		point, thousands = ",", "."
	}
	digits := strings.TrimRight(text[start:end], ".,")
	whole, fraction, _ := strings.Cut(digits, point)
	if !grouped(whole, thousands) || strings.ContainsAny(fraction, ".,") {
		return ""
	}
	digits = strings.ReplaceAll(whole, thousands, "")
	if fraction != "" {
		digits += "." + fraction
	}
	if start > 0 && text[start-1] == '.' {
		digits = "0." + digits
	}
	if negative(text[:start]) {
		digits = "-" + digits
	}
	return digits
}

// joinThousands takes out blanks and apostrophes that group digits by thousands: `12 345` and `12'345` are one
// number.
func joinThousands(text string) string {
	if !strings.ContainsAny(text, " '’") {
		return text
	}
	return thousands.ReplaceAllStringFunc(text, func(n string) string {
		return strings.NewReplacer(" ", "", "'", "", "’", "").Replace(n)
	})
}

var thousands = regexp.MustCompile(`\b\d{1,3}(?:[ '’]\d{3})+\b`)

// shortened recognises `23k`, `23.5 K` and `1.2 million`: what was meant is a guess.
func shortened(text string) bool {
	last := text[len(text)-1]
	return (last < '0' || last > '9') && multiplier.MatchString(text)
}

var multiplier = regexp.MustCompile(`(?i)\d ?(k|m|mio|mil|thousand|million)\.?$`)

// telephone recognises numbers to call: `Call 800-555-0100`.
func telephone(text string) bool {
	return strings.ContainsAny(text, "-) ") && phone.MatchString(text)
}

var phone = regexp.MustCompile(`\d{3}[-) ]+\d{4}\b|(?i)\bcall\b`)

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

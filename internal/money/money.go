// Package money owns amounts of money: exact decimals with two places, read from texts and JSON without a
// float anywhere. The currency is the dealership's and lives there.
package money

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/govalues/decimal"
)

// MaxCents is the largest amount, either sign: 9,999,999,999.99.
const MaxCents = 999_999_999_999

// Why a text is no amount. The messages are for the sender.
var (
	ErrSyntax = errors.New(`must be a decimal number, as in "32999.00"`)
	ErrPlaces = errors.New("must not have more than two decimal places")
	ErrRange  = errors.New("must lie between -9999999999.99 and 9999999999.99")
)

// Amount is an exact sum of money. The zero value is 0.00.
type Amount struct{ cents int64 }

// FromCents makes an amount of whole cents.
func FromCents(cents int64) Amount { return Amount{cents} }

// Cents is the amount in cents.
func (a Amount) Cents() int64 { return a.cents }

// String is the canonical form with two places: "32999.00".
func (a Amount) String() string { return string(a.Append(nil)) }

// Append appends the canonical form.
func (a Amount) Append(b []byte) []byte {
	c := a.cents
	if c < 0 {
		b = append(b, '-')
		c = -c
	}
	var digits [20]byte
	at := len(digits)
	for n := 0; n < 3 || c > 0; n++ {
		if n == 2 {
			at--
			digits[at] = '.'
		}
		at--
		digits[at] = byte('0' + c%10)
		c /= 10
	}
	return append(b, digits[at:]...)
}

// Parse reads a plain decimal number ("32999", "-5.5", "3.2999e4", as JSON writes numbers; leading zeros are
// fine). Zeros after the second place are dropped, anything else there is ErrPlaces.
func Parse(text string) (Amount, error) {
	if !number(text) {
		return Amount{}, ErrSyntax
	}
	d, err := decimal.Parse(text)
	if err != nil || d.Abs().Cmp(limit) > 0 {
		return Amount{}, ErrRange
	}
	cents := d.Rescale(2)
	if cents.Cmp(d) != 0 || tooFine(text, d) {
		return Amount{}, ErrPlaces
	}
	n := int64(cents.Coef())
	if cents.IsNeg() {
		n = -n
	}
	return Amount{n}, nil
}

var limit = decimal.MustNew(MaxCents, 2)

// maxLength of a number; what is longer would lose digits before it can be judged.
const maxLength = 40

// number accepts JSON's grammar of numbers, and leading zeros.
func number(s string) bool {
	if len(s) > maxLength {
		return false
	}
	s = strings.TrimPrefix(s, "-")
	mantissa, exponent, has := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, point := strings.Cut(mantissa, ".")
	if !digits(whole) || point && !digits(fraction) {
		return false
	}
	if !has {
		return true
	}
	if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
		exponent = exponent[1:]
	}
	return digits(exponent) && len(exponent) <= 2
}

// tooFine finds digits that the decimal, which keeps 19, has rounded away.
func tooFine(s string, d decimal.Decimal) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
	significant := strings.Trim(strings.Replace(strings.TrimPrefix(mantissa, "-"), ".", "", 1), "0")
	return len(significant) > 12 || d.IsZero() && significant != ""
}

func digits(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ParseJSON reads an amount from a JSON string or number, digit by digit.
func ParseJSON(raw []byte) (Amount, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return Amount{}, ErrSyntax
		}
		return Parse(s)
	}
	return Parse(string(raw))
}

// UnmarshalJSON reads a JSON string or number. Null is refused: an amount that is not told is not 0.00.
func (a *Amount) UnmarshalJSON(raw []byte) error {
	read, err := ParseJSON(raw)
	if err != nil {
		return err
	}
	*a = read
	return nil
}

// MarshalJSON writes the canonical form as a JSON string.
func (a Amount) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// AppendJSON appends the canonical form as a JSON string.
func (a Amount) AppendJSON(b []byte) []byte {
	return append(a.Append(append(b, '"')), '"')
}

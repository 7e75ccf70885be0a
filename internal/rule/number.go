package rule

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"

	"github.com/govalues/decimal"
)

// number is an exact number. A decimal of 19 digits holds nearly all that rules work out, or two hold it as a
// fraction, as a third, without an allocation; for what is longer there are fractions of any length. So nothing is
// ever rounded before the end.
type number struct {
	d  decimal.Decimal
	by decimal.Decimal // what d has yet to be divided by, never negative; 0 is for nothing
	r  *big.Rat        // the value, where it fits neither; never changed once made
}

// maxBits bounds a fraction's numerator and denominator, and with them what an expression can cost. About 150
// digits are far beyond any amount of money.
const maxBits = 512

// readNumber reads a plain decimal number, as in "-5" or "0.95", of at most 19 digits.
func readNumber(text string) (d decimal.Decimal, ok bool) {
	digits := strings.TrimPrefix(text, "-")
	var coef int64
	significant, scale, point := 0, 0, -1
	for i := range len(digits) {
		c := digits[i]
		switch {
		case c >= '0' && c <= '9':
			if coef = coef*10 + int64(c-'0'); coef != 0 {
				significant++
			}
			if point >= 0 {
				scale++
			}
		case c == '.' && point < 0 && i > 0:
			point = i
		default:
			return d, false
		}
		if significant > decimal.MaxPrec || scale > decimal.MaxScale {
			return d, false
		}
	}
	if digits == "" || point == len(digits)-1 {
		return d, false
	}
	var err error
	if significant == decimal.MaxPrec { // may not fit an int64
		d, err = decimal.Parse(text)
		return d, err == nil
	}
	if len(digits) != len(text) {
		coef = -coef
	}
	d, err = decimal.New(coef, scale)
	return d, err == nil
}

// decimalOf is units / 10^places.
func decimalOf(units int64, places int) decimal.Decimal {
	d, err := decimal.New(units, places)
	if err != nil {
		return decimal.Zero // not reached: every int64 has at most 19 digits, and no place is below the 19th
	}
	return d
}

func whole(n int64) number { return number{d: decimalOf(n, 0)} }

// rat is the number as a fraction; not to be changed.
func (n number) rat() *big.Rat {
	if n.r != nil {
		return n.r
	}
	r := new(big.Rat).SetFrac(integer(n.d), tenTo(n.d.Scale()))
	if !n.by.IsZero() {
		r.Mul(r, new(big.Rat).SetFrac(tenTo(n.by.Scale()), integer(n.by)))
	}
	return r
}

// integer is a decimal without its point.
func integer(d decimal.Decimal) *big.Int {
	i := new(big.Int).SetUint64(d.Coef())
	if d.IsNeg() {
		i.Neg(i)
	}
	return i
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// fraction makes a number of a fraction; ok is false when it has grown too large.
func fraction(r *big.Rat) (n number, ok bool) {
	return number{r: r}, r.Num().BitLen() <= maxBits && r.Denom().BitLen() <= maxBits
}

func (n number) sign() int {
	if n.r != nil {
		return n.r.Sign()
	}
	return n.d.Sign()
}

func (n number) negated() number {
	if n.r != nil {
		return number{r: new(big.Rat).Neg(n.r)}
	}
	n.d = n.d.Neg()
	return n
}

// sum and product are those of decimals, exact or not ok: a result that has lost a digit shows it by its scale.

func sum(a, b decimal.Decimal) (d decimal.Decimal, ok bool) {
	d, err := a.Add(b)
	return d, err == nil && d.Scale() == max(a.Scale(), b.Scale())
}

func product(a, b decimal.Decimal) (d decimal.Decimal, ok bool) {
	d, err := a.Mul(b)
	return d, err == nil && d.Scale() == a.Scale()+b.Scale()
}

// stretched is the product with a divisor, of which 0 says that there is none.
func stretched(d, by decimal.Decimal) (decimal.Decimal, bool) {
	if by.IsZero() {
		return d, true
	}
	return product(d, by)
}

// aligned brings two numbers to one divisor; ok is false when they don't fit.
func aligned(a, b number) (x, y, by decimal.Decimal, ok bool) {
	if a.r != nil || b.r != nil {
		return x, y, by, false
	}
	if a.by == b.by {
		return a.d, b.d, a.by, true
	}
	x, okX := stretched(a.d, b.by)
	y, okY := stretched(b.d, a.by)
	by, ok = divisor(a, b)
	return x, y, by, ok && okX && okY
}

// divisor is the product of two divisors.
func divisor(a, b number) (by decimal.Decimal, ok bool) {
	if a.by.IsZero() {
		return b.by, true
	}
	return stretched(a.by, b.by)
}

func compare(a, b number) int {
	if x, y, _, ok := aligned(a, b); ok {
		return x.Cmp(y)
	}
	return a.rat().Cmp(b.rat())
}

// The operations are exact; ok is false when the result has grown too large.

func add(a, b number) (n number, ok bool) {
	if x, y, by, ok := aligned(a, b); ok {
		if d, ok := sum(x, y); ok {
			return number{d: d, by: by}, true
		}
	}
	return fraction(new(big.Rat).Add(a.rat(), b.rat()))
}

func subtract(a, b number) (n number, ok bool) { return add(a, b.negated()) }

func multiply(a, b number) (n number, ok bool) {
	if a.r == nil && b.r == nil {
		d, ok := product(a.d, b.d)
		by, fits := divisor(a, b)
		if ok && fits {
			return number{d: d, by: by}, true
		}
	}
	return fraction(new(big.Rat).Mul(a.rat(), b.rat()))
}

// divide divides by what is not zero.
func divide(a, b number) (n number, ok bool) {
	if a.r == nil && b.r == nil {
		if b.sign() < 0 {
			a, b = a.negated(), b.negated()
		}
		d, ok := stretched(a.d, b.by)
		by, fits := stretched(b.d, a.by)
		if ok && fits {
			return number{d: d, by: by}, true
		}
	}
	return fraction(new(big.Rat).Quo(a.rat(), b.rat()))
}

// remainder is what is left of a after taking b from it a whole number of times; it has a's sign. b is not zero.
func remainder(a, b number) (n number, ok bool) {
	if x, y, by, ok := aligned(a, b); ok {
		if _, d, err := x.QuoRem(y); err == nil {
			return number{d: d, by: by}, true
		}
	}
	q := new(big.Rat).Quo(a.rat(), b.rat())
	whole := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom())) // towards zero
	return fraction(whole.Sub(a.rat(), whole.Mul(whole, b.rat())))
}

// rounding is a way to leave digits out.
type rounding uint8

const (
	halfAway rounding = iota // to the nearest, halves away from zero
	down                     // to what is not larger
	up                       // to what is not smaller
)

// round rounds to a number of places, at most maxPlaces.
func (n number) round(places int, way rounding) number {
	if n.r == nil && n.by.IsZero() && n.d.Scale() <= places {
		return n
	}
	if units, ok := n.units(places, way); ok {
		return number{d: decimalOf(units, places)}
	}
	return number{r: new(big.Rat).SetFrac(n.scaled(places, way), tenTo(places))}
}

// units is the number in units of the last of the given places; ok is false when that is no int64.
func (n number) units(places int, way rounding) (units int64, ok bool) {
	if n.r == nil {
		if units, ok := n.quotient(places, way); ok {
			return units, true
		}
	}
	all := n.scaled(places, way)
	return all.Int64(), all.IsInt64()
}

// quotient is units as far as 128 bits do.
func (n number) quotient(places int, way rounding) (units int64, ok bool) {
	low, by, shift := n.d.Coef(), uint64(1), places-n.d.Scale()
	if !n.by.IsZero() {
		by, shift = n.by.Coef(), shift+n.by.Scale()
	}
	var high, over uint64
	switch {
	case shift >= len(powers) || -shift >= len(powers):
		return 0, false
	case shift >= 0:
		high, low = bits.Mul64(low, powers[shift])
	default:
		over, by = bits.Mul64(by, powers[-shift])
	}
	if over != 0 || high >= by {
		return 0, false
	}
	q, rest := bits.Div64(high, low, by)
	negative := n.d.IsNeg()
	switch {
	case q > math.MaxInt64:
		return 0, false
	case way == halfAway && rest >= by-rest, way == down && negative && rest > 0, way == up && !negative && rest > 0:
		q++
	}
	if units = int64(q); negative {
		units = -units
	}
	return units, q <= math.MaxInt64
}

// powers of ten, as far as an uint64 goes.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// scaled is the number times ten to the places, rounded to a whole.
func (n number) scaled(places int, way rounding) *big.Int {
	r := n.rat()
	num, den := new(big.Int).Mul(r.Num(), tenTo(places)), r.Denom()
	q, rest := new(big.Int).DivMod(num, den, new(big.Int)) // down, rest not negative
	more := false
	switch twice := rest.Cmp(new(big.Int).Sub(den, rest)); way {
	case up:
		more = rest.Sign() != 0
	case halfAway:
		more = twice > 0 || twice == 0 && num.Sign() > 0
	}
	if more {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// maxShown is the most characters of a number that a message shows.
const maxShown = 40

// String is the number as people write it, for messages.
func (n number) String() string {
	text := ""
	if n.r == nil && n.by.IsZero() {
		text = n.d.Trim(0).String()
	} else {
		text = strings.TrimSuffix(strings.TrimRight(n.rat().FloatString(4), "0"), ".")
	}
	if len(text) > maxShown {
		whole, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		return fmt.Sprintf("of %d digits", len(whole))
	}
	return text
}

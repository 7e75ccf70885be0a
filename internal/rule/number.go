package rule

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"

	"github.com/govalues/decimal"
)

// number is an exact number. Decimals of 19 digits hold nearly all that rules work out, without an allocation;
// what they can't hold exactly, as a third, is a fraction. So nothing is ever rounded before the end.
type number struct {
	d decimal.Decimal
	r *big.Rat // the value, where it is no such decimal; never changed once made
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
	num := new(big.Int).SetUint64(n.d.Coef())
	if n.d.IsNeg() {
		num.Neg(num)
	}
	return new(big.Rat).SetFrac(num, tenTo(n.d.Scale()))
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
	return number{d: n.d.Neg()}
}

func compare(a, b number) int {
	if a.r == nil && b.r == nil {
		return a.d.Cmp(b.d)
	}
	return a.rat().Cmp(b.rat())
}

// The operations are exact: a decimal result that has lost a digit shows it by its scale. ok is false when the
// result has grown too large.

func add(a, b number) (sum number, ok bool) {
	if a.r == nil && b.r == nil {
		if d, err := a.d.Add(b.d); err == nil && d.Scale() == max(a.d.Scale(), b.d.Scale()) {
			return number{d: d}, true
		}
	}
	return fraction(new(big.Rat).Add(a.rat(), b.rat()))
}

func subtract(a, b number) (difference number, ok bool) { return add(a, b.negated()) }

func multiply(a, b number) (product number, ok bool) {
	if a.r == nil && b.r == nil {
		if d, err := a.d.Mul(b.d); err == nil && d.Scale() == a.d.Scale()+b.d.Scale() {
			return number{d: d}, true
		}
	}
	return fraction(new(big.Rat).Mul(a.rat(), b.rat()))
}

// divide divides by what is not zero.
func divide(a, b number) (quotient number, ok bool) {
	if a.r == nil && b.r == nil {
		if d, err := a.d.Quo(b.d); err == nil {
			back, ok := multiply(number{d: d}, b)
			if ok && back.r == nil && back.d.Cmp(a.d) == 0 {
				return number{d: d}, true
			}
		}
	}
	return fraction(new(big.Rat).Quo(a.rat(), b.rat()))
}

// remainder is what is left of a after taking b from it a whole number of times; it has a's sign. b is not zero.
func remainder(a, b number) (rest number, ok bool) {
	if a.r == nil && b.r == nil {
		if _, d, err := a.d.QuoRem(b.d); err == nil {
			return number{d: d}, true
		}
	}
	q := new(big.Rat).Quo(a.rat(), b.rat())
	times := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom())) // towards zero
	return fraction(times.Sub(a.rat(), times.Mul(times, b.rat())))
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
	if n.r == nil {
		return number{d: roundDecimal(n.d, places, way)}
	}
	return number{r: new(big.Rat).SetFrac(n.scaled(places, way), tenTo(places))}
}

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

func roundDecimal(d decimal.Decimal, places int, way rounding) decimal.Decimal {
	switch {
	case d.Scale() <= places:
		return d
	case way == down:
		return d.Floor(places)
	case way == up:
		return d.Ceil(places)
	}
	unit := powers[d.Scale()-places]
	whole, rest := bits.Div64(0, d.Coef(), unit)
	if rest >= unit-rest {
		whole++
	}
	out, err := decimal.New(int64(whole), places) // at least a digit shorter than what fits
	if err != nil {
		return d // not reached
	}
	return out.CopySign(d)
}

// powers of ten, as far as an uint64 goes.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// units is the number in units of the last of the given places, rounded half away from zero; ok is false when
// that is no int64.
func (n number) units(places int) (units int64, ok bool) {
	if n.r != nil {
		whole := n.scaled(places, halfAway)
		return whole.Int64(), whole.IsInt64()
	}
	d := roundDecimal(n.d, places, halfAway)
	high, low := bits.Mul64(d.Coef(), powers[places-d.Scale()])
	if high != 0 || low > math.MaxInt64 {
		return 0, false
	}
	if d.IsNeg() {
		return -int64(low), true
	}
	return int64(low), true
}

// maxShown is the most characters of a number that a message shows.
const maxShown = 40

// String is the number as people write it, for messages.
func (n number) String() string {
	text := ""
	if n.r == nil {
		text = n.d.Trim(0).String()
	} else {
		text = strings.TrimSuffix(strings.TrimRight(n.r.FloatString(4), "0"), ".")
	}
	if len(text) > maxShown {
		whole, _, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		return fmt.Sprintf("of %d digits", len(whole))
	}
	return text
}

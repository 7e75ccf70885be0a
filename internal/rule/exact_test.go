package rule

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"carfluence/internal/vehicle"
)

// phrase is an expression as the test knows it: a text, and its exact value worked out lazily, as the rules do.
type phrase struct {
	text string
	rat  func(*reckoning) *big.Rat // nil when something is missing
	yes  func(*reckoning) (yes, ok bool)
}

// reckoning notes what goes wrong first.
type reckoning struct{ reason string }

func (r *reckoning) fail(reason string) *big.Rat {
	if r.reason == "" {
		r.reason = reason
	}
	return nil
}

// sized fails when a result is larger than rules work with.
func (r *reckoning) sized(x *big.Rat) *big.Rat {
	if x.Num().BitLen() > maxBits || x.Denom().BitLen() > maxBits {
		return r.fail(tooLarge)
	}
	return x
}

func ratOf(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(strings.ReplaceAll(text, "_", ""))
	if !ok {
		panic(text)
	}
	return r
}

// written are the fields that expressions of the test read, "" for empty ones.
var written = map[string]string{
	"price": "35997.00", "msrp": "0.01", "internet_price": "999999999.99", "misc_price_1": "0.00", "sale_price": "", "mileage": "107031", "doors": "", "gears": "6",
	"engine_displacement_l": "3.5", "days_on_lot": "120", "custom.a": "-12.345", "custom.b": "", "custom.c": "abc", "custom.d": "0.0000000000000000007",
}

func writtenValues() vehicle.Values {
	var v vehicle.Values
	custom := map[string]string{}
	for name, text := range written {
		if f, ok := vehicle.FieldNamed(name); ok {
			v[f] = text
		} else if property, ok := strings.CutPrefix(name, "custom."); ok && text != "" {
			custom[property] = text
		}
	}
	v[vehicle.Custom] = vehicle.MapOf(custom)
	return v
}

func fieldPhrase(name string) phrase {
	return phrase{text: name, rat: func(r *reckoning) *big.Rat {
		switch text := written[name]; text {
		case "":
			return r.fail(name + " is empty")
		case "abc":
			return r.fail(name + " is no number")
		default:
			return ratOf(text)
		}
	}}
}

func names(t *rapid.T) string {
	var list []string
	for name, text := range written {
		if list = append(list, name); text != "" && text != "abc" { // more often what has a value
			list = append(list, name, name, name)
		}
	}
	slices.Sort(list)
	return rapid.SampledFrom(list).Draw(t, "name")
}

// numberPhrase draws an expression that yields a number.
func numberPhrase(t *rapid.T, depth int) phrase {
	if depth == 0 || rapid.IntRange(0, 5).Draw(t, "leaf") == 0 {
		if rapid.Bool().Draw(t, "field") {
			return fieldPhrase(names(t))
		}
		text := rapid.StringMatching(`[1-9][0-9]{0,3}|0|[0-9]{1,5}\.[0-9]{1,3}|0\.[0-9]{1,18}|[1-9][0-9]{10,17}|[1-9]_[0-9]{3}|[0-9]{9}\.[0-9]{9}`).Draw(t, "literal")
		return phrase{text: text, rat: func(*reckoning) *big.Rat { return ratOf(text) }}
	}
	a := numberPhrase(t, depth-1)
	switch o := rapid.SampledFrom([]string{"+", "-", "*", "/", "%", "+", "-", "*", "/", "neg", "abs", "round", "floor", "ceil", "min", "max", "?:", "??"}).Draw(t, "operation"); o {
	case "neg":
		return phrase{text: "-(" + a.text + ")", rat: on(a, func(x *big.Rat) *big.Rat { return new(big.Rat).Neg(x) })}
	case "abs":
		return phrase{text: "abs(" + a.text + ")", rat: on(a, func(x *big.Rat) *big.Rat { return new(big.Rat).Abs(x) })}
	case "floor", "ceil":
		return phrase{text: o + "(" + a.text + ")", rat: on(a, func(x *big.Rat) *big.Rat { return wholeRat(x, o == "ceil") })}
	case "round":
		places := rapid.IntRange(0, 10).Draw(t, "places")
		return phrase{text: fmt.Sprintf("round(%s, %d)", a.text, places), rat: on(a, func(x *big.Rat) *big.Rat { return nearestRat(x, places) })}
	case "??":
		name := names(t)
		if name == "days_on_lot" {
			return a
		}
		return phrase{text: "(" + name + " ?? (" + a.text + "))", rat: func(r *reckoning) *big.Rat {
			if written[name] == "" {
				return a.rat(r)
			}
			return fieldPhrase(name).rat(r)
		}}
	case "?:":
		c, b := truthPhrase(t, depth-1), numberPhrase(t, depth-1)
		return phrase{text: "(" + c.text + " ? " + a.text + " : " + b.text + ")", rat: func(r *reckoning) *big.Rat {
			switch yes, ok := c.yes(r); {
			case !ok:
				return nil
			case yes:
				return a.rat(r)
			}
			return b.rat(r)
		}}
	case "min", "max":
		b := numberPhrase(t, depth-1)
		return phrase{text: o + "(" + a.text + ", " + b.text + ")", rat: with(a, b, func(_ *reckoning, x, y *big.Rat) *big.Rat {
			if (x.Cmp(y) < 0) == (o == "min") {
				return x
			}
			return y
		})}
	default:
		b := numberPhrase(t, depth-1)
		return phrase{text: "(" + a.text + " " + o + " " + b.text + ")", rat: with(a, b, func(r *reckoning, x, y *big.Rat) *big.Rat { return arithmeticRat(r, o, x, y) })}
	}
}

func on(a phrase, f func(x *big.Rat) *big.Rat) func(*reckoning) *big.Rat {
	return func(r *reckoning) *big.Rat {
		x := a.rat(r)
		if x == nil {
			return nil
		}
		return f(x)
	}
}

func with(a, b phrase, f func(r *reckoning, x, y *big.Rat) *big.Rat) func(*reckoning) *big.Rat {
	return func(r *reckoning) *big.Rat {
		x := a.rat(r)
		if x == nil {
			return nil
		}
		y := b.rat(r)
		if y == nil {
			return nil
		}
		return f(r, x, y)
	}
}

func arithmeticRat(r *reckoning, o string, x, y *big.Rat) *big.Rat {
	z := new(big.Rat)
	switch o {
	case "+":
		return r.sized(z.Add(x, y))
	case "-":
		return r.sized(z.Sub(x, y))
	case "*":
		return r.sized(z.Mul(x, y))
	}
	if y.Sign() == 0 {
		return r.fail(divisionByZero)
	}
	z.Quo(x, y)
	if o == "%" { // x - y * (x/y cut to a whole)
		cut := wholeRat(new(big.Rat).Abs(z), false)
		if z.Sign() < 0 {
			cut.Neg(cut)
		}
		z.Sub(x, cut.Mul(cut, y))
	}
	return r.sized(z)
}

// wholeRat is the next whole number, below or above.
func wholeRat(x *big.Rat, above bool) *big.Rat {
	q := new(big.Int).Div(x.Num(), x.Denom()) // the divisor is positive: down
	if above && !x.IsInt() {
		q.Add(q, big.NewInt(1))
	}
	return new(big.Rat).SetInt(q)
}

// nearestRat rounds half away from zero.
func nearestRat(x *big.Rat, places int) *big.Rat {
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil))
	y := new(big.Rat).Mul(new(big.Rat).Abs(x), scale)
	y = wholeRat(y.Add(y, big.NewRat(1, 2)), false)
	if x.Sign() < 0 {
		y.Neg(y)
	}
	return y.Quo(y, scale)
}

// truthPhrase draws an expression that yields true or false.
func truthPhrase(t *rapid.T, depth int) phrase {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "junction") == 0 {
		a, b := truthPhrase(t, depth-1), truthPhrase(t, depth-1)
		o := rapid.SampledFrom([]string{"&&", "||", "!"}).Draw(t, "junction")
		if o == "!" {
			return phrase{text: "!(" + a.text + ")", yes: func(r *reckoning) (bool, bool) { yes, ok := a.yes(r); return !yes, ok }}
		}
		return phrase{text: "(" + a.text + " " + o + " " + b.text + ")", yes: func(r *reckoning) (bool, bool) {
			if yes, ok := a.yes(r); !ok || yes == (o == "||") {
				return yes, ok
			}
			return b.yes(r)
		}}
	}
	a, b := numberPhrase(t, max(depth-1, 0)), numberPhrase(t, 0)
	o := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "comparison")
	return phrase{text: "(" + a.text + " + 0 " + o + " " + b.text + ")", yes: func(r *reckoning) (bool, bool) {
		x := a.rat(r)
		if x == nil {
			return false, false
		}
		y := b.rat(r)
		if y == nil {
			return false, false
		}
		n := x.Cmp(y)
		return map[string]bool{"==": n == 0, "!=": n != 0, "<": n < 0, "<=": n <= 0, ">": n > 0, ">=": n >= 0}[o], true
	}}
}

// What an expression sets is the exact value, rounded once, to the places of what is set.
func TestExpressionsAreExact(t *testing.T) {
	low, high := ratOf("0.01"), ratOf("999999999.99")
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := numberPhrase(t, 4)
		c, faults := Compile(rule(by("price", p.text)), now)
		for _, f := range faults {
			if strings.Contains(f.Detail, "can't be set") || strings.Contains(f.Detail, "more than 100 parts") || strings.Contains(f.Detail, "longer than") {
				seen["refused"]++
				return // constant and without a result, or too long
			}
			t.Fatalf("%s: %v", p.text, f)
		}
		v, r, want := writtenValues(), vehicle.Ruling{DaysOnLot: 120}, reckoning{}
		before := v[vehicle.Price]
		InOrder([]*Compiled{c}).Run(&v, &r)
		exact, reason := p.rat(&want), ""
		if len(r.Faults) > 0 {
			reason = r.Faults[0].Reason
		}
		if exact == nil {
			seen["no result"]++
			if reason != want.reason || v[vehicle.Price] != before {
				t.Fatalf("%s:\n%q, want %q", p.text, reason, want.reason)
			}
			return
		}
		exact = nearestRat(exact, 2)
		if exact.Cmp(low) < 0 || exact.Cmp(high) > 0 {
			seen["outside"]++
			if !strings.Contains(reason, "lies outside") || v[vehicle.Price] != before {
				t.Fatalf("%s = %s: %q, price %s", p.text, exact.FloatString(2), reason, v[vehicle.Price])
			}
			return
		}
		seen["result"]++
		if v[vehicle.Price] != exact.FloatString(2) || reason != "" {
			t.Fatalf("%s: %s, %q; exactly %s", p.text, v[vehicle.Price], reason, exact.FloatString(2))
		}
	})
	if t.Logf("%v", seen); seen["result"] == 0 || seen["no result"] == 0 || seen["outside"] == 0 {
		t.Errorf("the drawn expressions are too much alike: %v", seen)
	}
}

// Numbers come back from their texts as what they are, or are refused.
func TestNumbersAreReadExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,22}(\.[0-9]{1,22})?`).Draw(t, "text")
		d, ok := readNumber(text)
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		fits := len(strings.TrimLeft(whole+fraction, "0")) <= 19 && len(fraction) <= 19
		if ok != fits {
			t.Fatalf("%s: %v", text, ok)
		}
		if ok && ratOf(text).Cmp(number{d: d}.rat()) != 0 {
			t.Fatalf("%s became %s", text, d)
		}
	})
	for _, text := range []string{"", "-", ".", "-.", "5.", ".5", "+5", " 5", "5 ", "1e3", "0x1", "1_0", "--5", "1.2.3", "½", "٣", "Inf", "NaN"} {
		if d, ok := readNumber(text); ok {
			t.Errorf("%q became %s", text, d)
		}
	}
}

// Each operation on numbers is that on fractions, whether they are held as decimals or as fractions.
func TestOperationsAreExact(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) number {
		n := number{d: decimalOf(rapid.Int64().Draw(t, "coefficient"), rapid.IntRange(0, 19).Draw(t, "scale"))}
		switch rapid.IntRange(0, 4).Draw(t, "sort") {
		case 4:
			n.by = decimalOf(rapid.Int64Range(1, math.MaxInt64).Draw(t, "divisor"), rapid.IntRange(0, 19).Draw(t, "divisor's scale"))
		case 0:
			n = number{r: n.rat()}
		case 1:
			n = number{r: new(big.Rat).Quo(n.rat(), big.NewRat(7, 3))}
		}
		return n
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		x, y := a.rat(), b.rat()
		same := func(what string, got number, want *big.Rat) {
			if got.rat().Cmp(want) != 0 {
				t.Fatalf("%s of %s and %s: %s, want %s", what, x, y, got.rat(), want)
			}
		}
		for what, f := range map[string]func(a, b number) (number, bool){"+": add, "-": subtract, "*": multiply, "/": divide, "%": remainder} {
			if (what == "/" || what == "%") && y.Sign() == 0 {
				continue
			}
			var r reckoning
			got, ok := f(a, b)
			if want := arithmeticRat(&r, what, x, y); ok != (want != nil) {
				t.Fatalf("%s of %s and %s: %v", what, x, y, ok)
			} else if ok {
				same(what, got, want)
			}
		}
		if compare(a, b) != x.Cmp(y) || a.sign() != x.Sign() {
			t.Fatalf("%s and %s: %d, %d", x, y, compare(a, b), a.sign())
		}
		places := rapid.IntRange(0, 10).Draw(t, "places")
		scale := new(big.Rat).SetInt(tenTo(places))
		scaled := new(big.Rat).Mul(x, scale)
		same("round", a.round(places, halfAway), nearestRat(x, places))
		same("floor", a.round(places, down), new(big.Rat).Quo(wholeRat(scaled, false), scale))
		same("ceil", a.round(places, up), new(big.Rat).Quo(wholeRat(scaled, true), scale))
		units, ok := a.units(places, halfAway)
		want := new(big.Rat).Mul(nearestRat(x, places), scale)
		least := want.Cmp(new(big.Rat).SetInt64(math.MinInt64)) == 0 // either way
		if ok && units != want.Num().Int64() || ok != want.Num().IsInt64() && !least {
			t.Fatalf("%s has %d units, %v; want %s", x, units, ok, want)
		}
	})
}

func TestHalvesGoAwayFromZero(t *testing.T) {
	for text, want := range map[string]string{"2.5": "3", "-2.5": "-3", "2.4": "2", "-2.4": "-2", "0.5": "1", "-0.5": "-1", "-3": "-3", "0": "0", "9.5": "10", "-2.51": "-3"} {
		d, ok := readNumber(text)
		if !ok {
			t.Fatal(text)
		}
		for _, n := range []number{{d: d}, {r: ratOf(text)}} {
			if got := n.round(0, halfAway).String(); got != want {
				t.Errorf("%s rounds to %s, want %s", text, got, want)
			}
		}
	}
}

func TestUnitsEndWithInt64(t *testing.T) {
	for _, n := range []number{
		{d: decimalOf(1647730764, 0), by: decimalOf(893236637, 19)}, // half a unit below 1<<64
		{d: decimalOf(math.MaxInt64, 0), by: decimalOf(5, 1)},
		{r: ratOf("9223372036854775807.5")},
	} {
		if units, ok := n.units(0, halfAway); ok {
			t.Errorf("%s has %d units", n, units)
		}
	}
	for _, n := range []number{{d: decimalOf(-math.MaxInt64, 0)}, {r: ratOf("-9223372036854775807.4")}} {
		if units, ok := n.units(0, halfAway); !ok || units != -math.MaxInt64 {
			t.Errorf("%s has %d units", n, units)
		}
	}
}

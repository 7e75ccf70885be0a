package money

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"32999": "32999.00", "32999.5": "32999.50", "32999.00": "32999.00", "0": "0.00", "-0": "0.00", "0.01": "0.01", "-5.5": "-5.50",
		"3.2999e4": "32999.00", "3299900E-2": "32999.00", "1e0": "1.00", "00042": "42.00", "19.9900000": "19.99",
		"9999999999.99": "9999999999.99", "-9999999999.99": "-9999999999.99", "999999999999e-2": "9999999999.99", "0.10000000000000000000000000000": "0.10",
	} {
		a, err := Parse(text)
		if err != nil || a.String() != want {
			t.Errorf("Parse(%q) = %s, %v; want %s", text, a, err, want)
		}
	}
	for text, want := range map[string]error{
		"": ErrSyntax, " 1": ErrSyntax, "1 ": ErrSyntax, "$1": ErrSyntax, "1,000": ErrSyntax, ".5": ErrSyntax, "5.": ErrSyntax, "+5": ErrSyntax,
		"1e": ErrSyntax, "NaN": ErrSyntax, "Infinity": ErrSyntax, "0x10": ErrSyntax, "1_000": ErrSyntax, "--1": ErrSyntax, "1e999": ErrSyntax, "1e+-5": ErrSyntax, "1e+": ErrSyntax,
		"19.999": ErrPlaces, "0.001": ErrPlaces, "1e-3": ErrPlaces, "0.100000000000000000000000000001": ErrPlaces, "0.000000000000000000000000001": ErrPlaces,
		"10000000000": ErrRange, "-10000000000.00": ErrRange, "1e20": ErrRange, "99999999999999999999999999": ErrRange,
	} {
		if a, err := Parse(text); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %s, %v; want %v", text, a, err, want)
		}
	}
}

func TestParseJSON(t *testing.T) {
	for raw, ok := range map[string]bool{`"32999.00"`: true, `32999`: true, `32999.00`: true, `3.3e4`: true, `true`: false, `null`: false, `[]`: false, `{}`: false, `"`: false, ``: false, `"12 USD"`: false} {
		if _, err := ParseJSON([]byte(raw)); (err == nil) != ok {
			t.Errorf("ParseJSON(%s): %v", raw, err)
		}
	}
	if a, err := ParseJSON([]byte("0.29")); err != nil || a.Cents() != 29 {
		t.Errorf("0.29 became %d cents, %v", a.Cents(), err)
	}
}

func TestEveryAmountSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(-MaxCents, MaxCents).Draw(t, "cents")
		text := FromCents(cents).String()
		back, err := Parse(text)
		if err != nil || back.Cents() != cents {
			t.Fatalf("%d cents were written %q and read %d, %v", cents, text, back.Cents(), err)
		}
		exact := new(big.Rat).SetFrac64(cents, 100)
		if got, ok := new(big.Rat).SetString(text); !ok || got.Cmp(exact) != 0 {
			t.Fatalf("%d cents were written %q", cents, text)
		}
	})
}

func TestJSONGoesThereAndBack(t *testing.T) {
	var in struct{ A, B, C Amount }
	if err := json.Unmarshal([]byte(`{"A":"32999.10","B":0.29,"C":-3.2999e4}`), &in); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(in)
	if want := `{"A":"32999.10","B":"0.29","C":"-32999.00"}`; err != nil || string(out) != want {
		t.Errorf("wrote %s, %v; want %s", out, err, want)
	}
	for _, bad := range []string{`null`, `true`, `"1.234"`, `1.234`, `""`, `10000000000`, `["1"]`} {
		a := FromCents(1)
		if err := json.Unmarshal([]byte(bad), &a); err == nil || a.Cents() != 1 {
			t.Errorf("%s became %s, %v", bad, a, err)
		}
	}
}

// Any number in JSON's notation is read as exactly what it says, or refused for what it says.
func TestNumbersAreReadExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?([eE][+-]?[0-9])?`).Draw(t, "text")
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		cents := new(big.Rat).Mul(exact, big.NewRat(100, 1))
		a, err := Parse(text)
		switch outside := new(big.Rat).Abs(cents).Cmp(big.NewRat(MaxCents, 1)) > 0; {
		case outside:
			if !errors.Is(err, ErrRange) {
				t.Fatalf("%s is out of range: %s, %v", text, a, err)
			}
		case !cents.IsInt():
			if !errors.Is(err, ErrPlaces) {
				t.Fatalf("%s has too many places: %s, %v", text, a, err)
			}
		case err != nil || cents.Num().Int64() != a.Cents():
			t.Fatalf("%s became %s, %v", text, a, err)
		}
	})
}

func TestAppendReusesTheBuffer(t *testing.T) {
	b := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() { b = FromCents(-MaxCents).AppendJSON(b[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := string(b); got != `"-9999999999.99"` {
		t.Errorf("wrote %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"32999.00", "1e-2", "-0.005", "9999999999999999999999", "1.000000000000000000001e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok || want.Cmp(new(big.Rat).SetFrac64(a.Cents(), 100)) != 0 {
			t.Fatalf("Parse(%q) = %s", text, a)
		}
	})
}

package rule

import (
	"strings"
	"testing"
	"unicode/utf8"

	"carfluence/internal/vehicle"
)

// FuzzExpression gives any text for an expression: it is refused with a place in it, or it runs within bounds.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		"price * 0.95", "max(round(price * 0.9, -2), (custom.floor ?? cost) * 1.02) - 0.01", `make == "Ford" ? 5 : 6`, "1 < year < 3", `custom["paint code"]`, "sale_price ?? 5 ?? 6",
		"map([1], # * 2)", "let x = 1; x", "price | min(3)", "vin?.Foo()", "$env", "1..9", "/* x */ 1", "((((1))))", "- - -1", "!!!true", "not in", "1e3", "0x1_0", "'\\x41'", "'\\u{1F600}'",
		"\xff", "price\x00", "1?2:3?:4", "a[b:c]", "{a: 1}", "::min(1)", "b'x'", "`x``y`", "custom.not in", "1 % 0", "7 % 0.3", "99999999999999999999", "price / 3 / 7 / 11 / 13", "round(1/3, 10)",
	} {
		f.Add(s)
	}
	targets := []string{"price", "year", "engine_displacement_l", "trim", "condition", "certified", "date_in_stock", "vdp_url", "transmission", "custom.x", "tags"}
	f.Fuzz(func(t *testing.T, text string) {
		for _, target := range targets {
			c, faults := Compile(rule(by(target, text)), now)
			for _, fault := range faults {
				if !strings.HasPrefix(fault.Pointer, "#/actions/0") || fault.Detail == "" || len(fault.Detail) > 2000 || !utf8.ValidString(fault.Detail) {
					t.Fatalf("%q for %s: %q %q", text, target, fault.Pointer, fault.Detail)
				}
			}
			if len(faults) > 0 {
				continue
			}
			if n := size(c.effects[0].expr); n > MaxNodes {
				t.Fatalf("%q has %d nodes", text, n)
			}
			for _, v := range []vehicle.Values{truck(), {}} {
				r := vehicle.Ruling{VIN: truckVIN, DaysOnLot: 120}
				InOrder([]*Compiled{c}).Run(&v, &r)
				c.Test(v, r)
				if s := c.effects[0].subject; len(v[s.field]) > 4*MaxExpression || len(r.Faults) > 1 {
					t.Fatalf("%q sets %s to %d bytes, %v", text, target, len(v[s.field]), r.Faults)
				}
				for _, fault := range r.Faults {
					if fault.Reason == "" || len(fault.Reason) > 4*MaxExpression {
						t.Fatalf("%q: %q", text, fault.Reason)
					}
				}
			}
		}
	})
}

func size(n *node) int {
	if n == nil {
		return 0
	}
	total := 1
	for _, arg := range n.args {
		total += size(arg)
	}
	return total
}

package rule

import (
	"testing"
	"time"

	"carfluence/internal/inventory"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func text(s string) *string { return &s }

func where(field string, o Operator, value ...string) Condition {
	c := Condition{Field: field, Operator: o}
	if len(value) > 0 {
		c.Value = &value[0]
	}
	return c
}

func to(field, value string) Action { return Action{Type: SetField, Field: field, Value: &value} }
func by(field, expr string) Action  { return Action{Type: SetField, Field: field, ValueExpr: &expr} }

// rule makes an enabled rule of conditions and actions.
func rule(parts ...any) Rule {
	r := Rule{ID: "r", Name: "A rule", Enabled: true}
	for _, p := range parts {
		switch p := p.(type) {
		case Condition:
			r.Conditions = append(r.Conditions, p)
		case Action:
			r.Actions = append(r.Actions, p)
		}
	}
	return r
}

func compiled(t testing.TB, r Rule) *Compiled {
	t.Helper()
	c, faults := Compile(r, now)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return c
}

func TestFirst(t *testing.T) {
	c := compiled(t, rule(where("condition", Equals, "used"), by("price", "price * 0.95")))
	v := inventory.Values{inventory.Condition: "used", inventory.Price: "32999.00"}
	got := c.Test(v, inventory.Ruling{})
	t.Log(got.Values[inventory.Price], got.Applied, got.Warnings)
}

func BenchmarkOne(b *testing.B) {
	rules := InOrder([]*Compiled{compiled(b, rule(where("condition", Equals, "used"), by("price", "price * 0.95")))})
	v := inventory.Values{inventory.Condition: "used"}
	b.ReportAllocs()
	for b.Loop() {
		var r inventory.Ruling
		v[inventory.Price] = "32999.00"
		rules.Run(&v, &r)
	}
}

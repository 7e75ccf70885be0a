package rule

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

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
		t.Fatalf("%v %v: %v", r.Conditions, r.Actions, faults)
	}
	return c
}

// changes are the fields in which two vehicles differ, as they are after.
func changes(before, after vehicle.Values) map[string]string {
	out := map[string]string{}
	for f := range vehicle.NumFields {
		if before[f] != after[f] {
			out[f.String()] = after[f]
		}
	}
	return out
}

func TestPublishedExamples(t *testing.T) {
	floor := rule(where("price", LessThan, "5000"), to("price", "5000"))
	luxury := rule(where("make", In, "BMW,Mercedes-Benz,Audi,Lexus"), to("tags", "luxury,premium"))
	black := rule(where("exterior_color", Contains, "Black"), to("exterior_color", "Black"))
	under := rule(by("internet_price", "price * 0.95"))
	aged := rule(where("days_on_lot", GreaterThan, "90"), where("condition", Equals, "used"), by("internet_price", "price * 0.9"), to("tags", "aged"))
	type is = map[string]string
	for _, c := range []struct {
		what string
		rule Rule
		v    vehicle.Values
		days int64
		want is
	}{
		{"below the floor", floor, vehicle.Values{vehicle.Price: "4999.99"}, 0, is{"price": "5000.00"}},
		{"at the floor", floor, vehicle.Values{vehicle.Price: "5000.00"}, 0, is{}},
		{"no price", floor, vehicle.Values{}, 0, is{}},
		{"luxury", luxury, vehicle.Values{vehicle.Make: "Mercedes-Benz", vehicle.Tags: `["old"]`}, 0, is{"tags": `["luxury","premium"]`}},
		{"no luxury", luxury, vehicle.Values{vehicle.Make: "Ford"}, 0, is{}},
		{"another case", luxury, vehicle.Values{vehicle.Make: "bmw"}, 0, is{}},
		{"black", black, vehicle.Values{vehicle.ExteriorColor: "Tuxedo Black Metallic"}, 0, is{"exterior_color": "Black"}},
		{"small letters", black, vehicle.Values{vehicle.ExteriorColor: "Jet black"}, 0, is{}},
		{"5 % under", under, vehicle.Values{vehicle.Price: "32999.00"}, 0, is{"internet_price": "31349.05"}},
		{"5 % under, to the cent", under, vehicle.Values{vehicle.Price: "0.10"}, 0, is{"internet_price": "0.10"}}, // 0.095
		{"5 % under nothing", under, vehicle.Values{vehicle.InternetPrice: "7.00"}, 0, is{}},
		{"aged", aged, vehicle.Values{vehicle.Price: "20000.00", vehicle.Condition: "used"}, 91, is{"internet_price": "18000.00", "tags": `["aged"]`}},
		{"not yet", aged, vehicle.Values{vehicle.Price: "20000.00", vehicle.Condition: "used"}, 90, is{}},
		{"new", aged, vehicle.Values{vehicle.Price: "20000.00", vehicle.Condition: "new"}, 91, is{}},
	} {
		v, r := c.v, vehicle.Ruling{VIN: truckVIN, DaysOnLot: c.days}
		rules := InOrder([]*Compiled{compiled(t, c.rule)})
		rules.Run(&v, &r)
		if d := cmp.Diff(c.want, changes(c.v, v)); d != "" {
			t.Errorf("%s: %s", c.what, d)
		}
		if rules.ReadDays != (c.days > 0) {
			t.Errorf("%s: reads the days: %v", c.what, rules.ReadDays)
		}
	}
}

func TestEachRuleSeesWhatTheOnesBeforeLeft(t *testing.T) {
	half := rule(by("price", "price / 2"))
	floor := rule(where("price", LessThan, "5000"), to("price", "5000"))
	off := rule(to("price", "1"))
	off.Enabled = false
	for _, c := range []struct {
		rules []Rule
		want  string
		by    int32
	}{
		{[]Rule{half, floor}, "5000.00", 1},
		{[]Rule{floor, half}, "4500.00", 1},
		{[]Rule{half, half, half}, "1125.00", 2},
		{[]Rule{off, half, off}, "4500.00", 0},
		{[]Rule{half, rule(where("price", GreaterThan, "9000"), to("price", "7"))}, "4500.00", 0},
		{[]Rule{rule(to("price", "1"), to("price", "2"))}, "2.00", 0},
	} {
		v, r := vehicle.Values{vehicle.Price: "9000.00"}, vehicle.Ruling{}
		ready := ordered(t, c.rules...)
		ready.Run(&v, &r)
		if v[vehicle.Price] != c.want || r.By[vehicle.Price] != c.by || r.Set != vehicle.FieldsOf(vehicle.Price) {
			t.Errorf("price %s by %d, set %v; want %s by %d", v[vehicle.Price], r.By[vehicle.Price], r.Set.Names(), c.want, c.by)
		}
	}
	ready := ordered(t, off, Rule{ID: "7", Name: "on", Enabled: true, Actions: half.Actions})
	if d := cmp.Diff([]vehicle.RuleName{{ID: "7", Name: "on"}}, ready.Names); d != "" {
		t.Error(d)
	}
}

func TestOverriddenFieldsAreLeftAlone(t *testing.T) {
	v := truck()
	r := vehicle.Ruling{Keep: vehicle.FieldsOf(vehicle.Price, vehicle.Gears, vehicle.Custom)}
	ordered(t, rule(to("price", "1"), by("price", "sale_price"), to("transmission", "CVT"), to("custom.a", "x"), to("tags", "b"))).Run(&v, &r)
	want := map[string]string{"transmission": "CVT", "transmission_type": "cvt", "tags": `["b"]`}
	if d := cmp.Diff(want, changes(truck(), v)); d != "" {
		t.Error(d)
	}
	if names := []string{"transmission", "transmission_type", "tags"}; !slices.Equal(r.Set.Names(), names) || len(r.Faults) > 0 {
		t.Errorf("set %v, faults %v", r.Set.Names(), r.Faults)
	}
}

func TestSetBelongsToTheRuleThatSetsTheSame(t *testing.T) {
	v, r := truck(), vehicle.Ruling{}
	ordered(t, rule(to("make", "Ford")), rule(where("make", Equals, "BMW"), to("model", "x"))).Run(&v, &r)
	if v != truck() || !slices.Equal(r.Set.Names(), []string{"make"}) {
		t.Errorf("set %v, changed %v", r.Set.Names(), changes(truck(), v))
	}
}

// What follows from a field follows when a rule sets it, and what followed from its old value is gone.
func TestWhatFollows(t *testing.T) {
	type is = map[string]string
	for _, c := range []struct {
		what  string
		parts []any
		want  is
	}{
		{"gears", []any{to("transmission", "8-Speed Manual")}, is{"transmission": "8-Speed Manual", "transmission_type": "manual", "gears": "8"}},
		{"no gears", []any{to("transmission", "CVT")}, is{"transmission": "CVT", "transmission_type": "cvt", "gears": ""}},
		{"gears said beside", []any{to("gears", "1"), to("transmission", "8-Speed Manual")}, is{"transmission": "8-Speed Manual", "transmission_type": "manual", "gears": "1"}},
		{"by expression", []any{by("transmission", `make == "Ford" ? "10-Speed Automatic" : transmission`)}, is{"transmission": "10-Speed Automatic", "gears": "10"}},
		{"another type", []any{to("transmission_type", "cvt")}, is{"transmission_type": "cvt", "gears": ""}},
		{"photos", []any{to("photos", "https://a.example/1, https://a.example/2")}, is{"photos": `["https://a.example/1","https://a.example/2"]`, "photo_count": "2"}},
		{"no photos", []any{to("photos", "")}, is{"photos": "", "photo_count": ""}},
		{"nothing", []any{to("exterior_color", "")}, is{"exterior_color": ""}},
	} {
		v, r := truck(), vehicle.Ruling{}
		ordered(t, rule(c.parts...)).Run(&v, &r)
		if d := cmp.Diff(c.want, changes(truck(), v)); d != "" || len(r.Faults) > 0 {
			t.Errorf("%s: %s %v", c.what, d, r.Faults)
		}
		for name := range c.want {
			if f, _ := vehicle.FieldNamed(name); !r.Set.Has(f) {
				t.Errorf("%s: %s is not among what is set", c.what, name)
			}
		}
	}
}

func TestFaultsLeaveTheFieldAlone(t *testing.T) {
	for expr, want := range map[string]string{
		"sale_price * 0.95":                    "sale_price is empty",
		"price / (cost - 30000)":               "division by zero",
		"price % (gears - 6)":                  "division by zero",
		"price * 100000":                       "the result 3599700000 lies outside of 0.01 to 999999999.99",
		"price - msrp":                         "the result -24003 lies outside of 0.01 to 999999999.99",
		"price * 0":                            "the result 0 lies outside of 0.01 to 999999999.99",
		"0.004 + 0 * price":                    "the result 0 lies outside of 0.01 to 999999999.99",
		"custom.nothing + 1":                   "custom.nothing is empty",
		`custom["paint code"]`:                 "custom.paint code is no number",
		"sale_price > 5 ? 1 : 2":               "sale_price is empty",
		"min(price, sale_price)":               "sale_price is empty",
		"sale_price ?? other_price":            "other_price is empty",
		"price / 3 * 1000000000000000":         "the result 11999000000000000000 lies outside of 0.01 to 999999999.99",
		strings.Repeat("price*", 40) + "price": "the calculation has too many digits",
		"price" + strings.Repeat("/999999999999999989.0", 10): "the calculation has too many digits",
	} {
		v, r := truck(), vehicle.Ruling{}
		ordered(t, rule(to("make", "BMW")), rule(by("price", expr), to("tags", "done"))).Run(&v, &r)
		if d := cmp.Diff([]vehicle.RuleFault{{Rule: 1, Field: vehicle.Price, Reason: want, Hidden: strings.Contains(expr, "cost")}}, r.Faults); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
		if v[vehicle.Price] != truck()[vehicle.Price] || r.Set.Has(vehicle.Price) || v[vehicle.Tags] != `["done"]` {
			t.Errorf("%s: price %s, tags %s", expr, v[vehicle.Price], v[vehicle.Tags])
		}
	}
	for _, c := range []struct{ field, expr, want string }{
		{"year", "year + 12", "the result 2029 lies outside of 1900 to 2028"},
		{"engine_displacement_l", "engine_displacement_l * 3", "the result 10.5 lies outside of 0.3 to 9.9"},
		{"status", "trim", `the result "Platinum" must be one of active, sold`},
		{"stock_number", "vdp_url ?? vin", ""},
		{"date_in_stock", "model", `the result "F-150" must be a date, as in 2021-08-28`},
		{"vdp_url", "make", `the result "Ford" must be an http or https address`},
		{"certified", "custom.x == 1", "custom.x is empty"},
	} {
		v, r := truck(), vehicle.Ruling{VIN: truckVIN}
		ordered(t, rule(by(c.field, c.expr))).Run(&v, &r)
		got := ""
		if len(r.Faults) > 0 {
			got = r.Faults[0].Reason
		}
		if got != c.want {
			t.Errorf("%s by %s: %q; want %q", c.field, c.expr, got, c.want)
		}
	}
}

func TestCustomPropertiesHaveALimit(t *testing.T) {
	full := map[string]string{}
	for i := range 200 {
		full["p"+string(rune('a'+i))] = "x"
	}
	v, r := vehicle.Values{vehicle.Custom: vehicle.MapOf(full)}, vehicle.Ruling{}
	ordered(t, rule(to("custom.pa", "y"), to("custom.more", "z"), to("custom.pb", ""), to("custom.more", "w"))).Run(&v, &r)
	if len(r.Faults) != 1 || r.Faults[0].Reason != "custom has 200 properties already" {
		t.Errorf("%v", r.Faults)
	}
	for name, want := range map[string]string{"pa": "y", "pb": "", "more": "w", "pc": "x"} {
		if got := vehicle.CustomText(v[vehicle.Custom], name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
}

// The outcome hangs on the values and the ruling alone, whoever runs the rules.
func TestSameValuesSameResult(t *testing.T) {
	rules := ordered(t, append(fifty(), rule(by("price", "price / 3")), rule(by("custom.x", "price / 7")), rule(to("transmission", "CVT")), rule(by("msrp", "sale_price")))...)
	once := func() (vehicle.Values, vehicle.Ruling) {
		v, r := truck(), vehicle.Ruling{VIN: truckVIN, DaysOnLot: 91}
		rules.Run(&v, &r)
		return v, r
	}
	v, r := once()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				w, s := once()
				if w != v || !cmp.Equal(r, s) {
					t.Errorf("another result: %v", changes(v, w))
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTrial(t *testing.T) {
	about := vehicle.Ruling{VIN: truckVIN, DaysOnLot: 120, Keep: vehicle.FieldsOf(vehicle.MSRP)}
	r := rule(where("custom.paint code", GreaterThan, "5"), where("price", GreaterThan, "100"), where("sale_price", NotEquals, "5"), where("days_on_lot", LessThan, "5"), to("price", "1"))
	got := compiled(t, r).Test(truck(), about)
	want := Trial{
		Conditions: []Verdict{{r.Conditions[0], false, "RR"}, {r.Conditions[1], true, "35997.00"}, {r.Conditions[2], true, ""}, {r.Conditions[3], false, "120"}},
		Values:     truck(),
		DaysOnLot:  120,
		Warnings:   []errs.Fault{errs.At("#/conditions/0/field", `custom.paint code is no number: "RR"`)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	r = rule(where("vin", Contains, "1FT"), by("price", "price * 0.9"), to("msrp", "1"), by("cost", "sale_price"), by("custom.left", "price - cost"), to("custom.x", ""))
	r.Enabled = false
	got = compiled(t, r).Test(truck(), about)
	after := truck()
	after[vehicle.Price], after[vehicle.Custom] = "32397.30", `{"floor":"29000","left":"2397.3","paint code":"RR","vin":"x"}`
	want = Trial{
		Conditions: []Verdict{{r.Conditions[0], true, truckVIN}},
		Applied:    true,
		Values:     after,
		DaysOnLot:  120,
		Set:        vehicle.FieldsOf(vehicle.Price, vehicle.Custom),
		Warnings: []errs.Fault{
			errs.At("#/actions/1/field", "msrp is overridden and was left alone"),
			errs.At("#/actions/2", "cost was left alone: sale_price is empty"),
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if about.Set != (vehicle.Fields{}) {
		t.Error("the ruling was changed")
	}
}

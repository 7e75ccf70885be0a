package rule

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/vehicle"
)

// told are faults as "pointer detail".
func told(faults []errs.Fault) []string {
	out := make([]string, len(faults))
	for i, f := range faults {
		out[i] = f.Pointer + " " + f.Detail
	}
	return out
}

func TestAllFaultsAtOnce(t *testing.T) {
	price := "price"
	r := Rule{
		Name:       strings.Repeat("é", MaxName+1),
		Conditions: []Condition{where("pric", "is", "5"), where("price", Equals, "x"), where("year", Contains, "1")},
		Actions: []Action{
			{Type: "delete", Field: "vin", Value: &price},
			{Type: SetField, Field: "price"},
			{Type: SetField, Field: "price", Value: &price, ValueExpr: &price},
			to("price", "-1"),
			by("price", "pric *\n map(1, 2)"),
		},
	}
	_, faults := Compile(r, now)
	want := []string{
		"#/name must have 1 to 200 characters",
		"#/conditions/0/field is not a field of vehicles; did you mean price?",
		"#/conditions/0/operator must be one of equals, not_equals, contains, in, greater_than, less_than, is_empty, is_not_empty",
		"#/conditions/1/value must be a plain number, as in 5000 or 19.99",
		"#/conditions/2/operator does not fit year; use equals, not_equals, in, greater_than, less_than, is_empty or is_not_empty",
		"#/actions/0/type must be set_field",
		"#/actions/0/field can't be set; a vehicle is known by its VIN",
		"#/actions/1 needs a value or a value_expr",
		"#/actions/2/value_expr can't stand beside value; leave one of them out",
		"#/actions/3/value must lie between 0.01 and 999999999.99",
		`#/actions/4/value_expr line 1, column 1: "pric" is not a field of vehicles; did you mean price?`,
		`#/actions/4/value_expr line 2, column 2: "map" is no function; there are min, max, round, floor, ceil and abs`,
	}
	if d := cmp.Diff(want, told(faults)); d != "" {
		t.Error(d)
	}
}

func TestFaultsNameWhatWasMeant(t *testing.T) {
	_, faults := Compile(rule(to("updated_at", "x"), to("body", "SUV"), to("Exterior", "x")), now)
	_, more := Compile(Rule{Name: "n", Conditions: []Condition{where("created_at", LessThan, "2026-01-01"), where("color", Equals, "Black"), where("stock", Equals, "1")}, Actions: []Action{to("trim", "x")}}, now)
	want := []string{
		"#/actions/0/field is computed and can't be set",
		"#/actions/1/field is not a field of vehicles; did you mean body_style?",
		"#/actions/2/field is not a field of vehicles; did you mean exterior_color?",
		"#/conditions/0/field is computed, and rules can't read it",
		"#/conditions/1/field is not a field of vehicles",
		"#/conditions/2/field is not a field of vehicles; did you mean stock_number?",
	}
	if d := cmp.Diff(want, told(append(faults, more...))); d != "" {
		t.Error(d)
	}
}

func TestRulesHaveLimits(t *testing.T) {
	yes, act := where("make", Equals, "Ford"), to("trim", "x")
	full := Rule{Name: strings.Repeat("é", MaxName), Conditions: slices.Repeat([]Condition{yes}, MaxConditions), Actions: slices.Repeat([]Action{act}, MaxActions)}
	compiled(t, full)
	compiled(t, rule(to("description", strings.Repeat("x", MaxLongValue))))
	compiled(t, rule(where("make", In, strings.Repeat("x,", MaxItems-1)+"x"), act))
	compiled(t, rule(by("price", strings.Repeat(" ", MaxExpression-5)+"price")))
	for want, r := range map[string]Rule{
		"#/conditions must not have more than 20 conditions":                          {Name: "x", Conditions: append(slices.Clip(full.Conditions), yes), Actions: full.Actions},
		"#/actions must not have more than 20 actions":                                {Name: "x", Actions: append(slices.Clip(full.Actions), act)},
		"#/actions must have at least one action":                                     {Name: "x"},
		"#/name must have 1 to 200 characters":                                        {Name: " ", Actions: full.Actions},
		"#/actions/0/value_expr must not be longer than 1000 bytes":                   rule(by("price", strings.Repeat(" ", MaxExpression-4)+"price")),
		"#/actions/0/value must not be longer than 2000 characters":                   rule(to("custom.x", strings.Repeat("x", MaxValue+1))),
		"#/actions/0/value must not be longer than 20000 characters":                  rule(to("options", strings.Repeat("x", MaxLongValue+1))),
		"#/actions/0/value must not be longer than 40 characters":                     rule(to("stock_number", strings.Repeat("x", 41))),
		"#/actions/0/value must not have more than 50 items":                          rule(to("tags", strings.Repeat("x,", 50)+"x")),
		"#/actions/0/field must name a property of 1 to 200 characters after custom.": rule(to("custom."+strings.Repeat("x", 201), "x")),
	} {
		if _, faults := Compile(r, now); len(faults) != 1 || told(faults)[0] != want {
			t.Errorf("%q, want %q", told(faults), want)
		}
	}
}

func TestActionsAreRefused(t *testing.T) {
	for want, a := range map[string]Action{
		"/field must name a field of vehicles, as in price":                                       to("", "x"),
		"/field is not a field of vehicles; did you mean trim?":                                   to("Trim", "x"),
		"/field is computed and can't be set":                                                     to("days_on_lot", "5"),
		"/field can't be set; a vehicle is known by its VIN":                                      to("vin", "x"),
		"/field can't be set as a whole; name one of its properties, as in custom.colour":         to("custom", "{}"),
		"/field can't be set by a rule: rules don't move vehicles between dealerships":            to("source_dealer_code", "7"),
		"/value must be one of new, used":                                                         to("condition", "Used"),
		"/value can't be emptied; must be one of active, sold":                                    to("status", ""),
		"/value must be an amount between 0.01 and 999999999.99 with at most two decimals":        to("price", "$5"),
		"/value must not have more than two decimal places":                                       to("price", "5.005"),
		"/value must be a whole number between 1900 and 2028":                                     to("year", "2029"),
		"/value must be true or false":                                                            to("certified", "yes"),
		"/value item 2 must not be empty":                                                         to("tags", "a,,b"),
		"/value_expr can't be used for tags, a list; write its items in value, with commas":       by("tags", "make"),
		"/value_expr yields a text, and price takes a number":                                     by("price", "make"),
		"/value_expr yields a number, and trim takes a text":                                      by("trim", "price"),
		"/value_expr yields true or false, and year takes a number":                               by("year", "price > 5"),
		"/value_expr yields a number, and certified takes true or false":                          by("certified", "1"),
		"/value_expr yields a text, and certified takes true or false":                            by("certified", "custom.x"),
		"/value_expr yields true or false, and custom.x takes a text":                             by("custom.x", "certified"),
		`/value_expr may yield "Used", and condition must be one of new, used`:                    by("condition", `price > 5 ? "Used" : "new"`),
		`/value_expr may yield "", and status can't be emptied; must be one of active, sold`:      by("status", `""`),
		`/value_expr may yield "tomorrow", and date_in_stock must be a date, as in 2021-08-28`:    by("date_in_stock", `date_in_stock ?? "tomorrow"`),
		"/value_expr can't be set: division by zero":                                              by("price", "1 / 0"),
		"/value_expr can't be set: the result 0 lies outside of 0.01 to 999999999.99":             by("price", "0.004"),
		"/value_expr can't be set: the result 2029 lies outside of 1900 to 2028":                  by("year", "2028.5"),
		"/value_expr can't be set: the result 1000000000000 lies outside of 0.01 to 999999999.99": by("price", "1000000 * 1000000"),
		"/value_expr can't be set: the result of 53 digits lies outside of 0.01 to 999999999.99":  by("price", "10000000000000 * 10000000000000 * 10000000000000 * 10000000000000"),
		"/value_expr must not be empty; write an expression as in price * 0.95":                   by("price", " \n"),
	} {
		if _, faults := Compile(rule(to("trim", "x"), a), now); len(faults) != 1 || told(faults)[0] != "#/actions/1"+want {
			t.Errorf("%s: %q, want %q", a.Field, told(faults), want)
		}
	}
	for _, f := range []string{"dealership_id", "source_dealer_name"} {
		if _, faults := Compile(rule(to(f, "x")), now); len(faults) != 1 || !strings.Contains(faults[0].Detail, "between dealerships") {
			t.Errorf("%s: %v", f, faults)
		}
	}
}

// Every field but those of the dealership and custom as a whole can be set, and emptied unless it is needed.
func TestEveryFieldCanBeSet(t *testing.T) {
	samples := map[vehicle.Kind]string{
		vehicle.Text: "x", vehicle.Int: "5", vehicle.Money: "5", vehicle.Decimal: "2.5", vehicle.Bool: "true", vehicle.List: "https://a.example/1",
		vehicle.Date: "2021-08-28", vehicle.Time: "2021-08-28T10:00:00Z", vehicle.URL: "https://a.example/",
	}
	words := map[vehicle.Field]string{
		vehicle.BodyStyle: "SUV", vehicle.TransmissionType: "manual", vehicle.Drivetrain: "awd", vehicle.FuelType: "diesel", vehicle.Condition: "new",
		vehicle.Disposition: "retail", vehicle.Status: "sold", vehicle.MileageUnit: "km", vehicle.Year: "2020",
	}
	for f := range vehicle.NumFields {
		if dealership.Has(f) || f == vehicle.Custom {
			continue
		}
		sample := words[f]
		if sample == "" {
			sample = samples[f.Kind()]
		}
		v, r := vehicle.Values{}, vehicle.Ruling{}
		ordered(t, rule(to(f.String(), sample))).Run(&v, &r)
		if want, _ := vehicle.ReadText(f, sample, now); v[f] != want || want == "" || !r.Set.Has(f) {
			t.Errorf("%s is %q after setting %q", f, v[f], sample)
		}
		if f != vehicle.Status {
			if ordered(t, rule(to(f.String(), ""))).Run(&v, &r); v[f] != "" {
				t.Errorf("%s is %q after emptying it", f, v[f])
			}
		}
	}
}

func TestSensitiveFieldsAreTold(t *testing.T) {
	r := rule(where("cost", GreaterThan, "5"), where("price", LessThan, "5"), where("book_value", "is"), to("invoice", "5"), by("price", "max(cost, wholesale_price, cost) * 1.1"), by("custom.x", "pric + cost"))
	c, faults := Compile(r, now)
	if len(faults) != 2 {
		t.Error(faults)
	}
	want := []Use{
		{vehicle.Cost, "#/conditions/0/field"}, {vehicle.BookValue, "#/conditions/2/field"}, {vehicle.Invoice, "#/actions/0/field"},
		{vehicle.Cost, "#/actions/1/value_expr"}, {vehicle.WholesalePrice, "#/actions/1/value_expr"}, {vehicle.Cost, "#/actions/2/value_expr"},
	}
	if d := cmp.Diff(want, c.Sensitive()); d != "" {
		t.Error(d)
	}
	if uses := compiled(t, rule(where("price", LessThan, "5"), by("price", "msrp"))).Sensitive(); len(uses) != 0 {
		t.Error(uses)
	}
}

func TestReadingTheDaysIsTold(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want bool
	}{
		{rule(where("days_on_lot", Equals, "5"), to("trim", "x")), true},
		{rule(by("price", "price - (price > 5 ? days_on_lot : 0)")), true},
		{rule(where("custom.days_on_lot", Equals, "5"), by("price", "price * 0.95")), false},
	} {
		if got := ordered(t, rule(to("make", "x")), c.rule).ReadDays; got != c.want {
			t.Errorf("%v %v: %v", c.rule.Conditions, *c.rule.Actions[0].ValueExpr, got)
		}
		c.rule.Enabled = false
		if ordered(t, c.rule).ReadDays {
			t.Error("a rule that does not run reads the days")
		}
	}
}

func TestSuggestions(t *testing.T) {
	for name, want := range map[string]string{
		"pric": "price", "prices": "price", "PRICE": "price", "internetprice": "internet_price", "milage": "mileage", "VIN": "vin", "exterior_colour": "exterior_color", "x": "", "zzzzzzzz": "",
		strings.Repeat("price", 100): "",
	} {
		if got := suggestion(name); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%.30s: %q, want %q", name, got, want)
		}
	}
}

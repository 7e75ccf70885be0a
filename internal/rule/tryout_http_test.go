package rule

import (
	"slices"
	"strings"
	"testing"
)

func TestARuleIsTestedOnAGivenVehicle(t *testing.T) {
	h := newHouse(t, Options{})
	path := h.rule("Aged", `{"field":"days_on_lot","operator":"greater_than","value":"90"},{"field":"condition","operator":"equals","value":"used"},{"field":"custom.lane","operator":"is_empty"}`,
		`{"type":"set_field","field":"internet_price","value_expr":"price * 0.9"},`+set("tags", "aged"))
	h.must(200, "", "PATCH", path, `{"enabled":false}`)
	out := h.must(200, "reader", "POST", path+"/test", `{"vehicle":{"price":20000,"condition":"used","days_on_lot":91,"year":2017,"tags":["a"],"vin":null}}`)
	for at, want := range map[string]string{
		"applied":        `true`,
		"conditions.0":   `{"actual":91,"field":"days_on_lot","held":true,"operator":"greater_than","value":"90"}`,
		"conditions.1":   `{"actual":"used","field":"condition","held":true,"operator":"equals","value":"used"}`,
		"conditions.2":   `{"actual":null,"field":"custom.lane","held":true,"operator":"is_empty","value":null}`,
		"changed_fields": `{"internet_price":{"new":"18000.00","old":null},"tags":{"new":["aged"],"old":["a"]}}`,
		"warnings":       `[]`, "before.internet_price": `null`, "before.price": `"20000.00"`, "before.vin": `null`, "before.vin_status": `null`, "before.year": `2017`, "before.status": `"active"`,
		"before.days_on_lot": `91`, "vehicle.internet_price": `"18000.00"`, "vehicle.tags": `["aged"]`, "vehicle.days_on_lot": `91`, "vehicle.custom": `{}`, "vehicle.cost": `null`,
	} {
		if got := out.text(at); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if _, has := out.at("vehicle").(map[string]any)["cost"]; has {
		t.Error("a reader is shown the cost")
	}
	out = h.must(200, "", "POST", path+"/test", `{"vehicle":{"vin":"`+strings.ToLower(truckVIN)+`","condition":"used","days_on_lot":90,"custom":{"lane":"7"},"cost":"1"}}`)
	for at, want := range map[string]string{
		"applied": `false`, "conditions.0.held": `false`, "conditions.0.actual": `90`, "conditions.1.held": `true`, "conditions.2.held": `false`, "conditions.2.actual": `"7"`,
		"changed_fields": `{}`, "warnings": `[]`, "vehicle.vin": `"` + truckVIN + `"`, "vehicle.vin_status": `"check_digit_failed"`, "vehicle.cost": `"1.00"`,
	} {
		if got := out.text(at); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	out = h.must(200, "", "POST", path+"/test", `{"vehicle":{"condition":"used","days_on_lot":1000}}`)
	if got := out.text("warnings"); got != `[{"detail":"internet_price was left alone: price is empty","pointer":"#/actions/0"}]` || out.text("vehicle.tags") != `["aged"]` {
		t.Error(got, out.text("vehicle.tags"))
	}
	if n := len(h.events()); n != 2 {
		t.Errorf("%d audit rows: a test stores nothing", n)
	}
}

func TestARuleIsTestedOnAStoredVehicle(t *testing.T) {
	h := newHouse(t, Options{})
	h.file(row(truckVIN, "price", "4000.00", "make", "Ford", "date_in_stock", "2026-11-13", "cost", "3000.00"))
	h.rule("First", "", `{"type":"set_field","field":"price","value_expr":"price + 1"}`)
	second := h.rule("Second", `{"field":"price","operator":"greater_than","value":"0"},{"field":"days_on_lot","operator":"equals","value":"10"}`, `{"type":"set_field","field":"price","value_expr":"price * 2"},`+set("trim", "x"))
	h.rule("Third", "", `{"type":"set_field","field":"price","value_expr":"price + 5"}`)
	off := h.rule("Off", "", set("price", "1"))
	h.must(200, "", "PATCH", off, `{"enabled":false}`)
	for range 2 { // whether it shows rules' values already does not matter
		out := h.must(200, "tester", "POST", second+"/test", `{"vin":" `+strings.ToLower(truckVIN)+`"}`)
		for at, want := range map[string]string{
			"applied": `true`, "conditions.0.actual": `"4001.00"`, "conditions.1.actual": `10`, "before.price": `"4001.00"`, "vehicle.price": `"8002.00"`, "before.vin": `"` + truckVIN + `"`,
			"changed_fields": `{"price":{"new":"8002.00","old":"4001.00"},"trim":{"new":"x","old":null}}`, "before.make": `"Ford"`, "before.days_on_lot": `10`,
		} {
			if got := out.text(at); got != want {
				t.Errorf("%s: %s, want %s", at, got, want)
			}
		}
		out = h.must(200, "tester", "POST", "/rules/test", `{"vin":"`+truckVIN+`","rule":{"name":null,"enabled":false,"conditions":[],"actions":[{"type":"set_field","field":"internet_price","value_expr":"price"}]}}`)
		if out.text("changed_fields") != `{"internet_price":{"new":"8007.00","old":null}}` {
			t.Error(out.text("changed_fields"))
		}
		if out := h.must(200, "", "POST", off+"/test", `{"vin":"`+truckVIN+`"}`); out.text("before.price") != `"8007.00"` || out.text("vehicle.price") != `"1.00"` {
			t.Error(out.text("changed_fields"))
		}
		h.must(202, "", "POST", "/rules/apply", "")
	}
	h.must(200, "", "PATCH", "/inventory/"+truckVIN, `{"price":"7000"}`)
	out := h.must(200, "", "POST", second+"/test", `{"vin":"`+truckVIN+`"}`)
	if out.text("warnings") != `[{"detail":"price is overridden and was left alone","pointer":"#/actions/0/field"}]` || out.text("vehicle.price") != `"7000.00"` || out.text("vehicle.trim") != `"x"` {
		t.Error(out.text("warnings"), out.text("vehicle.price"))
	}
}

// What only administrators are shown is shown to nobody else by a test.
func TestTestsHideSensitiveFields(t *testing.T) {
	h := newHouse(t, Options{})
	h.file(row(truckVIN, "price", "4000.00", "cost", "3000.00"))
	path := h.rule("Margin", `{"field":"cost","operator":"greater_than","value":"1"}`, set("invoice", "7")+`,{"type":"set_field","field":"price","value_expr":"cost * 1000000"}`)
	_, text, _ := h.call("tester", "POST", path+"/test", `{"vin":"`+truckVIN+`"}`)
	for _, secret := range []string{"3000", `"invoice"`, `"7.00"`} {
		if strings.Contains(text, secret) {
			t.Errorf("%s in %s", secret, text)
		}
	}
	if !strings.Contains(text, `"held":true,"actual":null`) || !strings.Contains(text, `"detail":"was left alone for a reason that administrators are shown"`) {
		t.Error(text)
	}
	out := h.must(200, "", "POST", path+"/test", `{"vin":"`+truckVIN+`"}`)
	if out.text("conditions.0.actual") != `"3000.00"` || out.text("vehicle.invoice") != `"7.00"` || !strings.Contains(out.text("warnings"), "3000000000 lies outside") {
		t.Error(out)
	}
}

func TestTestsAreRefused(t *testing.T) {
	h := newHouse(t, Options{})
	h.file(row(truckVIN, "price", "4000.00"))
	path := h.rule("a", "", set("make", "x"))
	draft := func(members string) string {
		return `{"rule":{"conditions":[],"actions":[` + set("make", "x") + `]}` + members + `}`
	}
	for _, c := range []struct {
		as, path, body string
		status         int
		faults         []string
	}{
		{"", path + "/test", `{}`, 422, []string{"#/vehicle is needed"}},
		{"", path + "/test", `{"vehicle":null,"vin":null}`, 422, []string{"#/vehicle is needed"}},
		{"", path + "/test", `{"vehicle":{},"vin":"` + truckVIN + `"}`, 422, []string{"#/vin can't stand beside vehicle"}},
		{"", path + "/test", `{"vehicle":[]}`, 422, []string{"#/vehicle must be an object"}},
		{"", path + "/test", `{"vin":7}`, 422, []string{"#/vin must be a string"}},
		{"", path + "/test", `{"vin":""}`, 422, []string{"#/vin names no vehicle"}},
		{"", path + "/test", `{"vin":"` + sedanVIN + `"}`, 422, []string{"#/vin names no vehicle"}},
		{"foreign", "/rules/test", draft(`,"vin":"` + truckVIN + `"`), 422, []string{"#/vin names no vehicle"}},
		{"", path + "/test", `{"vehicle":{"colour":"x","year":"2017","days_on_lot":-1,"vin":"I","price":"x","vin_status":"valid","overrides":[]}}`, 422,
			[]string{"#/vehicle/colour is not a member", "#/vehicle/year", "#/vehicle/days_on_lot must be a whole number", "#/vehicle/vin is no VIN", "#/vehicle/price", "#/vehicle/vin_status is computed", "#/vehicle/overrides is computed"}},
		{"", path + "/test", `{"vehicle":{"days_on_lot":"91"},"note":1}`, 422, []string{"#/vehicle/days_on_lot", "#/note"}},
		{"", path + "/test", `{"vehicle":{},"rule":{}}`, 422, []string{"#/rule"}},
		{"", "/rules/unknown/test", `{"vehicle":{}}`, 404, nil},
		{"reader", path + "/test", `{"vin":"` + truckVIN + `"}`, 403, nil},
		{"reader", "/rules/test", draft(`,"vin":"` + truckVIN + `"`), 403, nil},
		{"", "/rules/test", `{"vehicle":{}}`, 422, []string{"#/rule expected required"}},
		{"", "/rules/test", `{"vehicle":{"year":1},"rule":{"conditions":[{"field":"colour","operator":"equals","value":1}],"actions":[{"type":"set_field","field":"price","value_expr":"1 +"}]}}`, 422,
			[]string{"#/rule/conditions/0/field is not a field", "#/rule/conditions/0/value must be a string", "#/rule/actions/0/value_expr", "#/vehicle/year"}},
		{"", "/rules/test", draft(``), 422, []string{"#/vehicle is needed"}},
		{"", "/rules/test", `{"rule":{"conditions":[],"actions":[]},"vehicle":{}}`, 422, []string{"#/rule/actions"}},
	} {
		out := h.must(c.status, c.as, "POST", c.path, c.body)
		if c.status == 403 && (out["code"] != "insufficient_scope" || out.text("requiredScopes") != `["inventory:read"]`) {
			t.Errorf("%s: %v", c.body, out)
		}
		if detail := out.text("detail"); c.status == 422 && strings.Contains(detail, "rule can't be used") {
			t.Errorf("%s: %s", c.body, detail) // the vehicle may be what is wrong
		}
		got := out.faults()
		if len(got) != len(c.faults) {
			t.Errorf("%s: %q, want %q", c.body, got, c.faults)
		}
		for _, want := range c.faults {
			if !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, want) }) {
				t.Errorf("%s: %q, want %q", c.body, got, want)
			}
		}
	}
}

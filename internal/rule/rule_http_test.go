package rule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const floor = `{"name":"Price floor","conditions":[{"field":"price","operator":"less_than","value":"5000"}],"actions":[{"type":"set_field","field":"price","value":"5000"}]}`

func TestRulesOverHTTP(t *testing.T) {
	h := newHouse(t, Options{})
	if out := h.must(200, "reader", "GET", "/rules", ""); out.text("rules") != "[]" || out.text("pagination") != `{"limit":50,"offset":0,"total":0}` {
		t.Error(out)
	}
	code, text, header := h.call("writer", "POST", "/rules", floor)
	if code != 201 || !strings.HasPrefix(header.Get("Location"), "/api/v1/rules/") {
		t.Fatalf("%d %s %v", code, text, header)
	}
	path := strings.TrimPrefix(header.Get("Location"), "/api/v1")
	for _, want := range []string{
		`"conditions":[{"field":"price","operator":"less_than","value":"5000"}]`, `"actions":[{"type":"set_field","field":"price","value":"5000"}]`,
		`"name":"Price floor","enabled":true,`, `"problem":null,"createdAt":"2026-11-23T12:00:00Z","updatedAt":"2026-11-23T12:00:00Z"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if _, again, _ := h.call("reader", "GET", path, ""); again != text {
		t.Errorf("%s, want %s", again, text)
	}

	h.now = h.now.Add(time.Hour)
	sent := `[{"field":"price","operator":"is_empty"},{"field":"make","operator":"equals","value":"A \"<b>\" é"}]`
	out := h.must(200, "writer", "PATCH", path, `{"conditions":`+sent+`,"enabled":false}`)
	if out.text("rule.conditions.0") != `{"field":"price","operator":"is_empty"}` || out.text("rule.conditions.1.value") != `"A \"\u003cb\u003e\" é"` ||
		out.at("rule.enabled") != false || out.at("rule.updatedAt") != "2026-11-23T13:00:00Z" || out.text("rule.actions.0.value") != `"5000"` {
		t.Error(out)
	}
	for body, want := range map[string]bool{`{"enabled":null}`: true, `{"enabled":false}`: false, `{}`: false} {
		h.must(200, "writer", "PATCH", path, `{"enabled":false}`)
		if out := h.must(200, "writer", "PATCH", path, body); out.at("rule.enabled") != want {
			t.Errorf("%s: %v", body, out)
		}
	}
	h.must(200, "writer", "PATCH", path, `{"conditions":[],"actions":[{"type":"set_field","field":"description","value":""},{"type":"set_field","field":"price","value_expr":"price + 1"}],"name":" Plus one "}`)
	if out := h.must(200, "reader", "GET", path, ""); out.text("rule.conditions") != "[]" || out.at("rule.name") != "Plus one" ||
		out.text("rule.actions") != `[{"field":"description","type":"set_field","value":""},{"field":"price","type":"set_field","value_expr":"price + 1"}]` {
		t.Error(out)
	}

	second := h.rule("Second", "", set("make", "x"))
	third := h.rule("Third", "", set("make", "y"))
	list := h.must(200, "reader", "GET", "/rules?limit=2", "")
	if "/rules/"+list.at("rules.0.id").(string) != third || "/rules/"+list.at("rules.1.id").(string) != second || list.at("pagination.total") != 3.0 {
		t.Error(list)
	}
	h.must(204, "writer", "DELETE", second, "")
	h.must(404, "reader", "GET", second, "")
	h.must(404, "writer", "DELETE", second, "")
}

// What can't be used is refused with a pointer to every fault at once.
func TestRulesAreCheckedWhenTheyAreSaved(t *testing.T) {
	h := newHouse(t, Options{})
	path := h.rule("Stored", `{"field":"price","operator":"is_not_empty"}`, set("make", "x"))
	where := func(conditions string) string {
		return `{"name":"n","conditions":[` + conditions + `],"actions":[` + set("make", "x") + `]}`
	}
	then := func(actions string) string { return `{"name":"n","conditions":[],"actions":[` + actions + `]}` }
	for body, want := range map[string][]string{
		`{}`: {"#/name expected required", "#/actions expected required", "#/conditions expected required"},
		`{"name":" ","conditions":[],"actions":[]}`:                                                                {"#/name", "#/actions"},
		`{"name":"a\u0007b","conditions":[],"actions":[` + set("make", "x") + `]}`:                                 {"#/name must not hold control characters"},
		where(`{"field":"colour","operator":"equals","value":"x"}`):                                                {"#/conditions/0/field is not a field of vehicles"},
		where(`{"field":"price","operator":"contains","value":"5"}`):                                               {"#/conditions/0/operator does not fit price; use equals"},
		where(`{"field":"price","operator":"like","value":"5"}`):                                                   {"#/conditions/0/operator"},
		where(`{"field":"price","operator":"less_than","value":5000}`):                                             {`#/conditions/0/value must be a string; numbers are sent as strings too, as in "5000"`},
		where(`{"field":"make","operator":"in","value":["Ford","Kia"]}`):                                           {`#/conditions/0/value must be a string; a list is written with commas, as in "Ford, Kia"`},
		where(`{"field":"certified","operator":"equals","value":true}`):                                            {`#/conditions/0/value must be a string, as in "true"`},
		where(`{"field":"make","operator":"equals","value":{}}`):                                                   {"#/conditions/0/value must be a string"},
		where(`{"field":"price","operator":"less_than","value":null}`):                                             {"#/conditions/0/value is needed for less_than"},
		where(`{"field":"price","operator":"less_than"}`):                                                          {"#/conditions/0/value is needed for less_than"},
		where(`{"field":"price","operator":"is_empty","value":"x"}`):                                               {"#/conditions/0/value must be left out"},
		where(`{"field":"price","operator":"equals","value":"5","note":"x"}`):                                      {"#/conditions/0/note"},
		where(`{"field":7,"operator":"equals","value":"5"}`):                                                       {"#/conditions/0/field expected string"},
		where(`{"operator":"equals","value":"5"}`):                                                                 {"#/conditions/0/field expected required"},
		then(`{"type":"set_field","field":"price"}`):                                                               {"#/actions/0 needs a value or a value_expr"},
		then(`{"type":"set_field","field":"price","value":"1","value_expr":"2"}`):                                  {"#/actions/0/value_expr can't stand beside value"},
		then(`{"type":"set_field","field":"price","value":1}`):                                                     {"#/actions/0/value must be a string"},
		then(`{"type":"set_field","field":"price","value_expr":0.95}`):                                             {"#/actions/0/value_expr must be a string"},
		then(`{"type":"set_field","field":"vin","value":"x"}`):                                                     {"#/actions/0/field can't be set"},
		then(`{"type":"set_field","field":"days_on_lot","value":"x"}`):                                             {"#/actions/0/field is computed"},
		then(`{"type":"add","field":"price","value":"1"}`):                                                         {"#/actions/0/type"},
		then(`{"type":"set_field","field":"price","value_expr":"price * * 2"}`):                                    {"#/actions/0/value_expr"},
		then(`{"type":"set_field","field":"price","value_expr":"prize * 2"}`):                                      {"#/actions/0/value_expr"},
		then(`{"type":"set_field","field":"status","value":""}`):                                                   {"#/actions/0/value can't be emptied"},
		then(set("make", "x") + `,` + set("make", strings.Repeat("x", 101))):                                       {"#/actions/1/value must not be longer"},
		`{"name":5,"enabled":"yes","conditions":[{"field":"colour","operator":"equals","value":1}],"actions":"x"}`: {"#/name", "#/actions", "#/enabled", "#/conditions/0/field", "#/conditions/0/value"},
		`{"name":"n","conditions":null,"actions":null}`:                                                            {"#/actions", "#/conditions"},
	} {
		for _, call := range [][2]string{{"POST", "/rules"}, {"PATCH", path}} {
			if call[0] == "PATCH" && (body == "{}" || strings.Contains(body, "null}]")) {
				continue
			}
			out := h.must(422, "", call[0], call[1], body)
			got := out.faults()
			if len(got) != len(want) {
				t.Errorf("%s %s: %q, want %q", call[0], body, got, want)
				continue
			}
			for _, w := range want {
				if !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, w) }) {
					t.Errorf("%s %s: %q, want %q", call[0], body, got, w)
				}
			}
		}
	}
	out := h.must(422, "", "POST", "/rules", then(`{"type":"set_field","field":"price","value_expr":"price * * 2"}`))
	if got := out.faults()[0]; !strings.Contains(got, "character") && !strings.Contains(got, "column") && !strings.Contains(got, "position") {
		t.Errorf("no position in %q", got)
	}
	for _, body := range []string{`{"name":null}`, `{"conditions":null}`, `{"actions":null}`, `{"id":"x"}`} {
		if out := h.must(422, "", "PATCH", path, body); len(out.faults()) != 1 {
			t.Errorf("%s: %q", body, out.faults())
		}
	}
	many := strings.TrimSuffix(strings.Repeat(set("make", "x")+",", 21), ",")
	if out := h.must(422, "", "POST", "/rules", then(many)); len(out.faults()) != 1 {
		t.Errorf("%q", out.faults())
	}
	h.must(400, "", "POST", "/rules", `{"name":`)
	h.must(400, "", "POST", "/rules", "")
	if n := len(h.events()); n != 1 {
		t.Errorf("%d audit rows after refusals", n)
	}
}

func TestWhoMayDoWhatWithRules(t *testing.T) {
	h := newHouse(t, Options{})
	path := h.rule("Stored", "", set("make", "x"))
	run := "/rules/apply/" + h.must(202, "writer", "POST", "/rules/apply", "").at("run.id").(string)
	for _, c := range []struct {
		method, path, body string
		needs              string
		foreign            int
	}{
		{"GET", "/rules", "", "reader", 200},
		{"GET", path, "", "reader", 404},
		{"POST", path + "/test", `{"vehicle":{}}`, "reader", 404},
		{"POST", "/rules/test", `{"vehicle":{},"rule":{"conditions":[],"actions":[` + set("make", "x") + `]}}`, "reader", 200},
		{"GET", run, "", "reader", 404},
		{"POST", "/rules/apply", `{"dryRun":true}`, "writer", 202},
		{"POST", "/rules", floor, "writer", 201},
		{"PATCH", path, `{"name":"x"}`, "writer", 404},
		{"DELETE", path, "", "writer", 404},
	} {
		code, text, _ := h.call("foreign", c.method, c.path, c.body)
		if code != c.foreign {
			t.Errorf("foreign %s %s: %d %s", c.method, c.path, code, text)
		}
		for _, caller := range []string{"reader", "writer", "other"} {
			code, text, _ := h.call(caller, c.method, c.path, c.body)
			if allowed := code < 300; allowed != (caller == c.needs) || !allowed && code != 403 {
				t.Errorf("%s %s %s: %d %s", caller, c.method, c.path, code, text)
			}
		}
	}
}

func TestAGroupHasSoManyRules(t *testing.T) {
	h := newHouse(t, Options{Max: 2})
	h.rule("a", "", set("make", "x"))
	path := h.rule("b", "", set("make", "x"))
	if out := h.must(409, "", "POST", "/rules", floor); out["code"] != "too_many_rules" {
		t.Error(out)
	}
	h.must(201, "foreign", "POST", "/rules", floor)
	h.must(204, "", "DELETE", path, "")
	h.must(201, "", "POST", "/rules", floor)
}

// Only administrators may have rules read or set what only they are shown.
func TestSensitiveFieldsAreForAdministrators(t *testing.T) {
	h := newHouse(t, Options{})
	body := `{"name":"n","conditions":[{"field":"cost","operator":"is_not_empty"},{"field":"make","operator":"is_empty"}],"actions":[` + set("invoice", "1") + `,{"type":"set_field","field":"price","value_expr":"cost * 1.1"}]}`
	want := []string{"#/conditions/0/field cost is for administrators only", "#/actions/0/field invoice is for", "#/actions/1/value_expr cost is for"}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %q, want %q", what, got, want)
		}
		for _, w := range want {
			if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) }) {
				t.Errorf("%s: %q, want %q", what, got, w)
			}
		}
	}
	check("create", h.must(422, "manager", "POST", "/rules", body).faults(), want...)
	check("create with another fault", h.must(422, "manager", "POST", "/rules", strings.Replace(body, `"n"`, `7`, 1)).faults(), append(want, "#/name")...)
	path := "/rules/" + h.must(201, "", "POST", "/rules", body).at("rule.id").(string)
	plain := h.rule("plain", "", set("make", "x"))
	check("change", h.must(422, "manager", "PATCH", plain, `{"conditions":[{"field":"book_value","operator":"is_empty"}]}`).faults(), "#/conditions/0/field book_value")
	check("change of a part", h.must(422, "manager", "PATCH", path, `{"conditions":[]}`).faults(), want[1:]...)
	check("enable", func() []string {
		h.must(200, "manager", "PATCH", path, `{"enabled":false,"name":"renamed"}`)
		return h.must(422, "manager", "PATCH", path, `{"enabled":true}`).faults()
	}(), want...)
	h.must(200, "manager", "PATCH", path, `{"conditions":[],"actions":[`+set("make", "x")+`]}`)
	draft := `{"rule":{"conditions":[{"field":"wholesale_price","operator":"is_empty"}],"actions":[` + set("make", "x") + `]},"vehicle":{}}`
	check("test", h.must(422, "manager", "POST", "/rules/test", draft).faults(), "#/rule/conditions/0/field wholesale_price")
	h.must(200, "", "POST", "/rules/test", draft)
	h.must(204, "manager", "DELETE", path, "")
}

func TestChangesOfRulesAreAudited(t *testing.T) {
	h := newHouse(t, Options{})
	edition := func() int64 {
		n, err := h.stock.Edition(t.Context(), h.tenant())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	path := h.rule("a", "", set("make", "x"))
	last := edition()
	for _, c := range []struct {
		body   string
		event  string // "" for none
		detail []string
		raises bool
	}{
		{`{"name":"a"}`, "", nil, false},
		{`{"name":"b"}`, "rule.changed", []string{`{"name":["a","b"]}`}, false},
		{`{"conditions":[{"field":"make","operator":"is_empty"}]}`, "rule.changed", []string{`"conditions":[[],[{"field":"make","operator":"is_empty"}]]`, `"name":"b"`}, true},
		{`{"conditions":[{"field":"make","operator":"is_empty","value":null}]}`, "", nil, false},
		{`{"enabled":false}`, "rule.changed", []string{`"enabled":[true,false]`}, true},
		{`{"actions":[` + set("make", "y") + `]}`, "rule.changed", []string{`"actions":[[{`}, false}, // nobody sees a difference
		{`{"enabled":true}`, "rule.changed", []string{`"enabled":[false,true]`}, true},
	} {
		before := len(h.events())
		h.must(200, "", "PATCH", path, c.body)
		events := h.events()[before:]
		if (c.event != "") != (len(events) == 1) {
			t.Errorf("%s: %v", c.body, events)
			continue
		}
		for _, want := range c.detail {
			if e := events[0]; e.Name != c.event || !strings.Contains(e.DetailJSON, want) || e.Actor.Name != "Test key" || e.SubjectType != "rule" || "/rules/"+e.SubjectID != path {
				t.Errorf("%s: %+v", c.body, e)
			}
		}
		if n := edition(); n > last != c.raises {
			t.Errorf("%s: edition %d after %d", c.body, n, last)
		} else {
			last = n
		}
	}
	h.must(204, "", "DELETE", path, "")
	if e := h.events(); e[len(e)-1].Name != "rule.deleted" || !strings.Contains(e[len(e)-1].DetailJSON, `"actions":[{`) || edition() == last {
		t.Error(e[len(e)-1])
	}
}

// Rules run in the order of their creation, whatever the clock did meanwhile.
func TestRulesRunInTheOrderOfTheirCreation(t *testing.T) {
	h := newHouse(t, Options{})
	for i := range 4 {
		h.rule(fmt.Sprint(i), "", set("trim", fmt.Sprint(i)))
		h.now = h.now.Add(-time.Hour)
	}
	ready, err := h.InForce(t.Context(), h.tenant())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range ready.Names {
		if n.Name != fmt.Sprint(i) {
			t.Errorf("%v", ready.Names)
		}
	}
	for i, one := range h.must(200, "", "GET", "/rules", "").at("rules").([]any) {
		if one.(map[string]any)["name"] != fmt.Sprint(3-i) {
			t.Errorf("%d is %v", i, one)
		}
	}
}

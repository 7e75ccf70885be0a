package feed

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/rule"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// ruled puts rules into the stock of a test's feeds.
func ruled(stock *inventory.Stock, db *sqldb.DB, clock func() time.Time) *rule.Rules {
	r := rule.New(db, stock, rule.Options{Now: clock})
	stock.Rules, stock.Integrations = r.InForce, IntegrationNames
	return r
}

var ruler = rule.Author{Admin: true}

func (w *works) ruled() *rule.Rules {
	return ruled(w.Stock, w.DB, func() time.Time { return w.now })
}

// rule makes a rule of conditions, each "field operator value", and actions, each "field = value" or "field := expression".
func (w *works) rule(r *rule.Rules, name string, parts ...string) rule.Rule {
	w.Helper()
	in := rule.Rule{Name: name, Enabled: true}
	for _, p := range parts {
		if field, value, ok := strings.Cut(p, " = "); ok {
			in.Actions = append(in.Actions, rule.Action{Type: rule.SetField, Field: field, Value: &value})
			continue
		}
		if field, expr, ok := strings.Cut(p, " := "); ok {
			in.Actions = append(in.Actions, rule.Action{Type: rule.SetField, Field: field, ValueExpr: &expr})
			continue
		}
		words := strings.SplitN(p, " ", 3)
		in.Conditions = append(in.Conditions, rule.Condition{Field: words[0], Operator: rule.Operator(words[1]), Value: &words[2]})
	}
	made, err := r.Create(w.Context(), w.t, ruler, in)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

// entries are a vehicle's history after what it began with.
func (w *works) entries(vin string) (out []string) {
	w.Helper()
	list, err := w.Stock.History(w.Context(), w.t, vin, true)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range list[1:] {
		out = append(out, e.Changes+" by "+e.Source+" "+e.ActorName+" in "+e.File)
	}
	return out
}

const published = "VIN,Make,Price,Color,Condition,Date In Stock\n"

// The published examples, each in a real run.
func TestPublishedRulesRunOnFiles(t *testing.T) {
	w := openFeeds(t)
	r := w.ruled()
	w.rule(r, "Price floor", "price less_than 5000", "price = 5000")
	w.rule(r, "Luxury", "make in BMW,Mercedes-Benz,Audi,Lexus", "tags = luxury,premium")
	w.rule(r, "Black", "exterior_color contains Black", "exterior_color = Black")
	w.rule(r, "Under", "internet_price := price * 0.95")
	w.rule(r, "Aged", "days_on_lot greater_than 90", "condition equals used", "internet_price := price * 0.9", "tags = aged")
	in := w.integration(mapping.TypeCustom)
	run := w.completes(in, "a.csv", published+
		testVIN(0)+",BMW,4999,Jet Black,Used,2026-11-01\n"+
		testVIN(1)+",Ford,20000,Red,Used,2026-08-25\n"+ // 90 days
		testVIN(2)+",Ford,,Red,New,2026-01-01\n", Counts{Total: 3, Created: 3})
	check := func(vin, price, internet, tags, color string) {
		t.Helper()
		got := []string{w.field(vin, vehicle.Price), w.field(vin, vehicle.InternetPrice), w.field(vin, vehicle.Tags), w.field(vin, vehicle.ExteriorColor)}
		if d := cmp.Diff([]string{price, internet, tags, color}, got); d != "" {
			t.Errorf("%s: %s", vin, d)
		}
	}
	check(testVIN(0), "5000.00", "4750.00", `["luxury","premium"]`, "Black")
	check(testVIN(1), "20000.00", "19000.00", "", "Red")
	check(testVIN(2), "", "", "", "Red")
	want := []RuleFaults{{ID: run.Report.Rules[0].ID, Name: "Under", Count: 1, VIN: testVIN(2), Field: "internet_price", Reason: "price is empty"}}
	if d := cmp.Diff(want, run.Report.Rules); d != "" {
		t.Error(d)
	}
	w.now = w.now.Add(24 * time.Hour)
	if err := r.NewDay(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	check(testVIN(1), "20000.00", "18000.00", `["aged"]`, "Red")
	entries := w.entries(testVIN(1))
	if got := entries[len(entries)-1]; !strings.HasSuffix(got, " by rule Aged in ") {
		t.Error(entries)
	}
}

func TestASteadyRuleMakesNoHistory(t *testing.T) {
	w := openFeeds(t)
	r := w.ruled()
	w.rule(r, "Price floor", "price less_than 5000", "price = 5000")
	w.rule(r, "Under", "internet_price := price * 0.95")
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "a.csv", published+testVIN(0)+",BMW,4000,Black,Used,\n")
	began := w.entries(testVIN(0))
	if len(began) != 2 || !strings.Contains(strings.Join(began, "\n"), `{"price":{"old":"4000.00","new":"5000.00"}} by rule Price floor in a.csv`) {
		t.Errorf("%q", began)
	}
	for _, text := range []string{
		testVIN(0) + ",BMW,4000,Black,Used,\n", // the same bytes
		testVIN(0) + ",BMW,4500,Black,Used,\n", // another price that the floor covers
		testVIN(0) + ",BMW,4500,Black,Used,\n" + testVIN(1) + ",BMW,4500,Black,Used,\n",
	} {
		w.drop(in, "a.csv", published+text)
		if got := w.entries(testVIN(0)); len(got) != len(began) {
			t.Errorf("%q: %q", text, got)
		}
	}
	w.drop(in, "a.csv", published+testVIN(0)+",BMW,4500,Green,Used,\n")
	got := w.entries(testVIN(0))
	if len(got) != len(began)+1 || got[len(got)-1] != `{"exterior_color":{"old":"Black","new":"Green"}} by custom Nightly custom in a.csv` {
		t.Errorf("%q", got)
	}
	if price := w.field(testVIN(0), vehicle.Price); price != "5000.00" {
		t.Error(price)
	}
}

// Without its rule a vehicle shows what its source says, at the next sync even when that brings the same bytes.
func TestARemovedRuleGivesTheRawValueBack(t *testing.T) {
	w := openFeeds(t)
	r := w.ruled()
	floor := w.rule(r, "Price floor", "price less_than 5000", "price = 5000")
	in := w.integration(mapping.TypeCustom)
	text := published + testVIN(0) + ",BMW,4000,Black,Used,\n"
	shows := func(price string, act func() error) {
		t.Helper()
		if act != nil {
			if err := act(); err != nil {
				t.Fatal(err)
			}
		}
		w.drop(in, "a.csv", text)
		if got := w.field(testVIN(0), vehicle.Price); got != price {
			t.Errorf("%s, want %s", got, price)
		}
	}
	enable := func(on bool) func() error {
		return func() error {
			_, err := r.Update(t.Context(), w.t, ruler, floor.ID, func(f *rule.Rule) { f.Enabled = on })
			return err
		}
	}
	shows("5000.00", nil)
	shows("4000.00", enable(false))
	shows("5000.00", enable(true))
	shows("4000.00", func() error { return r.Delete(t.Context(), w.t, ruler.Actor, floor.ID) })
	entries := w.entries(testVIN(0))
	last := entries[len(entries)-1]
	if len(entries) != 4 || last != `{"price":{"old":"5000.00","new":"4000.00"}} by custom Nightly custom in a.csv` {
		t.Errorf("%q", entries)
	}
	shows("4000.00", nil)
	if got := w.entries(testVIN(0)); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

func TestRuleFaultsStandInTheLog(t *testing.T) {
	h, path := working(t)
	r := ruled(h.Stock, h.DB, h.Now)
	sets := func(field, expr string) {
		t.Helper()
		if _, err := r.Create(t.Context(), h.tenant(), ruler, rule.Rule{Name: "Of " + expr, Enabled: true, Actions: []rule.Action{{Type: rule.SetField, Field: field, ValueExpr: &expr}}}); err != nil {
			t.Fatal(err)
		}
	}
	sets("internet_price", "msrp * 2")
	sets("sale_price", "cost * 100000000")
	h.uploads(path, "a.csv", "VIN,Price,Cost\n"+testVIN(0)+",1,100\n"+testVIN(1)+",2,\n")
	log := func(as string) string {
		t.Helper()
		_, text, _ := h.call(as, "GET", path+"/logs", "")
		_, rest, _ := strings.Cut(text, `"rule_faults":`)
		faults, _, _ := strings.Cut(rest, `]`)
		return faults
	}
	for _, want := range []string{`"rule_name":"Of msrp * 2","count":2,"vin":"` + testVIN(0) + `","field":"internet_price","reason":"msrp is empty"`, `"rule_name":"Of cost * 100000000","count":2`, "10000000000"} {
		if got := log(""); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got := log("reader"); strings.Contains(got, "10000000000") || !strings.Contains(got, "msrp is empty") || !strings.Contains(got, vehicle.HiddenReason) {
		t.Errorf("a reader is shown %s", got)
	}
	id := h.must(200, "", "GET", path+"/logs", "")["logs"].([]any)[0].(map[string]any)["id"].(string)
	if _, text, _ := h.call("reader", "GET", path+"/logs/"+id, ""); strings.Contains(text, "10000000000") || !strings.Contains(text, vehicle.HiddenReason) {
		t.Errorf("a reader is shown %s", text)
	}
	h.uploads(path, "b.csv", "VIN,Price\n"+testVIN(0)+",1\n") // other bytes; faults are counted on each file
	if got := log(""); !strings.Contains(got, `"count":1,`) {
		t.Error(got)
	}
}

// A rule that can't do its work on a row is counted with each file that holds the row, also where that came about after the row
// was read: by another rule, or by another source.
func TestRuleFaultsAreCountedWithEachFile(t *testing.T) {
	w := openFeeds(t)
	r := w.ruled()
	in, other := w.integration(mapping.TypeCustom), w.integration(mapping.TypeVAuto)
	text := published + testVIN(0) + ",BMW,4000,Black,Used,\n"
	w.drop(in, "a.csv", text)
	under := w.rule(r, "Under", "internet_price := msrp * 0.95")
	counted := func(want int64) {
		t.Helper()
		text += "no VIN\n" // other bytes each time
		run := w.drop(in, "a.csv", text)
		var got int64
		for _, f := range run.Report.Rules {
			got += f.Count
		}
		if got != want {
			t.Errorf("%d faults, want %d", got, want)
		}
	}
	counted(1) // all rows anew
	counted(1)
	w.drop(other, "b.csv", "VIN,MSRP\n"+testVIN(0)+",5000\n")
	counted(0)
	counted(0)
	w.drop(other, "b.csv", "VIN,MSRP\n"+testVIN(0)+",\n")
	counted(1)
	counted(1)
	if err := r.Delete(t.Context(), w.t, ruler.Actor, under.ID); err != nil {
		t.Fatal(err)
	}
	counted(0)
	counted(0)
}

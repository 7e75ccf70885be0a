package rule

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/dealer"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

const sedanVIN = "1N4AL3AP3FN366609"

func TestApplyShowsWhatRulesSay(t *testing.T) {
	h := newHouse(t, Options{})
	h.file(row(truckVIN, "price", "4000.00", "make", "Ford", "cost", "3000.00"), row(sedanVIN, "price", "9000.00", "make", "Nissan"))
	path := h.rule("Price floor", `{"field":"price","operator":"less_than","value":"5000"}`, set("price", "5000")+`,`+set("cost", "1")+`,{"type":"set_field","field":"internet_price","value_expr":"msrp - 1"}`)

	dry := h.must(202, "", "POST", "/rules/apply", `{"dryRun":true}`)
	want := `{"cost":{"new":"1.00","old":"3000.00"},"price":{"new":"5000.00","old":"4000.00"}}`
	if dry.at("run.status") != "completed" || dry.at("run.dryRun") != true || dry.at("run.vehicles") != 1.0 || dry.at("run.total") != 2.0 || dry.at("run.done") != 2.0 ||
		dry.text("run.fields") != `{"cost":1,"price":1}` || dry.text("run.examples.0.changed_fields") != want || dry.at("run.examples.0.vin") != truckVIN || dry.at("run.endedAt") == nil {
		t.Error(dry)
	}
	if got := dry.text("run.faults"); !strings.Contains(got, `"count":1,"field":"internet_price","reason":"msrp is empty","ruleId":"`+path[7:]+`","ruleName":"Price floor","vin":"`+truckVIN+`"`) {
		t.Error(got)
	}
	if v := h.vehicle(truckVIN); v["price"] != "4000.00" {
		t.Errorf("a dry run changed the price to %v", v["price"])
	}
	if got := h.must(200, "reader", "GET", "/rules/apply/"+dry.at("run.id").(string), "").text("run.examples"); got != "[]" {
		t.Errorf("vehicles are shown without inventory:read: %s", got)
	}
	seen := h.must(200, "tester", "GET", "/rules/apply/"+dry.at("run.id").(string), "")
	if seen.text("run.fields") != `{"price":1}` || seen.text("run.examples.0.changed_fields") != `{"price":{"new":"5000.00","old":"4000.00"}}` ||
		seen.at("run.faults.0.reason") != vehicle.HiddenReason {
		t.Error(seen)
	}

	code, text, header := h.call("", "POST", "/rules/apply", "")
	if code != 202 || !strings.Contains(text, `"dryRun":false,"status":"completed"`) || header.Get("Location") == "" {
		t.Errorf("%d %s", code, text)
	}
	if _, again, _ := h.call("", "GET", strings.TrimPrefix(header.Get("Location"), "/api/v1"), ""); again != text {
		t.Errorf("%s, want %s", again, text)
	}
	if v := h.vehicle(truckVIN); v["price"] != "5000.00" || !strings.Contains(v.text("rules"), `"field":"price","rule_id":"`+path[7:]+`","rule_name":"Price floor","source_value":"4000.00"`) {
		t.Error(v)
	}
	after := []string{"created by Nightly", `{"cost":{"new":"1.00","old":"3000.00"},"price":{"new":"5000.00","old":"4000.00"}} by rule Price floor`}
	if d := cmp.Diff(after, h.history(truckVIN)); d != "" {
		t.Error(d)
	}
	if out := h.must(202, "", "POST", "/rules/apply", `{"dryRun":null}`); out.at("run.vehicles") != 0.0 || out.text("run.examples") != "[]" {
		t.Errorf("again: %v", out)
	}

	h.must(200, "", "PATCH", path, `{"enabled":false}`)
	h.must(202, "", "POST", "/rules/apply", "")
	if v := h.vehicle(truckVIN); v["price"] != "4000.00" || v.text("rules") != "[]" {
		t.Error(v)
	}
	after = append(after, `{"cost":{"new":"3000.00","old":"1.00"},"price":{"new":"4000.00","old":"5000.00"}} by integration `)
	if d := cmp.Diff(after, h.history(truckVIN)); d != "" {
		t.Error(d)
	}
	for body, pointer := range map[string]string{`{"dryRun":"yes"}`: "#/dryRun", `{"dry":true}`: "#/dry", `[]`: "#"} {
		if out := h.must(422, "", "POST", "/rules/apply", body); len(out.faults()) != 1 || !strings.HasPrefix(out.faults()[0], pointer+" ") {
			t.Errorf("%s: %q", body, out.faults())
		}
	}
	h.must(404, "", "GET", "/rules/apply/unknown", "")
	if e := h.events(); e[len(e)-1].Name != "rules.applied" {
		t.Errorf("%+v", e[len(e)-1])
	}
}

// fill brings so many vehicles into the inventory.
func (h *house) fill(n int) {
	h.Helper()
	var all []vehicle.Change
	for i := range n {
		all = append(all, row(fmt.Sprintf("1FTEW1EF8HF%06d", i), "price", fmt.Sprintf("%d.00", 4000+i)))
	}
	h.file(all...)
}

func TestALargeInventoryIsRefreshedByAJob(t *testing.T) {
	h := newHouse(t, Options{})
	var enqueued []string
	h.stock.EnqueueRefresh = func(_ context.Context, tx *sqldb.Tenant, id string) error {
		enqueued = append(enqueued, id)
		return nil
	}
	h.fill(2100)
	path := h.rule("Price floor", `{"field":"price","operator":"less_than","value":"5000"}`, set("price", "5000"))
	run := func(id string) {
		t.Helper()
		if err := h.stock.RunRefresh(t.Context(), h.tenant(), id); err != nil {
			t.Fatal(err)
		}
	}
	start := func(dry string) string {
		t.Helper()
		return h.must(202, "", "POST", "/rules/apply", `{"dryRun":`+dry+`}`).at("run.id").(string)
	}
	look := func(id string) answer { return h.must(200, "", "GET", "/rules/apply/"+id, "") }

	dry, other := start("true"), start("true")
	if out := look(dry); dry == other || out.at("run.status") != "queued" || out.at("run.startedAt") != nil || out.at("run.total") != 2100.0 || out.at("run.done") != 0.0 {
		t.Error(out)
	}
	run(dry)
	out := look(dry)
	if out.at("run.status") != "completed" || out.at("run.done") != 2100.0 || out.at("run.vehicles") != 1000.0 || out.text("run.fields") != `{"price":1000}` || len(out.at("run.examples").([]any)) != 10 {
		t.Error(out)
	}
	if v := h.vehicle("1FTEW1EF8HF000000"); v["price"] != "4000.00" {
		t.Error("a dry run has changed something")
	}

	wet := start("false")
	if again := start("false"); again != wet || len(enqueued) != 3 {
		t.Errorf("another run was started: %v", enqueued)
	}
	h.must(200, "", "PATCH", path, `{"actions":[`+set("price", "6000")+`]}`)
	if again := start("false"); again != wet {
		t.Error("a run that has not begun is not taken for one by the rules in force")
	}
	run(wet)
	if out := look(wet); out.at("run.vehicles") != 1000.0 || h.vehicle("1FTEW1EF8HF000999")["price"] != "6000.00" || h.vehicle("1FTEW1EF8HF001000")["price"] != "5000.00" {
		t.Error(out)
	}
	if next := start("false"); next == wet {
		t.Error("a run that has ended is returned")
	}

	failed := enqueued[len(enqueued)-1]
	if err := h.stock.FailRefresh(t.Context(), h.tenant(), failed, "Why."); err != nil {
		t.Fatal(err)
	}
	if out := look(failed); out.at("run.status") != "failed" || out.at("run.detail") != "Why." || out.at("run.endedAt") == nil {
		t.Error(out)
	}
	if next := start("false"); next == failed {
		t.Error("a run that has failed is returned")
	}
}

// A run that began under other rules is not taken for one by the rules in force.
func TestARunUnderOtherRulesIsNoReasonNotToStartOne(t *testing.T) {
	h := newHouse(t, Options{})
	h.stock.EnqueueRefresh = func(context.Context, *sqldb.Tenant, string) error { return nil }
	h.fill(2100)
	path := h.rule("Price floor", "", set("price", "5000"))
	start := func() string {
		t.Helper()
		return h.must(202, "", "POST", "/rules/apply", "").at("run.id").(string)
	}
	first := start()
	// One batch, as if the server had ended then.
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	h.stock.Rules = func(c context.Context, tx *sqldb.Tenant) (vehicle.Rules, error) {
		if calls++; calls == 2 {
			cancel()
		}
		return h.InForce(c, tx)
	}
	if err := h.stock.RunRefresh(ctx, h.tenant(), first); err == nil {
		t.Fatal("the run was not cut short")
	}
	h.stock.Rules = h.InForce
	if out := h.must(200, "", "GET", "/rules/apply/"+first, ""); out.at("run.status") != "running" || out.at("run.done") != 500.0 {
		t.Fatal(out)
	}
	if start() != first {
		t.Error("the same again was started")
	}
	h.must(200, "", "PATCH", path, `{"name":"Another name"}`)
	if start() != first {
		t.Error("a name makes no other outcome")
	}
	h.must(200, "", "PATCH", path, `{"enabled":false}`)
	if start() == first {
		t.Error("the run under way has gone past vehicles by other rules")
	}
}

func TestRulesThatReadTheDaysRunDaily(t *testing.T) {
	h := newHouse(t, Options{})
	day := func() {
		t.Helper()
		if err := h.NewDay(t.Context(), h.tenant()); err != nil {
			t.Fatal(err)
		}
	}
	refreshes := func() (n int) {
		t.Helper()
		if err := h.tenant().QueryRow(t.Context(), `SELECT count(*) FROM inventory_refresh WHERE dealer_group_id = $1`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	store, err := h.dealers.Create(t.Context(), h.tenant(), tester, dealer.Dealer{Name: "Lakeside", TimeZone: "America/Chicago"})
	if err != nil {
		t.Fatal(err)
	}
	h.file(row(truckVIN, "price", "20000.00", "condition", "used", "date_in_stock", "2026-08-25", "dealership_id", store.ID)) // 90 days
	day()
	path := h.rule("Aged", `{"field":"days_on_lot","operator":"greater_than","value":"90"}`, `{"type":"set_field","field":"internet_price","value_expr":"price * 0.9"}`)
	shown := func() any { return h.vehicle(truckVIN)["internet_price"] }
	h.must(202, "", "POST", "/rules/apply", "")
	day()
	if n := refreshes(); n != 1 || shown() != nil {
		t.Fatalf("%d runs, %v", n, shown())
	}
	h.now = time.Date(2026, 11, 24, 5, 59, 0, 0, time.UTC) // a new day in UTC, not yet in Chicago
	day()
	day()
	if n := refreshes(); n != 2 || shown() != nil {
		t.Fatalf("%d runs, %v", n, shown())
	}
	h.now = time.Date(2026, 11, 24, 6, 1, 0, 0, time.UTC)
	day()
	day()
	if n := refreshes(); n != 3 || shown() != "18000.00" {
		t.Fatalf("%d runs, %v", n, shown())
	}
	if got := h.history(truckVIN); !strings.HasSuffix(got[len(got)-1], "by rule Aged") {
		t.Error(got)
	}
	if log := h.log.String(); strings.Count(log, "rules run for a new day") != 2 || !strings.Contains(log, "status=completed total=1 vehicles=1") {
		t.Error(log)
	}
	h.now = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC) // after a month of sleep
	day()
	day()
	h.now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) // a clock set back
	day()
	day()
	if n := refreshes(); n != 5 || shown() != nil {
		t.Fatalf("%d runs, %v", n, shown())
	}
	if _, err := h.dealers.Update(t.Context(), h.tenant(), tester, store.ID, func(d *dealer.Dealer) { d.TimeZone = "Asia/Tokyo" }); err != nil {
		t.Fatal(err)
	}
	day()
	day()
	if n := refreshes(); n != 6 {
		t.Fatalf("%d runs", n)
	}

	h.must(200, "", "PATCH", path, `{"enabled":false}`)
	h.now = h.now.AddDate(0, 0, 3)
	day()
	if n := refreshes(); n != 6 {
		t.Fatalf("%d runs without a rule that reads the days", n)
	}
	h.must(200, "", "PATCH", path, `{"enabled":true}`) // applies with the next file, not by itself
	day()
	if n := refreshes(); n != 6 {
		t.Fatalf("%d runs on the day a rule was enabled", n)
	}
}

// What a transaction has compiled that was rolled back is not in force.
func TestRolledBackRulesAreNotInForce(t *testing.T) {
	h := newHouse(t, Options{})
	h.rule("a", "", set("make", "x"))
	by := Author{Admin: true}
	rollback := fmt.Errorf("no")
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		if _, err := h.Create(t.Context(), tx, by, rule(to("make", "y"))); err != nil {
			return err
		}
		if ready, err := h.InForce(t.Context(), tx); err != nil || len(ready.Names) != 2 {
			t.Error(ready, err)
		}
		return rollback
	})
	if err == nil {
		t.Fatal("not rolled back")
	}
	h.rule("b", "", set("make", "z"))
	ready, err := h.InForce(t.Context(), h.tenant())
	if err != nil || len(ready.Names) != 2 || ready.Names[1].Name != "b" {
		t.Error(ready.Names, err)
	}
	if edition, err := h.stock.Edition(t.Context(), h.tenant()); err != nil || edition != 2 {
		t.Error(edition, err)
	}
}

// A rule that an earlier version took and this one does not is left out and shown so; it can be renamed, disabled,
// mended and deleted.
func TestARuleThatNoLongerCompilesIsLeftOut(t *testing.T) {
	h := newHouse(t, Options{})
	h.file(row(truckVIN, "price", "4000.00"))
	path := h.rule("Broken", "", set("price", "5000"))
	h.rule("Whole", "", set("make", "Ford"))
	broken, err := h.Get(t.Context(), h.tenant(), path[7:])
	if err != nil {
		t.Fatal(err)
	}
	broken.Actions[0].Field = "prize"
	err = h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		if err := updateRule(t.Context(), tx, &broken); err != nil {
			return err
		}
		return storeStamp(t.Context(), tx, "after the upgrade")
	})
	if err != nil {
		t.Fatal(err)
	}
	h.must(202, "", "POST", "/rules/apply", "")
	h.must(202, "", "POST", "/rules/apply", "")
	if v := h.vehicle(truckVIN); v["price"] != "4000.00" || v["make"] != "Ford" {
		t.Error(v)
	}
	if n := strings.Count(h.log.String(), "does not compile"); n != 1 || !strings.Contains(h.log.String(), path[7:]) {
		t.Errorf("logged %d times: %s", n, h.log.String())
	}
	if out := h.must(200, "", "GET", path, ""); !strings.HasPrefix(out.at("rule.problem").(string), "#/actions/0/field is not a field of vehicles") || out.at("rule.enabled") != true {
		t.Error(out)
	}
	if out := h.must(409, "", "POST", path+"/test", `{"vehicle":{}}`); out["code"] != "conflict" {
		t.Error(out)
	}
	h.must(200, "", "PATCH", path, `{"name":"Renamed"}`)
	h.must(200, "", "PATCH", path, `{"enabled":false}`)
	h.must(422, "", "PATCH", path, `{"enabled":true}`)
	if out := h.must(200, "", "PATCH", path, `{"enabled":true,"actions":[`+set("price", "1")+`]}`); out.at("rule.problem") != nil {
		t.Error(out)
	}
}

// A rule sees the days on lot that the rules before have left, which are those that the vehicle shows.
func TestRulesSeeTheDaysThatRulesBeforeHaveLeft(t *testing.T) {
	h := newHouse(t, Options{})
	h.rule("Stock day", "", set("date_in_stock", h.now.AddDate(0, 0, -100).Format(time.DateOnly)))
	old := h.rule("Old", `{"field":"days_on_lot","operator":"greater_than","value":"90"}`, `{"type":"set_field","field":"custom.days","value_expr":"days_on_lot"}`)
	h.rule("Today", "", set("date_in_stock", h.now.Format(time.DateOnly)))
	h.file(row(truckVIN, "price", "4000.00"))
	if v := h.vehicle(truckVIN); v.text("custom") != `{"days":"100"}` || v["days_on_lot"] != 0.0 {
		t.Error(v)
	}
	out := h.must(200, "", "POST", old+"/test", `{"vin":"`+truckVIN+`"}`)
	if out.at("applied") != true || out.at("conditions.0.actual") != 100.0 || out.at("before.days_on_lot") != 100.0 {
		t.Error(out)
	}
	out = h.must(200, "", "POST", "/rules/test", `{"vin":"`+truckVIN+`","rule":{"conditions":[],"actions":[`+set("date_in_stock", h.now.AddDate(0, 0, -7).Format(time.DateOnly))+`]}}`)
	if out.at("before.days_on_lot") != 0.0 || out.at("vehicle.days_on_lot") != 7.0 {
		t.Error(out)
	}
}

// A source that changes one custom property is named for it, though a rule has set another one.
func TestHistoryTellsCustomPropertiesOfSourcesFromThoseOfRules(t *testing.T) {
	h := newHouse(t, Options{})
	path := h.rule("Lot", "", set("custom.lot", "B"))
	h.file(row(truckVIN, "price", "4000.00", "custom", `{"colour":"red"}`))
	want := []string{"created by Nightly", `{"custom":{"new":{"colour":"red","lot":"B"},"old":{"colour":"red"}}} by rule Lot`}
	then := func(entry string) {
		t.Helper()
		want = append(want, entry)
		if d := cmp.Diff(want, h.history(truckVIN)); d != "" {
			t.Error(d)
		}
	}
	h.file(row(truckVIN, "custom", `{"colour":"blue"}`))
	then(`{"custom":{"new":{"colour":"blue","lot":"B"},"old":{"colour":"red","lot":"B"}}} by vauto Nightly`)
	h.file(row(truckVIN, "custom", `{"doors":"4"}`))
	then(`{"custom":{"new":{"doors":"4","lot":"B"},"old":{"colour":"blue","lot":"B"}}} by vauto Nightly`)
	h.must(200, "", "PATCH", path, `{"actions":[`+set("custom.lot", "C")+`]}`)
	h.must(202, "", "POST", "/rules/apply", "")
	then(`{"custom":{"new":{"doors":"4","lot":"C"},"old":{"doors":"4","lot":"B"}}} by rule Lot`)
	h.must(200, "", "PATCH", path, `{"actions":[`+set("custom.doors", "")+`]}`)
	h.must(202, "", "POST", "/rules/apply", "")
	then(`{"custom":{"new":{},"old":{"doors":"4","lot":"C"}}} by rule Lot`)
}

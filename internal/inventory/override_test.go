package inventory

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/audit"
	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// overrides of the truck, by field.
func (h *house) overrides(as string) map[string]map[string]any {
	h.Helper()
	out := map[string]map[string]any{}
	for _, o := range h.vehicle(200, as, "GET", "/inventory/"+truck, "")["overrides"].([]any) {
		o := o.(map[string]any)
		out[o["field"].(string)] = o
	}
	return out
}

func TestOverridesTellWhoSetThemAndWhatTheSourcesSay(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "30000", vehicle.Trim: "XL", vehicle.Cost: "20000"}))
	h.now = h.now.Add(time.Minute)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"28000.00"}`)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "31000", vehicle.Trim: "XL", vehicle.Cost: "20000"}))
	want := map[string]any{
		"field": "price", "value": "28000.00", "source_value": "31000.00", "set_at": "2026-11-23T12:02:00Z",
		"set_by": map[string]any{"type": "api_key", "id": "key-1", "name": "Test key"},
	}
	if diff := cmp.Diff(want, h.overrides("")["price"]); diff != "" {
		t.Error(diff)
	}
	h.vehicle(200, "admin", "PATCH", "/inventory/"+truck, `{"cost":"1.00"}`)
	if h.overrides("")["cost"] != nil || h.overrides("admin")["cost"]["source_value"] != "20000.00" {
		t.Errorf("costs are for administrators: %v", h.overrides(""))
	}
}

func TestOverridesAreReleased(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "30000", vehicle.Trim: "XL"}))
	h.now = h.now.Add(time.Minute)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"28000.00","trim":"XLT","make":"Ford","status":"sold"}`)

	h.must(404, "", "DELETE", "/inventory/"+truck+"/overrides/model", "")
	h.must(404, "", "DELETE", "/inventory/"+truck+"/overrides/nothing", "")
	h.must(404, "", "DELETE", "/inventory/"+sedan+"/overrides", "")
	h.must(404, "foreign", "DELETE", "/inventory/"+truck+"/overrides", "")
	h.must(403, "reader", "DELETE", "/inventory/"+truck+"/overrides/price", "")

	h.must(204, "", "DELETE", "/inventory/"+truck+"/overrides/price", "")
	h.must(404, "", "DELETE", "/inventory/"+truck+"/overrides/price", "")
	v := h.vehicle(200, "", "GET", "/inventory/"+truck, "")
	if diff := cmp.Diff([]any{"make", "trim", "status"}, overridden(v)); diff != "" || v["price"] != "30000.00" || v["trim"] != "XLT" || v["status"] != "sold" {
		t.Errorf("released one: %v %v %v %s", v["price"], v["trim"], v["status"], diff)
	}
	h.must(204, "", "DELETE", "/inventory/"+truck+"/overrides", "")
	h.must(204, "", "DELETE", "/inventory/"+truck+"/overrides", "")
	v = h.vehicle(200, "", "GET", "/inventory/"+truck, "")
	if len(overridden(v)) > 0 || v["trim"] != "XL" || v["make"] != nil || v["status"] != "active" {
		t.Errorf("released all: %v %v %v %v", v["overrides"], v["trim"], v["make"], v["status"])
	}
	entries := h.must(200, "", "GET", "/inventory/"+truck+"/history", "")["history"].([]any)
	if e := entries[len(entries)-1].(map[string]any); e["source"] != "vauto" || e["actor_name"] != "Nightly" {
		t.Errorf("what shows again is the source's: %v", e)
	}
	var n int
	if err := h.tenant().QueryRow(t.Context(), `SELECT count(*) FROM vehicle_override WHERE dealer_group_id = $1`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d notes left, %v", n, err)
	}
}

// Nothing else would be there to show.
func TestReleaseKeepsWhatNoSourceElseTells(t *testing.T) {
	h := open(t)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"100.00","transmission":"6-Speed Automatic"}`)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"200.00"}`)
	h.must(204, "", "DELETE", "/inventory/"+truck+"/overrides", "")
	v := h.vehicle(200, "", "GET", "/inventory/"+truck, "")
	if v["price"] != "200.00" || len(overridden(v)) > 0 {
		t.Errorf("%v %v", v["price"], v["overrides"])
	}
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300"}))
	h.shows(truck, map[string]any{"price": "300.00"})
}

// priceFloor is rules as package rule makes them: one that lifts prices, and one that faults where there is no MSRP.
func priceFloor(floor string) vehicle.Rules {
	return vehicle.Rules{Names: []vehicle.RuleName{{ID: "rule-1", Name: "Price floor"}, {ID: "rule-2", Name: "From MSRP"}}, Run: func(v *vehicle.Values, r *vehicle.Ruling) {
		if v[vehicle.Price] != "" && len(v[vehicle.Price]) < len(floor) && !r.Keep.Has(vehicle.Price) {
			v[vehicle.Price] = floor
			r.Set.Add(vehicle.Price)
			r.By[vehicle.Price] = 0
		}
		if v[vehicle.MSRP] == "" {
			r.Faults = append(r.Faults, vehicle.RuleFault{Rule: 1, Field: vehicle.OtherPrice, Reason: "msrp is empty"})
			return
		}
		v[vehicle.OtherPrice] = v[vehicle.MSRP]
		r.Set.Add(vehicle.OtherPrice)
		r.By[vehicle.OtherPrice] = 1
	}}
}

func (h *house) rules(r vehicle.Rules) {
	h.stock.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) { return r, nil }
}

func TestRulesStandOverSourcesAndUnderOverrides(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.rules(priceFloor("5000.00"))
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300", vehicle.MSRP: "9000"}))
	h.shows(truck, map[string]any{"price": "5000.00", "other_price": "9000.00", "rules": []any{
		map[string]any{"field": "price", "rule_id": "rule-1", "rule_name": "Price floor", "source_value": "300.00"},
		map[string]any{"field": "other_price", "rule_id": "rule-2", "rule_name": "From MSRP", "source_value": nil},
	}})
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck+"?integration_id="+integration, ""); v["price"] != "300.00" {
		t.Errorf("the source's own record: %v", v["price"])
	}
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "400", vehicle.MSRP: "9000"})) // still under the floor: nothing to see
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "10000", vehicle.MSRP: "9500"}))
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"7.00"}`)
	h.shows(truck, map[string]any{"price": "7.00"})
	h.must(204, "", "DELETE", "/inventory/"+truck+"/overrides/price", "")
	h.shows(truck, map[string]any{"price": "10000.00"})
	want := []string{
		`created vauto by Nightly {"msrp":{"Old":null,"New":"9000.00"},"price":{"Old":null,"New":"300.00"},"status":{"Old":null,"New":"active"}}`,
		`price_change rule by Price floor {"price":{"Old":"300.00","New":"5000.00"}}`,
		`price_change rule by From MSRP {"other_price":{"Old":null,"New":"9000.00"}}`,
		`price_change vauto by Nightly {"msrp":{"Old":"9000.00","New":"9500.00"},"price":{"Old":"5000.00","New":"10000.00"}}`,
		`price_change rule by From MSRP {"other_price":{"Old":"9000.00","New":"9500.00"}}`,
		`price_change api by Test key {"price":{"Old":"10000.00","New":"7.00"}}`,
		`price_change vauto by Nightly {"price":{"Old":"7.00","New":"10000.00"}}`,
	}
	if diff := cmp.Diff(want, h.told(truck)); diff != "" {
		t.Error(diff)
	}
}

// What is shown may stay the same while what the source says does not.
func TestRuleTakesOverWhereTheSourceStops(t *testing.T) {
	h := open(t)
	h.rules(priceFloor("5000.00"))
	a := feedOf(integration)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "5000"}))
	h.shows(truck, map[string]any{"price": "5000.00", "rules": []any{}})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300"}))
	h.shows(truck, map[string]any{"price": "5000.00"})
	if n := len(h.told(truck)); n != 1 {
		t.Errorf("%d entries: %v", n, h.told(truck))
	}
}

func TestRulesLeaveAloneWhatGoesWithAnOverride(t *testing.T) {
	h := open(t)
	h.rules(vehicle.Rules{Names: []vehicle.RuleName{{ID: "rule-1", Name: "Miles"}}, Run: func(v *vehicle.Values, r *vehicle.Ruling) {
		if !r.Keep.Has(vehicle.MileageUnit) {
			v[vehicle.MileageUnit] = "mi"
			r.Set.Add(vehicle.MileageUnit)
		}
	}})
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Mileage: "10", vehicle.MileageUnit: "km"}))
	h.shows(truck, map[string]any{"mileage_unit": "mi"})
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"mileage":20}`)
	h.shows(truck, map[string]any{"mileage": 20.0, "mileage_unit": nil})
}

func TestRefreshAppliesRulesAndTakesThemBack(t *testing.T) {
	h := open(t)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "90000"}))
	h.rules(priceFloor("5000.00"))
	refresh := func(dry bool) (r Refresh) {
		h.now = h.now.Add(time.Minute)
		h.within(func(tx *sqldb.Tenant) (err error) {
			r, err = h.stock.StartRefresh(t.Context(), tx, audit.Actor{Type: "user", ID: "user-1", Name: "Pat"}, RefreshRules, dry)
			return err
		})
		return r
	}
	dry := refresh(true)
	want := Findings{
		Fields:   map[string]int64{"price": 1},
		Examples: []RefreshExample{{truck, `{"price":{"old":"300.00","new":"5000.00"}}`}},
		Faults:   []RuleFaultCount{{Rule: vehicle.RuleName{ID: "rule-2", Name: "From MSRP"}, Count: 2, VIN: truck, Field: "other_price", Reason: "msrp is empty"}},
	}
	if dry.Findings.Faults[0].VIN != truck { // by VIN, and the sedan's is either
		want.Faults[0].VIN = sedan
	}
	if diff := cmp.Diff(want, dry.Findings); diff != "" || dry.Vehicles != 1 || dry.Status != RefreshCompleted || dry.Done != 2 {
		t.Errorf("dry run: %+v %s", dry, diff)
	}
	h.shows(truck, map[string]any{"price": "300.00"})
	if wet := refresh(false); !cmp.Equal(wet.Findings, dry.Findings) {
		t.Errorf("the dry run promised something else: %s", cmp.Diff(dry.Findings, wet.Findings))
	}
	h.shows(truck, map[string]any{"price": "5000.00", "updated_at": "2026-11-23T12:03:00Z"})
	h.shows(sedan, map[string]any{"price": "90000.00", "updated_at": "2026-11-23T12:01:00Z"})
	if again := refresh(false); again.Vehicles != 0 {
		t.Errorf("again: %+v", again)
	}
	h.rules(vehicle.Rules{})
	refresh(false)
	h.shows(truck, map[string]any{"price": "300.00", "rules": []any{}})
	got := h.told(truck)
	if diff := cmp.Diff([]string{
		`price_change rule by Price floor {"price":{"Old":"300.00","New":"5000.00"}}`,
		`price_change vauto by Nightly {"price":{"Old":"5000.00","New":"300.00"}}`,
	}, got[1:]); diff != "" {
		t.Error(diff)
	}
}

// Rows on which a rule could not do its work are read again, so that every file's log tells of them.
func TestFaultyRowsAreReadAgain(t *testing.T) {
	h := open(t)
	h.rules(priceFloor("5000.00"))
	fine, faulty := row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300", vehicle.MSRP: "9000"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "300"})
	fine.Hash, faulty.Hash = 7, 8
	for range 2 {
		h.within(func(tx *sqldb.Tenant) error {
			err := h.stock.Write(t.Context(), tx, feedOf(integration), func(w *Writer) error {
				_, err := w.Apply(t.Context(), []vehicle.Change{fine, faulty})
				if f := w.RuleFaults(); len(f) != 1 || f[0].Count != 1 || f[0].VIN != sedan || f[0].Rule.Name != "From MSRP" {
					t.Errorf("faults: %+v", f)
				}
				return err
			})
			if err != nil {
				return err
			}
			known, err := h.stock.Known(t.Context(), tx, feedOf(integration), []string{truck, sedan})
			if err != nil || known[truck] != 7 || known[sedan] != 0 {
				t.Errorf("known: %v, %v", known, err)
			}
			return nil
		})
	}
}

// A POST writes where a PATCH has written, and so changes what is in force.
func TestPostOfAnOverriddenFieldTellsWhoDidIt(t *testing.T) {
	h := open(t)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"90.00","trim":"XL"}`)
	h.now = h.now.Add(time.Minute)
	h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"80.00","trim":"XL","make":"Ford"}`)
	o := h.overrides("")
	if o["price"]["value"] != "80.00" || o["price"]["set_at"] != "2026-11-23T12:02:00Z" || o["trim"]["set_at"] != "2026-11-23T12:01:00Z" || len(o) != 2 {
		t.Errorf("%v", o)
	}
}

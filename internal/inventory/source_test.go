package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"carfluence/internal/audit"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

const second = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c05"

func feedOf(integrationID string) Source {
	return Source{Name: "vauto", IntegrationID: integrationID, ActorType: "integration", ActorID: integrationID, ActorName: "Nightly", File: "stock.csv"}
}

// apply brings changes in with a writer of their own.
func apply(ctx context.Context, s *Stock, tx *sqldb.Tenant, changes []vehicle.Change, from Source) ([]Outcome, error) {
	var outcomes []Outcome
	err := s.Write(ctx, tx, from, func(w *Writer) (err error) {
		outcomes, err = w.Apply(ctx, changes)
		return err
	})
	return outcomes, err
}

func retire(ctx context.Context, s *Stock, tx *sqldb.Tenant, vins []string, from Source) error {
	return s.Write(ctx, tx, from, func(w *Writer) error { return w.Retire(ctx, vins) })
}

// feeds applies one source's changes a minute later.
func (h *house) feeds(from Source, changes ...vehicle.Change) []Outcome {
	h.Helper()
	h.now = h.now.Add(time.Minute)
	var outcomes []Outcome
	h.within(func(tx *sqldb.Tenant) (err error) {
		outcomes, err = apply(h.Context(), h.stock, tx, changes, from)
		return err
	})
	return outcomes
}

func (h *house) within(f func(tx *sqldb.Tenant) error) {
	h.Helper()
	if err := h.tenant().Transact(h.Context(), f); err != nil {
		h.Fatal(err)
	}
	h.stock.Committed(group)
}

func (h *house) retire(from Source, vins ...string) {
	h.Helper()
	h.now = h.now.Add(time.Minute)
	h.within(func(tx *sqldb.Tenant) error { return retire(h.Context(), h.stock, tx, vins, from) })
}

func (h *house) shows(vin string, want map[string]any) {
	h.Helper()
	v := h.vehicle(200, "", "GET", "/inventory/"+vin, "")
	for name, value := range want {
		if !cmp.Equal(v[name], value) {
			h.Errorf("%s: %v, want %v", name, v[name], value)
		}
	}
}

func TestSourceThatChangedLastIsShown(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100", vehicle.Make: "Ford", vehicle.ExteriorColor: "Red", vehicle.Mileage: "10", vehicle.MileageUnit: "km"}))
	if got := h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200", vehicle.Make: "Ford", vehicle.Mileage: "6"})); got[0] != Updated {
		t.Errorf("a VIN that is known: %v", got)
	}
	h.shows(truck, map[string]any{"price": "200.00", "exterior_color": "Red", "mileage": 6.0, "mileage_unit": nil, "source_integration_id": second})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100", vehicle.Make: "Ford", vehicle.ExteriorColor: "Red", vehicle.Mileage: "10"})) // nothing new
	h.shows(truck, map[string]any{"price": "200.00", "source_integration_id": second})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Mileage: "11"}))
	h.shows(truck, map[string]any{"price": "100.00", "mileage": 11.0, "mileage_unit": "km", "source_integration_id": integration})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: ""}))
	h.shows(truck, map[string]any{"price": "200.00"}) // an empty value falls through

	for id, want := range map[string]any{integration: nil, second: "200.00"} {
		if v := h.vehicle(200, "", "GET", "/inventory/"+truck+"?integration_id="+id, ""); v["price"] != want || v["source_integration_id"] != id {
			t.Errorf("%s says %v", id, v["price"])
		}
		list := h.must(200, "", "GET", "/inventory?search=ford&integration_id="+id, "")["vehicles"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["price"] != want {
			t.Errorf("list of %s: %v", id, list)
		}
	}
	if list := h.vins(""); list != truck {
		t.Errorf("listed: %s", list)
	}
}

func TestVehicleIsSoldWhenNobodyListsIt(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.feeds(b, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	h.retire(b, truck, sedan)
	h.shows(truck, map[string]any{"status": "active", "price": "100.00", "sold_at": nil})
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck+"?integration_id="+second, ""); v["status"] != "sold" || v["sold_at"] == nil {
		t.Errorf("its own view: %v", v["status"])
	}
	if got := h.vins("?status=sold&integration_id=" + second); got != truck {
		t.Errorf("sold there: %q", got)
	}
	h.retire(a, truck)
	h.shows(truck, map[string]any{"status": "sold", "sold_at": "2026-11-23T12:04:00Z", "relisted_at": nil})
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.shows(truck, map[string]any{"status": "active", "sold_at": nil, "relisted_at": "2026-11-23T12:05:00Z"})
	var kinds []string
	for _, e := range h.must(200, "", "GET", "/inventory/"+truck+"/history", "")["history"].([]any) {
		e := e.(map[string]any)
		kinds = append(kinds, fmt.Sprint(e["change_type"], " ", e["source"], " ", e["file"]))
	}
	want := []string{"created vauto stock.csv", "price_change vauto stock.csv", "price_change vauto <nil>", "status_change vauto stock.csv", "status_change vauto stock.csv"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

// What a person says by the API holds until a source has a newer word; a PATCH holds until it is released.
func TestStatusIsTheLastWord(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.now = h.now.Add(time.Minute)
	h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","status":"sold"}`)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "101"}))
	h.shows(truck, map[string]any{"status": "sold", "price": "101.00"})
	h.vehicle(200, "", "POST", "/inventory", `{"vin":"`+truck+`","status":"active"}`)
	h.retire(a, truck)
	h.shows(truck, map[string]any{"status": "sold"})
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":"active"}`)
	h.shows(truck, map[string]any{"status": "active"})
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":null}`)
	h.shows(truck, map[string]any{"status": "sold"})
}

func TestLeadsFillGapsOnly(t *testing.T) {
	h := open(t)
	lead := feedOf(second)
	lead.Lead = true
	change := row(truck, 2, map[vehicle.Field]string{vehicle.Make: "FORD TRUCKS", vehicle.Model: "F-150", vehicle.Status: "sold"})
	if got := h.feeds(lead, change); got[0] != LeftOut || h.vins("?status=all") != "" {
		t.Errorf("a lead created a vehicle: %v", got)
	}
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford"}))
	h.feeds(lead, change)
	h.shows(truck, map[string]any{"make": "Ford", "model": "F-150", "status": "active"})
	h.retire(feedOf(integration), truck)
	h.feeds(lead, row(truck, 2, map[vehicle.Field]string{vehicle.Trim: "XL", vehicle.Status: "active"}))
	h.shows(truck, map[string]any{"make": "Ford", "trim": "XL", "status": "sold"})
}

func TestUntrackedSourceLeavesNoHistory(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	a.Untracked = true
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "300"}))
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "400"}))
	a.Untracked = false
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "500"}))
	var prices []string
	for _, e := range h.must(200, "", "GET", "/inventory/"+truck+"/history", "")["history"].([]any) {
		price := e.(map[string]any)["changed_fields"].(map[string]any)["price"].(map[string]any)
		prices = append(prices, fmt.Sprint(price["old"], " ", price["new"]))
	}
	if diff := cmp.Diff([]string{"<nil> 100.00", "100.00 200.00", "400.00 500.00"}, prices); diff != "" {
		t.Error(diff)
	}
}

func TestRowsAreKnownAgain(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	first := row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"})
	first.Hash = 7
	known := func() map[string]int64 {
		hashes, err := h.stock.Known(t.Context(), h.tenant(), a, []string{truck, sedan})
		if err != nil {
			t.Fatal(err)
		}
		return hashes
	}
	h.feeds(a, first)
	if diff := cmp.Diff(map[string]int64{truck: 7}, known()); diff != "" {
		t.Error(diff)
	}
	first.Hash = 8
	if got := h.feeds(a, first); got[0] != Unchanged || known()[truck] != 8 {
		t.Errorf("spelled differently: %v %v", got, known())
	}
	h.within(func(tx *sqldb.Tenant) error {
		var missing []Listing
		if err := h.stock.EachListing(t.Context(), tx, Source{IntegrationID: integration}, func(l Listing) { missing = append(missing, l) }); err != nil {
			return err
		}
		return h.stock.Write(t.Context(), tx, a, func(w *Writer) error { return w.Miss(t.Context(), missing, h.now) })
	})
	if len(known()) != 0 {
		t.Errorf("a vehicle that was missed must be read again: %v", known())
	}
	h.feeds(a, first)
	if known()[truck] != 8 {
		t.Errorf("it came back: %v", known())
	}
}

// drawRules are rules that set some fields by what they find, depending on days on lot or not.
func drawRules(t *rapid.T) vehicle.Rules {
	f := vehicle.Field(rapid.Uint8Range(0, uint8(vehicle.NumFields)-1).Filter(func(n uint8) bool {
		return vehicle.Field(n) != vehicle.DealershipID && vehicle.Field(n) != vehicle.Custom
	}).Draw(t, "ruled"))
	value := vehicletest.Value(t, f)
	if f == vehicle.Status && value == "" {
		value = vehicle.StatusSold
	}
	days := rapid.Bool().Draw(t, "by days")
	return vehicle.Rules{Names: []vehicle.RuleName{{ID: "rule-1", Name: "One"}}, ReadDays: days, Run: func(v *vehicle.Values, r *vehicle.Ruling) {
		if r.Keep.Has(f) || days && r.DaysOnLot < 1 || v[vehicle.Make] == "" {
			return
		}
		v[f] = value
		r.Set.Add(f)
	}}
}

// Whatever sources, rules, merge configs and people do in whatever order, lists, single records, counters and history show
// the one view that follows from what each source says.
func TestStoredViewFollowsFromTheSources(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		n++
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		tenant := db.Tenant(fmt.Sprintf("group-%d", n))
		s := NewStock(db, Options{Now: func() time.Time { return now }})
		rules, tracked := vehicle.Rules{}, rapid.Bool().Draw(t, "all tracked")
		s.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) { return rules, nil }
		vins := []string{truck, sedan}
		sources := []Source{feedOf(integration), feedOf(second), {Name: SourceAPI}, {Name: SourceImport}}
		for range rapid.IntRange(1, 16).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "seconds")) * time.Second)
			from, vin := rapid.SampledFrom(sources).Draw(t, "source"), rapid.SampledFrom(vins).Draw(t, "vin")
			from.Untracked = !tracked && rapid.Bool().Draw(t, "untracked")
			within := func(f func(tx *sqldb.Tenant) error) error {
				defer s.Committed(tenant.Group())
				return tenant.Transact(ctx, f)
			}
			var err error
			switch step := rapid.SampledFrom([]string{"apply", "apply", "apply", "retire", "patch", "release", "rules", "default", "refresh"}).Draw(t, "step"); {
			case step == "retire" && from.IntegrationID != "":
				err = within(func(tx *sqldb.Tenant) error { return retire(ctx, s, tx, []string{vin}, from) })
			case step == "patch":
				_, err = s.Patch(ctx, tenant, vehicletest.Change(t, vin), Source{Name: SourceAPI})
			case step == "release":
				err = s.Release(ctx, tenant, vin, "", Source{Name: SourceAPI})
			case step == "rules":
				rules = drawRules(t)
			case step == "default":
				err = within(func(tx *sqldb.Tenant) error {
					return storeDefault(ctx, tx, rapid.SampledFrom([]string{"", integration, second}).Draw(t, "first"))
				})
			case step == "refresh":
				err = within(func(tx *sqldb.Tenant) error {
					_, err := s.StartRefresh(ctx, tx, audit.System("test"), RefreshRules, rapid.Bool().Draw(t, "dry"))
					return err
				})
			default:
				err = within(func(tx *sqldb.Tenant) error {
					_, err := apply(ctx, s, tx, []vehicle.Change{vehicletest.Change(t, vin)}, from)
					return err
				})
			}
			if err != nil && !errors.Is(err, errNoVehicle) {
				t.Fatal(err)
			}
			checkStored(ctx, t, s, tenant, vins, now, tracked)
		}
		err := tenant.Transact(ctx, func(tx *sqldb.Tenant) error {
			if _, err := s.StartRefresh(ctx, tx, audit.System("test"), RefreshRules, false); err != nil {
				return err
			}
			w, err := s.writer(ctx, tx, Source{})
			if err != nil {
				return err
			}
			return w.preview(ctx, vins, func(was, is *Vehicle) {
				t.Fatalf("refreshed, and still not what it should be: %s", cmp.Diff(was.Values, is.Values))
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// storeDefault makes the group's inventory believe one integration first, "" for none.
func storeDefault(ctx context.Context, tx *sqldb.Tenant, first string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM merge_config WHERE dealer_group_id = $1`); err != nil || first == "" {
		return err
	}
	settings := fmt.Sprintf(`{"sources":[%q],"priority":[%q],"fields":{"mileage":%q,"gears":%q}}`, first, first, second, integration)
	_, err := tx.Exec(ctx, `INSERT INTO merge_config (dealer_group_id, id, name, name_folded, settings, is_default, created_at, updated_at) VALUES ($1, 'config', 'Default', 'default', $2, TRUE, 0, 0)`, settings)
	return err
}

// checkStored holds counters, the list and the history to the single records.
func checkStored(ctx context.Context, t *rapid.T, s *Stock, tenant *sqldb.Tenant, vins []string, now time.Time, tracked bool) {
	counted := counts{}
	page, err := s.List(ctx, tenant, Filter{}, rest.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	for _, vin := range vins {
		v, err := s.Get(ctx, tenant, vin, "")
		if errors.Is(err, errNoVehicle) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		counted.add(v, 1)
		if d := string(appendListDocument(nil, string(calendar{}.document(nil, v)), calendar{}.daysOnLot(v, now))); !strings.Contains(string(page.Body), d) {
			t.Fatalf("listed %s, want %s", page.Body, d)
		}
		history, err := s.History(ctx, tenant, vin, true)
		if err != nil || history[0].Type != Created {
			t.Fatalf("history of %s: %v", vin, err)
		}
		if tracked {
			replay(t, v, history)
		}
	}
	kept, err := selectCounts(ctx, tenant)
	if err != nil || kept.sum() != counted.sum() {
		t.Fatalf("kept %+v, counted %+v, %v", kept.sum(), counted.sum(), err)
	}
}

// replay holds a vehicle to its history: one change after the other leads to what it shows.
func replay(t *rapid.T, v *Vehicle, history []Entry) {
	var values vehicle.Values
	for i, e := range history {
		var changed map[string]struct{ Old, New json.RawMessage }
		if err := json.Unmarshal([]byte(e.Changes), &changed); err != nil {
			t.Fatal(err)
		}
		for name, c := range changed {
			f, _ := vehicle.FieldNamed(name)
			read := func(raw json.RawMessage) string {
				var v vehicle.Values
				if text := string(raw); text != "null" && text != "[]" && text != "{}" {
					if err := v.ReadJSON(`{"` + name + `":` + text + `}`); err != nil {
						t.Fatal(err)
					}
				}
				return v[f]
			}
			if old := read(c.Old); old != values[f] && !f.Same(old, values[f]) && f != vehicle.Transmission {
				t.Fatalf("entry %d: %s was %q, not %q", i, name, values[f], old)
			}
			values[f] = read(c.New)
		}
	}
	for f := range vehicle.NumFields {
		if values[f] != v.Values[f] && !f.Same(values[f], v.Values[f]) && f != vehicle.Transmission { // whose likeness is not transitive
			t.Fatalf("history ends with %s %q, shown is %q: %+v", f, values[f], v.Values[f], history)
		}
	}
}

// A PATCH speaks of what it names; what an older POST said of other fields stays as old as it is.
func TestPatchBringsNoOldPostBack(t *testing.T) {
	h := open(t)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"100.00"}`)
	h.feeds(feedOf(integration), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "120"}))
	h.now = h.now.Add(time.Minute)
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"trim":"XL"}`)
	h.shows(truck, map[string]any{"price": "120.00", "trim": "XL"})
}

// Custom properties are joined, so that the first source is not the one that has changed something.
func TestHistoryNamesWhoChangedAProperty(t *testing.T) {
	h := open(t)
	a, b := feedOf(integration), feedOf(second)
	a.ActorName, b.ActorName = "A", "B"
	h.stock.Integrations = func(context.Context, *sqldb.Tenant) (map[string]IntegrationName, error) {
		return map[string]IntegrationName{integration: {"vauto", "A"}, second: {"homenet", "B"}}, nil
	}
	h.config(`{"name":"A","sourceIntegrationIds":["` + integration + `","` + second + `"],"isDefault":true}`)
	custom := func(from Source, text string) {
		h.feeds(from, row(truck, 2, map[vehicle.Field]string{vehicle.Custom: text}))
	}
	custom(a, `{"x":"1"}`)
	custom(b, `{"x":"2","y":"1"}`)
	custom(b, `{"x":"2","y":"2"}`)
	custom(b, `{"x":"2"}`)
	custom(a, ``)
	want := []string{
		`A {"custom":{"Old":{},"New":{"x":"1"}},"status":{"Old":null,"New":"active"}}`,
		`B {"custom":{"Old":{"x":"1"},"New":{"x":"1","y":"1"}}}`,
		`B {"custom":{"Old":{"x":"1","y":"1"},"New":{"x":"1","y":"2"}}}`,
		`B {"custom":{"Old":{"x":"1","y":"2"},"New":{"x":"1"}}}`,
		`B {"custom":{"Old":{"x":"1"},"New":{"x":"2"}}}`,
	}
	got := h.history(truck, func(historyLine) string { return "" })
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], " by ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// That somebody once called it active does not make him the one who lists it again.
func TestHistoryNamesWhoListsAgain(t *testing.T) {
	h := open(t)
	a := feedOf(integration)
	h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","status":"active"}`)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.retire(a, truck)
	h.feeds(a, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.retire(a, truck)
	h.feeds(feedOf(second), row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	for i, line := range h.told(truck)[1:] {
		if !strings.Contains(line, " vauto by Nightly ") {
			t.Errorf("%d: %s", i, line)
		}
	}
}

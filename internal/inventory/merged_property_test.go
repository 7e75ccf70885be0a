package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"carfluence/internal/audit"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

// mergeStep is one thing a source does.
type mergeStep struct {
	from   Source
	change vehicle.Change
	retire bool
	patch  bool
}

// drawSequences draws what each source does, in its order.
func drawSequences(t *rapid.T, vins []string) [][]mergeStep {
	var list [][]mergeStep
	adding := feedOf(third)
	adding.UpdateOnly = rapid.Bool().Draw(t, "adds only")
	for _, from := range []Source{feedOf(integration), feedOf(second), adding, {Name: SourceAPI}} {
		steps := make([]mergeStep, rapid.IntRange(0, 4).Draw(t, "steps of "+from.id()))
		for i := range steps {
			s := mergeStep{from: from, change: vehicletest.Change(t, rapid.SampledFrom(vins).Draw(t, "vin"))}
			s.patch = from.Name == SourceAPI
			s.retire = !s.patch && rapid.IntRange(0, 3).Draw(t, "retire") == 0
			if s.patch { // a patch of custom says what to change of all sources' properties
				s.change.Present.Remove(vehicle.Custom)
				s.change.Values[vehicle.Custom] = ""
			}
			steps[i] = s
		}
		list = append(list, steps)
	}
	return list
}

// interleave draws an order in which the sequences arrive.
func interleave(t *rapid.T, sequences [][]mergeStep) []mergeStep {
	rest := slices.Clone(sequences)
	var out []mergeStep
	for {
		rest = slices.DeleteFunc(rest, func(s []mergeStep) bool { return len(s) == 0 })
		if len(rest) == 0 {
			return out
		}
		i := rapid.IntRange(0, len(rest)-1).Draw(t, "next")
		out, rest[i] = append(out, rest[i][0]), rest[i][1:]
	}
}

func drawMergeConfig(t *rapid.T) MergeConfigChange {
	order := rapid.Permutation([]string{integration, second, third}).Draw(t, "order")
	body := map[string]any{
		"name": "A", "sourceIntegrationIds": order[:rapid.IntRange(1, 3).Draw(t, "sources")], "isDefault": rapid.Bool().Draw(t, "default"),
		"mileageTolerance": rapid.IntRange(0, 1).Draw(t, "tolerance"),
	}
	chosen := map[string]string{}
	for _, f := range rapid.SliceOfN(rapid.SampledFrom([]vehicle.Field{vehicle.Price, vehicle.Make, vehicle.Mileage, vehicle.MileageUnit, vehicle.Gears, vehicle.Transmission, vehicle.Status, vehicle.Photos, vehicle.Certified}), 0, 4).Draw(t, "chosen") {
		chosen[f.String()] = order[0]
	}
	body["fieldPriority"] = chosen
	raw, _ := json.Marshal(body)
	return MergeConfigInput{raw}.Change()
}

// mergedState is all that a merge config shows but times, and its counters.
type mergedState struct {
	Listed, Full, Conflicts map[string]map[string]any
	Totals                  map[string]float64
}

// TestMergedVehiclesDoNotDependOnArrival: whatever sources do, what a config shows follows from what each says in the end, not
// from the order in which they came, nor from when the config was made. Stored rows and counters say what a new merge says.
func TestMergedVehiclesDoNotDependOnArrival(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	n := 0
	vins := []string{truck, sedan}
	rapid.Check(t, func(t *rapid.T) {
		sequences, config := drawSequences(t, vins), drawMergeConfig(t)
		var states []mergedState
		for range 2 {
			n++
			now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			s := NewStock(db, Options{Now: func() time.Time { return now }})
			s.Integrations = func(context.Context, *sqldb.Tenant) (map[string]IntegrationName, error) {
				return map[string]IntegrationName{integration: {}, second: {}, third: {}}, nil
			}
			s.Rules = func(context.Context, *sqldb.Tenant) (vehicle.Rules, error) { return retailWhatHasNoPrice, nil }
			tenant := db.Tenant(fmt.Sprintf("group-%d", n))
			for _, vin := range vins { // a patch needs a vehicle
				if _, _, err := s.Upsert(t.Context(), tenant, vehicle.Change{VIN: vin, Present: vehicle.FieldsOf(vehicle.Doors), Values: vehicle.Values{vehicle.Doors: "4"}}, Source{Name: SourceAPI}); err != nil {
					t.Fatal(err)
				}
			}
			steps := interleave(t, sequences)
			at, id := rapid.IntRange(0, len(steps)).Draw(t, "made after"), ""
			for i := range len(steps) + 1 {
				now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "seconds")) * time.Second)
				if i == at {
					c, err := s.CreateMergeConfig(t.Context(), tenant, audit.Actor{}, config)
					if err != nil {
						t.Fatal(err)
					}
					id = c.ID
				}
				if i < len(steps) {
					steps[i].do(t, s, tenant)
				}
			}
			mergedRowsFollow(t, s, tenant, id)
			states = append(states, stateOf(t, s, tenant, id, vins))
		}
		if diff := gocmp.Diff(states[0], states[1]); diff != "" {
			t.Fatal(diff)
		}
	})
}

// retailWhatHasNoPrice is a rule.
var retailWhatHasNoPrice = vehicle.Rules{Names: []vehicle.RuleName{{ID: "r1", Name: "Retail"}}, Run: func(v *vehicle.Values, r *vehicle.Ruling) {
	if v[vehicle.Price] == "" && !r.Keep.Has(vehicle.Disposition) {
		v[vehicle.Disposition] = "retail"
		r.Set.Add(vehicle.Disposition)
	}
}}

func (step *mergeStep) do(t *rapid.T, s *Stock, tenant *sqldb.Tenant) {
	err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error {
		switch {
		case step.patch:
			_, err := s.Patch(t.Context(), tx, step.change, step.from)
			return err
		case step.retire:
			return retire(t.Context(), s, tx, []string{step.change.VIN}, step.from)
		}
		_, err := apply(t.Context(), s, tx, []vehicle.Change{step.change}, step.from)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Committed(tenant.Group())
}

// mergedRowsFollow compares the stored rows of a config, and its counters, with a merge of all vehicles.
func mergedRowsFollow(t interface {
	rapid.TB
	Context() context.Context
}, s *Stock, tenant *sqldb.Tenant, id string) {
	t.Helper()
	c, err := shownConfig(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	vins, err := selectVINsAfter(t.Context(), tenant, "", 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := selectMerged(t.Context(), tenant, c.view, vins)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.writer(t.Context(), tenant, Source{Name: SourceAPI})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.begin(t.Context(), vins); err != nil {
		t.Fatal(err)
	}
	var counted mergedCount
	view, rows := viewOf(c.view, &c.Settings), map[string]mergedRow{}
	for _, v := range w.stored {
		if m, ok := w.merged(v, &view); ok {
			row := w.mergedRow(&m)
			rows[v.VIN] = row
			counted.add(&row, 1)
		}
	}
	if !maps.Equal(rows, stored) {
		t.Fatalf("stored %d rows, merged %d: %s", len(stored), len(rows), gocmp.Diff(rows, stored, gocmp.AllowUnexported(mergedRow{})))
	}
	kept, err := selectMergedCount(t.Context(), tenant, c.view)
	if err != nil || kept != counted {
		t.Fatalf("kept %+v, counted %+v, %v", kept, counted, err)
	}
}

func stateOf(t *rapid.T, s *Stock, tenant *sqldb.Tenant, id string, vins []string) mergedState {
	state := mergedState{Full: map[string]map[string]any{}, Totals: map[string]float64{}}
	list := func(name string, f Filter) map[string]map[string]any {
		f.Config = id
		page, err := s.List(t.Context(), tenant, f, rest.Page{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]json.RawMessage
		var rows []map[string]any
		var total struct{ Total float64 }
		err = errors.Join(json.Unmarshal(page.Body, &body), json.Unmarshal([]byte(cmp.Or(string(body["vehicles"]), string(body["conflicts"]))), &rows), json.Unmarshal(body["pagination"], &total))
		if err != nil || len(rows) != int(total.Total) {
			t.Fatalf("%v in %s", err, page.Body)
		}
		out := map[string]map[string]any{}
		for _, row := range rows {
			out[row["vin"].(string)] = timeless(row)
		}
		state.Totals[name] = total.Total
		return out
	}
	state.Listed = list("all", Filter{})
	list("active", Filter{Status: vehicle.StatusActive})
	list("sold", Filter{Status: vehicle.StatusSold})
	state.Conflicts = list("conflicts", Filter{Disputed: AnyField})
	list("about the price", Filter{Disputed: vehicle.Price.String()})
	for _, vin := range vins {
		m, err := s.merged(t.Context(), tenant, id, vin, calendar{})
		if errors.Is(err, errNoVehicle) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var full map[string]any
		if err := json.Unmarshal(m.full(nil, 0, true), &full); err != nil {
			t.Fatal(err)
		}
		state.Full[vin] = timeless(full)
		for name, value := range state.Listed[vin] {
			if name != "_sources" && !gocmp.Equal(full[name], value) {
				t.Fatalf("%s: %v in the list, %v in the record", name, value, full[name])
			}
		}
	}
	return state
}

// timeless leaves out what tells when.
func timeless(v map[string]any) map[string]any {
	for _, name := range []string{"created_at", "updated_at", "sold_at", "days_on_lot"} {
		delete(v, name)
	}
	overrides, _ := v["overrides"].([]any)
	for _, o := range overrides {
		delete(o.(map[string]any), "set_at")
	}
	return v
}

package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// canonicalValue draws a canonical text of a field, "" among them.
func canonicalValue(t *rapid.T, f Field) string {
	texts := map[Kind][]string{
		Int: {"", "1999", "2000", "2001"}, Money: {"", "0.01", "30000.00", "29000.00"}, Decimal: {"", "2.4", "3"}, Bool: {"", "true", "false"},
		List: {"", `["a"]`, `["a","b \"c\""]`}, Date: {"", "2026-11-01", "2026-11-20"}, Time: {"", "2026-11-01T00:00:00Z"}, URL: {"", "http://a", "http://b"},
		Map: {"", `{"a":"1"}`, `{"a":"1","b\n":"2"}`}, Text: {"", "Ford", "FORD", "Ruby  Red", "ruby red", "8-Speed Automatic", "automatic", "ctrl\x01é\U0001f697", `"q"\`},
	}
	switch fields[f].kind {
	case Enum:
		words := fields[f].words
		if !fields[f].needed {
			words = append([]string{""}, words...)
		}
		return rapid.SampledFrom(words).Draw(t, f.String())
	case ID:
		return "" // dealerships exist or not; tested elsewhere
	}
	return rapid.SampledFrom(texts[fields[f].kind]).Draw(t, f.String())
}

func drawChange(t *rapid.T, vin string) Change {
	c := Change{VIN: vin}
	if rapid.Bool().Draw(t, "of a feed") { // whose texts say more than their own field
		f := rapid.SampledFrom([]Field{Condition, Transmission, Certified}).Draw(t, "text")
		raw := rapid.SampledFrom([]string{"CPO", "U", "N", "Demo", "6-Speed Manual", "Geartronic", "No", ""}).Draw(t, "raw")
		_ = Cleaner{Now: testNow}.Set(&c, f, raw)
	}
	for _, f := range rapid.SliceOfN(rapid.Uint8Range(0, uint8(NumFields)-1), 1, 8).Draw(t, "fields") {
		c.Put(Field(f), canonicalValue(t, Field(f)))
	}
	return c
}

func TestMergeTouchesOnlyWhatAChangeSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v Values
		v[Status] = StatusActive
		first := drawChange(t, truck)
		v.Merge(&first, true)
		before, c := v, drawChange(t, truck)
		exact := rapid.Bool().Draw(t, "exact")
		changed := v.Merge(&c, exact)
		for f := range NumFields {
			follows := (f == Gears || f == TransmissionType) && changed.Has(Transmission) || f == Gears && changed.Has(TransmissionType) || f == PhotoCount && changed.Has(Photos) ||
				f == CertifiedProgram && changed.Has(Certified) || c.denied.Has(f) && (before[f] == True || before[f] == "loaner")
			switch {
			case (v[f] != before[f]) != changed.Has(f):
				t.Fatalf("%s: %q, before %q, changed %v", f, v[f], before[f], changed.Has(f))
			case changed.Has(f) && !follows && (!c.Present.Has(f) || v[f] != c.Values[f]):
				t.Fatalf("%s became %q", f, v[f])
			case exact && c.Present.Has(f) && v[f] != c.Values[f] && !fields[f].needed:
				t.Fatalf("%s stayed %q", f, v[f])
			}
		}
		var all Set
		for _, d := range Diff(changed) {
			for f := range NumFields {
				if d.Fields.Has(f) {
					if all.Has(f) {
						t.Fatalf("%s stands in two groups", f)
					}
					all.Add(f)
				}
			}
		}
		if all != changed {
			t.Fatalf("groups hold %v, changed %v", all.Names(), changed.Names())
		}
		if again := v.Merge(&c, exact); !again.Empty() {
			t.Fatalf("the same change again changes %v", again.Names())
		}
		undone := v
		if err := undone.undo(string(appendChanges(nil, changed, &before, &v))); err != nil || undone != before {
			t.Fatalf("undone: %v %s", err, cmp.Diff(before, undone))
		}
		var read Values
		if record := string(appendRecord(nil, &v)); !json.Valid([]byte(record)) || readRecord(record, &read) != nil || read != v {
			t.Fatalf("record %s: %s", record, cmp.Diff(v, read))
		}
	})
}

// Whatever happens to vehicles, the counters and the lists say what a count of the rows says, and history
// begins with what the vehicle began with.
func TestCountersFollowTheRows(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		n++
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		tenant := db.Tenant(fmt.Sprintf("group-%d", n))
		s := NewStock(db, Options{PageCacheBytes: 1 << 20, Now: func() time.Time { return now }})
		began := map[string]Values{}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "days")) * 24 * time.Hour)
			vins := []string{truck, sedan, wrongDigit}
			batch := make([]Change, rapid.IntRange(1, 4).Draw(t, "rows"))
			for i := range batch {
				batch[i] = drawChange(t, rapid.SampledFrom(vins).Draw(t, "vin"))
			}
			from := Source{Name: rapid.SampledFrom([]string{SourceAPI, SourceImport}).Draw(t, "source"), UpdateOnly: rapid.Bool().Draw(t, "update only")}
			var outcomes []Outcome
			err := tenant.Transact(ctx, func(tx *sqldb.Tenant) (err error) {
				outcomes, err = apply(ctx, s, tx, batch, from)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Committed(tenant.Group())
			for i, o := range outcomes {
				if o == Added {
					v, err := s.Get(ctx, tenant, batch[i].VIN, "")
					if err != nil {
						t.Fatal(err)
					}
					began[batch[i].VIN] = v.Values
				}
			}
		}
		counted := counts{}
		for vin, first := range began {
			v, err := s.Get(ctx, tenant, vin, "")
			if err != nil {
				t.Fatal(err)
			}
			counted.add(v, 1)
			history, err := s.History(ctx, tenant, vin, true)
			if err != nil || history[0].Type != Created || history[0].Changes != createdChanges(&first) {
				t.Fatalf("history of %s: %v %+v, began with %s", vin, err, history, createdChanges(&first))
			}
		}
		kept, err := selectCounts(ctx, tenant)
		if err != nil || kept.sum() != counted.sum() {
			t.Fatalf("kept %+v, counted %+v, %v", kept.sum(), counted.sum(), err)
		}
		for _, status := range []string{"", StatusActive, StatusSold} {
			page, err := s.List(ctx, tenant, Filter{Status: status}, rest.Page{Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Vehicles   []json.RawMessage
				Pagination struct{ Total int }
			}
			if err := json.Unmarshal(page.Body, &got); err != nil || len(got.Vehicles) != got.Pagination.Total {
				t.Fatalf("status %q: %d vehicles, total %d, %v", status, len(got.Vehicles), got.Pagination.Total, err)
			}
		}
	})
}

// What one text has implied goes when another takes its place that does not.
func TestWhatATextImpliedIsTakenBack(t *testing.T) {
	type cells = map[Field]string
	for name, tt := range map[string]struct {
		before, after cells
		want          cells
	}{
		"certified no more":             {cells{Condition: "CPO"}, cells{Condition: "U"}, cells{Condition: ConditionUsed, Certified: ""}},
		"certified and a new car":       {cells{Condition: "CPO"}, cells{Condition: "N"}, cells{Condition: ConditionNew, Certified: ""}},
		"certified by a column":         {cells{Condition: "U", Certified: "Y"}, cells{Condition: "U", Certified: "Y"}, cells{Certified: True}},
		"a condition that says nothing": {cells{Condition: "CPO"}, cells{Condition: "2 days left"}, cells{Condition: "", Certified: True}},
		"no condition":                  {cells{Condition: "CPO"}, cells{Price: "1"}, cells{Condition: ConditionUsed, Certified: True}},
		"a loaner no more":              {cells{Condition: "Demo"}, cells{Condition: "N"}, cells{Condition: ConditionNew, Disposition: ""}},
		"a used loaner no more":         {cells{Condition: "Demo"}, cells{Condition: "U"}, cells{Condition: ConditionUsed, Disposition: ""}},
		"another disposition stays":     {cells{Condition: "U", Disposition: "fleet"}, cells{Condition: "U"}, cells{Disposition: "fleet"}},
		"a certified loaner":            {cells{Condition: "Demo"}, cells{Condition: "CPO"}, cells{Disposition: "", Certified: True}},
		"a programme":                   {cells{Certified: "Ford Blue Advantage"}, cells{Certified: "No"}, cells{Certified: False, CertifiedProgram: ""}},
		"a programme not named again":   {cells{Certified: "Ford Blue Advantage"}, cells{Certified: "Yes"}, cells{Certified: True, CertifiedProgram: "Ford Blue Advantage"}},
		"a programme by condition":      {cells{Condition: "CPO", CertifiedProgram: "HPD"}, cells{Condition: "U"}, cells{Certified: "", CertifiedProgram: ""}},
		"a transmission of no type":     {cells{Transmission: "6-Speed Manual"}, cells{Transmission: "Geartronic"}, cells{TransmissionType: "", Gears: ""}},
		"no transmission":               {cells{Transmission: "6-Speed Manual"}, cells{Transmission: ""}, cells{TransmissionType: "", Gears: ""}},
		"a type stated by itself":       {cells{Transmission: "Hydromatic", TransmissionType: "automatic"}, cells{Transmission: "Geartronic"}, cells{TransmissionType: "automatic"}},
		"gears stated by themselves":    {cells{Transmission: "8-Speed Geartronic", Gears: "7"}, cells{Transmission: "Geartronic"}, cells{Gears: "7"}},
		"the same said shorter":         {cells{Transmission: "6-Speed Manual"}, cells{Transmission: "manual"}, cells{TransmissionType: "manual", Gears: "6"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.imports(row(truck, 2, tt.before))
			h.imports(row(truck, 2, tt.after))
			got := h.values(truck)
			var atOnce Values
			first, second := row(truck, 2, tt.before), row(truck, 3, tt.after)
			first.add(&second)
			atOnce.Merge(&first, true)
			for f, want := range tt.want {
				if got[f] != want || f != Gears && atOnce[f] != want {
					t.Errorf("%s is %q, of one batch %q, want %q", f, got[f], atOnce[f], want)
				}
			}
		})
	}
}

func TestLastWordOfABatchWins(t *testing.T) {
	h := open(t)
	got := h.imports(row(truck, 2, map[Field]string{Price: "20597", Make: "Ford"}), row(sedan, 3, map[Field]string{Price: "1"}), row(truck, 4, map[Field]string{Price: "20097"}))
	if diff := cmp.Diff([]Outcome{Added, Added, Added}, got); diff != "" {
		t.Error(diff)
	}
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["price"] != "20097.00" || v["make"] != "Ford" {
		t.Errorf("%v", v)
	}
	if n := len(h.must(200, "", "GET", "/inventory/"+truck+"/history", "")["history"].([]any)); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestUpdateOnlySourceCreatesNothing(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[Field]string{Price: "1"}))
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		got, err := apply(t.Context(), h.stock, tx, []Change{row(truck, 2, map[Field]string{Price: "2"}), row(sedan, 3, map[Field]string{Price: "2"})}, Source{Name: SourceImport, UpdateOnly: true})
		if diff := cmp.Diff([]Outcome{Updated, LeftOut}, got); diff != "" {
			t.Error(diff)
		}
		return err
	})
	if err != nil || h.vins("?status=all") != truck {
		t.Errorf("%v, %s", err, h.vins("?status=all"))
	}
}

func TestSoldVehicleComesBack(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[Field]string{Status: "sold"}))
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["sold_at"] != "2026-11-23T12:00:00Z" {
		t.Errorf("sold: %v", v["sold_at"])
	}
	h.imports(row(truck, 2, map[Field]string{Status: "active"}))
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["sold_at"] != nil || v["status"] != "active" {
		t.Errorf("back: %v %v", v["status"], v["sold_at"])
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	h := open(t)
	broken := errors.New("later failure")
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		if _, err := apply(t.Context(), h.stock, tx, []Change{row(truck, 2, map[Field]string{Price: "1"})}, Source{Name: SourceImport}); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || h.vins("?status=all") != "" {
		t.Errorf("%v, %s", err, h.vins("?status=all"))
	}
	if out := h.must(200, "", "GET", "/inventory?status=all", "")["pagination"].(map[string]any); out["total"] != 0.0 {
		t.Error(out)
	}
}

func TestPagesAreKeptUntilTheInventoryChanges(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[Field]string{Price: "1"}))
	list := func() (string, string) {
		_, body, header := h.call("", "GET", "/inventory?limit=1", "")
		return body, header.Get("ETag")
	}
	first, tag := list()
	if again, same := list(); again != first || same != tag || !strings.HasPrefix(tag, `W/"`) {
		t.Errorf("again: %s %s", again, same)
	}
	r := httptest.NewRequest("GET", "/api/v1/inventory?limit=1", nil)
	r.Header.Set("If-None-Match", tag)
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	if w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("If-None-Match: %d %s", w.Code, w.Body)
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"price":"2.00"}`)
	if body, next := list(); !strings.Contains(body, `"price":"2.00"`) || next == tag {
		t.Errorf("own write is not shown: %s", body)
	}
	// Another process writes: its Stock does not share our memory.
	other := NewStock(h.db, Options{Now: h.stock.now})
	c := row(truck, 2, map[Field]string{StockNumber: "Z9"})
	if _, _, err := other.Upsert(t.Context(), h.tenant(), c, Source{Name: SourceAPI}); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(versionAge)
	if body, _ := list(); !strings.Contains(body, `"Z9"`) {
		t.Errorf("another process's write is not shown: %s", body)
	}
}

// Readers and writers at once: no page mixes two states, and nobody sees an older state than one it has seen.
func TestPagesAreWhole(t *testing.T) {
	h := open(t)
	vins := []string{truck, sedan, wrongDigit}
	write := func(edition int) {
		var batch []Change
		for _, vin := range vins {
			batch = append(batch, row(vin, 2, map[Field]string{Trim: fmt.Sprintf("edition %06d", edition)}))
		}
		h.imports(batch...)
	}
	write(0)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := ""
			for ctx.Err() == nil {
				page, err := h.stock.List(t.Context(), h.tenant(), Filter{}, rest.Page{Limit: 50})
				if err != nil {
					t.Error(err)
					return
				}
				_, text, _ := strings.Cut(string(page.Body), "edition ")
				edition := text[:6]
				if strings.Count(string(page.Body), "edition "+edition) != len(vins) || edition < last {
					t.Errorf("after edition %s: %s", last, page.Body)
					return
				}
				last = edition
			}
		})
	}
	for edition := range 100 {
		write(edition + 1)
	}
	stop()
	readers.Wait()
}

func TestHotPageCostsLittle(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[Field]string{Price: "1"}))
	tenant, f, at := h.tenant(), Filter{Status: StatusActive}, rest.Page{Limit: 1}
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := h.stock.List(t.Context(), tenant, f, at); err != nil {
			t.Error(err)
		}
	})
	if allocs > 2 {
		t.Errorf("%.0f allocations for a page in memory", allocs)
	}
}

func TestListsUseIndexes(t *testing.T) {
	h := open(t)
	for _, f := range []Filter{
		{}, {Status: StatusActive}, {Search: "x"}, {Status: StatusActive, Search: "x"}, {IntegrationID: integration}, {IntegrationID: integration, Status: StatusActive},
		{view: "x"}, {view: "x", Status: StatusActive}, {view: "x", Search: "x"}, {view: "x", Status: StatusActive, Search: "x"},
		{view: "x", Disputed: AnyField}, {view: "x", Disputed: Price.String()},
	} {
		plan := planOf(t, h.tenant(), f)
		alone := f.view == "" || h.db.Engine() == sqldb.PostgreSQL || strings.Count(plan, "COVERING INDEX") == 2
		if !alone || slices.ContainsFunc([]string{"SCAN ", "TEMP B-TREE", "Seq Scan", "Sort"}, func(bad string) bool { return strings.Contains(plan, bad) }) {
			t.Errorf("%+v: %s", f, plan)
		}
	}
}

func FuzzListParameters(f *testing.F) {
	for _, q := range []string{"", "limit=1&offset=2", "limit=-1", "status=sold", "integration_id=" + integration, "search=%25_%5C", "search=%00", "search=%ff", "offset=9223372036854775807", "limit=1&limit=2"} {
		f.Add(q)
	}
	h := open(f)
	h.imports(row(truck, 2, map[Field]string{Make: "Ford"}))
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.ParseRequestURI("/api/v1/inventory?" + query); err != nil || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == '#' }) {
			t.Skip()
		}
		own := *h
		own.TB = t
		code, body, _ := own.call("", "GET", "/inventory?"+query, "")
		if code != 200 && code != 422 && code != 400 || !json.Valid([]byte(body)) {
			t.Errorf("%q: %d %s", query, code, body)
		}
	})
}

func BenchmarkHotPage(b *testing.B) {
	db := sqldbtest.Open(b, sqldb.Stock)
	s, tenant := NewStock(db, Options{PageCacheBytes: 1 << 20}), db.Tenant(group)
	importFile(b, s, tenant, file(1000, 0))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.List(b.Context(), tenant, Filter{Status: StatusActive}, rest.Page{Limit: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	db := sqldbtest.Open(b, sqldb.Stock)
	s, tenant := NewStock(db, Options{}), db.Tenant(group)
	importFile(b, s, tenant, file(100_000, 0))
	for name, q := range map[string]struct {
		f  Filter
		at rest.Page
	}{
		"first":  {Filter{Status: StatusActive}, rest.Page{Limit: 50}},
		"deep":   {Filter{Status: StatusActive}, rest.Page{Limit: 50, Offset: 99_000}},
		"search": {Filter{Status: StatusActive, Search: "s0099"}, rest.Page{Limit: 50}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.List(b.Context(), tenant, q.f, q.at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkShow(b *testing.B) {
	h := open(b)
	h.imports(row(truck, 2, map[Field]string{Make: "Ford", Price: "1"}))
	b.ReportAllocs()
	for b.Loop() {
		h.call("", "GET", "/inventory/"+truck, "")
	}
}

// The whole handler for a page in memory.
func BenchmarkHotList(b *testing.B) {
	h := open(b)
	h.imports(row(truck, 2, map[Field]string{Make: "Ford", Price: "1"}))
	b.ReportAllocs()
	for b.Loop() {
		h.call("", "GET", "/inventory?limit=1", "")
	}
}

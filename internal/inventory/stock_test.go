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

	"carfluence/internal/index"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

// Every changed field stands in one group of the history.
func TestDifferencesHoldEveryFieldOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changed, all vehicle.Fields
		for _, f := range rapid.SliceOf(rapid.Uint8Range(0, uint8(vehicle.NumFields)-1)).Draw(t, "changed") {
			changed.Add(vehicle.Field(f))
		}
		for _, d := range Diff(changed) {
			for f := range vehicle.NumFields {
				if d.Fields.Has(f) && all.Has(f) {
					t.Fatalf("%s stands in two groups", f)
				}
				if d.Fields.Has(f) {
					all.Add(f)
				}
			}
		}
		if all != changed {
			t.Fatalf("groups hold %v, changed %v", all.Names(), changed.Names())
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
		s := NewStock(db, Options{PageCacheBytes: 1 << 20, IndexBytes: 64 << 20, Now: func() time.Time { return now }})
		began := map[string]vehicle.Values{}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "days")) * 24 * time.Hour)
			vins := []string{truck, sedan, wrongDigit}
			batch := make([]vehicle.Change, rapid.IntRange(1, 4).Draw(t, "rows"))
			for i := range batch {
				batch[i] = vehicletest.Change(t, rapid.SampledFrom(vins).Draw(t, "vin"))
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
		for _, status := range []string{"", vehicle.StatusActive, vehicle.StatusSold} {
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
	type cells = map[vehicle.Field]string
	for name, tt := range map[string]struct {
		before, after cells
		want          cells
	}{
		"certified no more":             {cells{vehicle.Condition: "CPO"}, cells{vehicle.Condition: "U"}, cells{vehicle.Condition: vehicle.ConditionUsed, vehicle.Certified: ""}},
		"certified and a new car":       {cells{vehicle.Condition: "CPO"}, cells{vehicle.Condition: "N"}, cells{vehicle.Condition: vehicle.ConditionNew, vehicle.Certified: ""}},
		"certified by a column":         {cells{vehicle.Condition: "U", vehicle.Certified: "Y"}, cells{vehicle.Condition: "U", vehicle.Certified: "Y"}, cells{vehicle.Certified: vehicle.True}},
		"a condition that says nothing": {cells{vehicle.Condition: "CPO"}, cells{vehicle.Condition: "2 days left"}, cells{vehicle.Condition: "", vehicle.Certified: vehicle.True}},
		"no condition":                  {cells{vehicle.Condition: "CPO"}, cells{vehicle.Price: "1"}, cells{vehicle.Condition: vehicle.ConditionUsed, vehicle.Certified: vehicle.True}},
		"a loaner no more":              {cells{vehicle.Condition: "Demo"}, cells{vehicle.Condition: "N"}, cells{vehicle.Condition: vehicle.ConditionNew, vehicle.Disposition: ""}},
		"a used loaner no more":         {cells{vehicle.Condition: "Demo"}, cells{vehicle.Condition: "U"}, cells{vehicle.Condition: vehicle.ConditionUsed, vehicle.Disposition: ""}},
		"another disposition stays":     {cells{vehicle.Condition: "U", vehicle.Disposition: "fleet"}, cells{vehicle.Condition: "U"}, cells{vehicle.Disposition: "fleet"}},
		"a certified loaner":            {cells{vehicle.Condition: "Demo"}, cells{vehicle.Condition: "CPO"}, cells{vehicle.Disposition: "", vehicle.Certified: vehicle.True}},
		"a programme":                   {cells{vehicle.Certified: "Ford Blue Advantage"}, cells{vehicle.Certified: "No"}, cells{vehicle.Certified: vehicle.False, vehicle.CertifiedProgram: ""}},
		"a programme not named again":   {cells{vehicle.Certified: "Ford Blue Advantage"}, cells{vehicle.Certified: "Yes"}, cells{vehicle.Certified: vehicle.True, vehicle.CertifiedProgram: "Ford Blue Advantage"}},
		"a programme by condition":      {cells{vehicle.Condition: "CPO", vehicle.CertifiedProgram: "HPD"}, cells{vehicle.Condition: "U"}, cells{vehicle.Certified: "", vehicle.CertifiedProgram: ""}},
		"a transmission of no type":     {cells{vehicle.Transmission: "6-Speed Manual"}, cells{vehicle.Transmission: "Geartronic"}, cells{vehicle.TransmissionType: "", vehicle.Gears: ""}},
		"no transmission":               {cells{vehicle.Transmission: "6-Speed Manual"}, cells{vehicle.Transmission: ""}, cells{vehicle.TransmissionType: "", vehicle.Gears: ""}},
		"a type stated by itself":       {cells{vehicle.Transmission: "Hydromatic", vehicle.TransmissionType: "automatic"}, cells{vehicle.Transmission: "Geartronic"}, cells{vehicle.TransmissionType: "automatic"}},
		"gears stated by themselves":    {cells{vehicle.Transmission: "8-Speed Geartronic", vehicle.Gears: "7"}, cells{vehicle.Transmission: "Geartronic"}, cells{vehicle.Gears: "7"}},
		"the same said shorter":         {cells{vehicle.Transmission: "6-Speed Manual"}, cells{vehicle.Transmission: "manual"}, cells{vehicle.TransmissionType: "manual", vehicle.Gears: "6"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.imports(row(truck, 2, tt.before))
			h.imports(row(truck, 2, tt.after))
			got := h.values(truck)
			var atOnce vehicle.Values
			first, second := row(truck, 2, tt.before), row(truck, 3, tt.after)
			first.Add(&second)
			atOnce.Merge(&first, true)
			for f, want := range tt.want {
				if got[f] != want || f != vehicle.Gears && atOnce[f] != want {
					t.Errorf("%s is %q, of one batch %q, want %q", f, got[f], atOnce[f], want)
				}
			}
		})
	}
}

func TestLastWordOfABatchWins(t *testing.T) {
	h := open(t)
	got := h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "20597", vehicle.Make: "Ford"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "1"}), row(truck, 4, map[vehicle.Field]string{vehicle.Price: "20097"}))
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
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		got, err := apply(t.Context(), h.stock, tx, []vehicle.Change{row(truck, 2, map[vehicle.Field]string{vehicle.Price: "2"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "2"})}, Source{Name: SourceImport, UpdateOnly: true})
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
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Status: "sold"}))
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["sold_at"] != "2026-11-23T12:00:00Z" {
		t.Errorf("sold: %v", v["sold_at"])
	}
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Status: "active"}))
	if v := h.vehicle(200, "", "GET", "/inventory/"+truck, ""); v["sold_at"] != nil || v["status"] != "active" {
		t.Errorf("back: %v %v", v["status"], v["sold_at"])
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	h := open(t)
	broken := errors.New("later failure")
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		if _, err := apply(t.Context(), h.stock, tx, []vehicle.Change{row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"})}, Source{Name: SourceImport}); err != nil {
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
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
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
	c := row(truck, 2, map[vehicle.Field]string{vehicle.StockNumber: "Z9"})
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
	for name, ask := range map[string]func(*Stock) asking{
		"from the store": func(s *Stock) asking {
			return func(ctx context.Context, t *sqldb.Tenant, at rest.Page) (*Page, error) {
				return s.List(ctx, t, Filter{}, at)
			}
		},
		"from memory": func(s *Stock) asking {
			return func(ctx context.Context, t *sqldb.Tenant, at rest.Page) (*Page, error) {
				return s.Find(ctx, t, &Selection{Query: index.Query{Sort: []index.Key{{Column: index.VIN}}}}, at)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { pagesAreWhole(t, ask) })
	}
}

type asking func(context.Context, *sqldb.Tenant, rest.Page) (*Page, error)

func pagesAreWhole(t *testing.T, asks func(*Stock) asking) {
	h := open(t)
	ask := asks(h.stock)
	vins := []string{truck, sedan, wrongDigit}
	write := func(edition int) {
		var batch []vehicle.Change
		for _, vin := range vins {
			batch = append(batch, row(vin, 2, map[vehicle.Field]string{vehicle.Trim: fmt.Sprintf("edition %06d", edition)}))
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
				page, err := ask(t.Context(), h.tenant(), rest.Page{Limit: 50})
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
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	tenant, sel, at := h.tenant(), &Selection{Query: index.Query{Status: vehicle.StatusActive}}, rest.Page{Limit: 1}
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := h.stock.Find(t.Context(), tenant, sel, at); err != nil {
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
		{}, {Status: vehicle.StatusActive}, {Search: "x"}, {Status: vehicle.StatusActive, Search: "x"}, {IntegrationID: integration}, {IntegrationID: integration, Status: vehicle.StatusActive},
		{view: "x"}, {view: "x", Status: vehicle.StatusActive}, {view: "x", Search: "x"}, {view: "x", Status: vehicle.StatusActive, Search: "x"},
		{view: "x", Disputed: AnyField}, {view: "x", Disputed: vehicle.Price.String()},
	} {
		plan := planOf(t, h.tenant(), f)
		alone := f.view == "" || h.db.Engine() == sqldb.PostgreSQL || strings.Count(plan, "COVERING INDEX") == 2
		if !alone || slices.ContainsFunc([]string{"SCAN ", "TEMP B-TREE", "Seq Scan", "Sort"}, func(bad string) bool { return strings.Contains(plan, bad) }) {
			t.Errorf("%+v: %s", f, plan)
		}
	}
}

func TestDaysOnLotFollowTheDealershipsCalendar(t *testing.T) {
	h := open(t)
	id := h.dealership("Honolulu", "Pacific/Honolulu") // UTC-10
	h.now = time.Date(2026, 11, 24, 9, 59, 0, 0, time.UTC)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.DealershipID: id, vehicle.DateInStock: "2026-11-20"}), row(sedan, 3, map[vehicle.Field]string{vehicle.DateInStock: "2026-11-20"}))
	days := func(vin string) float64 {
		t.Helper()
		single := h.vehicle(200, "", "GET", "/inventory/"+vin, "")["days_on_lot"].(float64)
		for _, v := range h.must(200, "", "GET", "/inventory?status=all", "")["vehicles"].([]any) {
			if v := v.(map[string]any); v["vin"] == vin && v["days_on_lot"] != single {
				t.Errorf("%s: list shows %v, record %v", vin, v["days_on_lot"], single)
			}
		}
		return single
	}
	if days(truck) != 3 || days(sedan) != 4 {
		t.Errorf("before midnight there: %v %v", days(truck), days(sedan))
	}
	h.now = h.now.Add(2 * time.Minute)
	if days(truck) != 4 || days(sedan) != 4 {
		t.Errorf("after midnight there: %v %v", days(truck), days(sedan))
	}
	h.vehicle(200, "", "PATCH", "/inventory/"+truck, `{"status":"sold"}`)
	h.now = h.now.AddDate(0, 1, 0)
	if days(truck) != 4 || days(sedan) != 34 {
		t.Errorf("a month after the sale: %v %v", days(truck), days(sedan))
	}
}

func TestOnlyDealershipIsTheDefault(t *testing.T) {
	h := open(t)
	first := h.dealership("First", "UTC")
	if v := h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+truck+`","make":"Ford"}`); v["dealership_id"] != first {
		t.Errorf("one dealership: %v", v["dealership_id"])
	}
	h.dealership("Second", "UTC")
	if v := h.vehicle(201, "", "POST", "/inventory", `{"vin":"`+sedan+`","make":"Ford"}`); v["dealership_id"] != nil {
		t.Errorf("two dealerships: %v", v["dealership_id"])
	}
	if v := h.vehicle(200, "", "PATCH", "/inventory/"+sedan, `{"dealership_id":"`+first+`"}`); v["dealership_id"] != first {
		t.Errorf("patched: %v", v["dealership_id"])
	}
	if n, err := h.stock.Count(t.Context(), h.tenant(), first); n != 2 || err != nil {
		t.Errorf("held: %d %v", n, err)
	}
}

func FuzzListParameters(f *testing.F) {
	for _, q := range []string{"", "limit=1&offset=2", "limit=-1", "status=sold", "integration_id=" + integration, "search=%25_%5C", "search=%00", "search=%ff", "offset=9223372036854775807", "limit=1&limit=2"} {
		f.Add(q)
	}
	h := open(f)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford"}))
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
		if _, err := s.List(b.Context(), tenant, Filter{Status: vehicle.StatusActive}, rest.Page{Limit: 1}); err != nil {
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
		"first":  {Filter{Status: vehicle.StatusActive}, rest.Page{Limit: 50}},
		"deep":   {Filter{Status: vehicle.StatusActive}, rest.Page{Limit: 50, Offset: 99_000}},
		"search": {Filter{Status: vehicle.StatusActive, Search: "s0099"}, rest.Page{Limit: 50}},
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
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Price: "1"}))
	b.ReportAllocs()
	for b.Loop() {
		h.call("", "GET", "/inventory/"+truck, "")
	}
}

// The whole handler for a page in memory.
func BenchmarkHotList(b *testing.B) {
	h := open(b)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Make: "Ford", vehicle.Price: "1"}))
	b.ReportAllocs()
	for b.Loop() {
		h.call("", "GET", "/inventory?limit=1", "")
	}
}

func TestPagesAreKeptOnceTheyAreAskedForAgain(t *testing.T) {
	p, page, now := newPages(1<<20), newPage([]byte("{}"), time.Now().Add(time.Hour)), time.Now()
	key := pageKey{group: "a", version: 7, page: rest.Page{Limit: 50, Offset: 100}}
	if p.putAgain(key, page); p.get(key, now) != nil {
		t.Error("kept a page that nobody else has asked for")
	}
	if p.putAgain(key, page); p.get(key, now) != page {
		t.Error("not kept the second time")
	}
	key.version++
	if p.putAgain(key, page); p.get(key, now) != page {
		t.Error("not kept at once when only the version is new")
	}
	key.group = "b"
	if p.putAgain(key, page); p.get(key, now) != nil {
		t.Error("one group's page taken for another's")
	}
	for key.page.Offset = range int64(5000) { // somebody goes through a whole list
		p.putAgain(key, page)
	}
	if key.page.Offset = 200; p.get(key, now) != nil {
		t.Error("kept pages that were asked for once")
	}
}

// A commit is seen by others before it has ended for who wrote: a log says "completed", and a list is asked for, while the engine
// is still moving pages.
func TestAWriteShowsBeforeItsCommitHasEnded(t *testing.T) {
	h := open(t)
	h.must(200, "", "GET", "/inventory", "")
	err := h.tenant().Transact(t.Context(), func(tx *sqldb.Tenant) error {
		err := h.stock.Write(t.Context(), tx, Source{Name: SourceAPI}, func(w *Writer) error {
			_, err := w.Apply(t.Context(), []vehicle.Change{{VIN: truck}})
			return err
		})
		if err == nil {
			h.stock.Committed(group)                 // of the write before, which takes note only now
			h.must(200, "", "GET", "/inventory", "") // is told the version from before, which is not to be believed afterwards
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"/inventory", "/inventory?sort=price", "/inventory/export?status=all"} {
		if code, text, _ := h.call("", "GET", list, ""); code != 200 || !strings.Contains(text, truck) {
			t.Errorf("%s: %d %s", list, code, text)
		}
	}
}

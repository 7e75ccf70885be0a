package inventory

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

func (h *house) activity(query string) map[string]any {
	h.Helper()
	return h.must(200, "reader", "GET", "/inventory/stats/activity?"+query, "")["activity"].(map[string]any)
}

// days says of each day on which something happened what it was.
func days(activity map[string]any) string {
	var out []string
	for _, one := range activity["days"].([]any) {
		d := one.(map[string]any)
		if text := fmt.Sprintf("%v+%v-%v~%v$", d["added"], d["sold"], d["relisted"], d["price_changes"]); text != "0+0-0~0$" {
			out = append(out, fmt.Sprint(d["date"])[5:]+" "+text)
		}
	}
	return strings.Join(out, ", ")
}

func counts7(activity map[string]any) (out [7]float64) {
	for i, one := range activity["ages"].([]any) {
		out[i] = one.(map[string]any)["count"].(float64)
	}
	return out
}

func TestActivityByDay(t *testing.T) {
	h := open(t)
	h.now = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC) // the 23rd in Chicago, the 24th in Auckland
	west, east := h.dealership("West", "America/Chicago"), h.dealership("East", "Pacific/Auckland")
	put := func(vin, body string) { h.must(200, "", "PATCH", "/inventory/"+vin, body) }
	h.must(201, "", "POST", "/inventory", `{"vin":"`+truck+`","price":"100","dealership_id":"`+west+`"}`)
	h.must(201, "", "POST", "/inventory", `{"vin":"`+sedan+`","price":"100","dealership_id":"`+east+`"}`)
	put(truck, `{"price":"90"}`)
	put(truck, `{"price":"80","trim":"XL"}`)
	put(truck, `{"trim":"XLT"}`) // no change of price
	put(truck, `{"status":"sold"}`)
	put(truck, `{"price":"70"}`) // not active
	h.now = h.now.Add(24 * time.Hour)
	put(truck, `{"status":"active"}`)
	put(sedan, `{"status":"sold","price":"95"}`)
	if got, want := days(h.activity("")), "11-23 1+1-0~2$, 11-24 1+0-1~0$, 11-25 0+1-0~1$"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := days(h.activity("days=1&dealership_id="+west)), "11-24 0+0-1~0$"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := days(h.activity("days=366&dealership_id="+strings.ToUpper(east))), "11-24 1+0-0~0$, 11-25 0+1-0~1$"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	all := h.activity("days=3")
	if list := all["days"].([]any); len(list) != 3 || all["counted_since"] != nil || list[0].(map[string]any)["date"] != "2026-11-23" {
		t.Errorf("%v", all)
	}
	for query, want := range map[string]int{"days=0": 422, "days=367": 422, "dealership_id=x": 422, "dealership_id=" + group: 404} {
		if code, text, _ := h.call("", "GET", "/inventory/stats/activity?"+query, ""); code != want {
			t.Errorf("%s: %d %s", query, code, text)
		}
	}
	if code, _, _ := h.call("integrations reader", "GET", "/inventory/stats/activity", ""); code != 403 {
		t.Errorf("without the scope: %d", code)
	}
	if code, _, _ := h.call("foreign", "GET", "/inventory/stats/activity?dealership_id="+west, ""); code != 404 {
		t.Errorf("a foreign dealership: %d", code)
	}
	if code, text, _ := h.call("foreign", "GET", "/inventory/stats/activity", ""); code != 200 || strings.Contains(text, `"added":1`) {
		t.Errorf("another group: %d %s", code, text)
	}
}

// Writes without history count too.
func TestActivityWithoutHistory(t *testing.T) {
	h := open(t)
	from := feedOf(integration)
	from.Untracked = true
	h.feeds(from, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "100"}))
	h.feeds(from, row(truck, 2, map[vehicle.Field]string{vehicle.Price: "200"}))
	h.retire(from, truck)
	if got := days(h.activity("")); got != "11-23 1+1-0~1$" {
		t.Error(got)
	}
}

func TestAges(t *testing.T) {
	h := open(t)
	today := DayOf(h.now, time.UTC)
	for i, age := range []Day{0, 15, 16, 30, 31, 45, 46, 60, 61, 90, 91, 120, 121, 900} {
		h.imports(row(fmt.Sprintf("1FTEW1EF%09d", i), 2, map[vehicle.Field]string{vehicle.Price: "1", vehicle.DateInStock: (today - age).String()}))
	}
	if got, want := counts7(h.activity("")), [7]float64{2, 2, 2, 2, 2, 2, 2}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	h.retire(Source{Name: SourceImport, IntegrationID: integration}, "1FTEW1EF000000000", "1FTEW1EF000000013")
	h.now = h.now.Add(24 * time.Hour)
	h.stock.Committed(group)
	if got, want := counts7(h.activity("")), [7]float64{0, 2, 2, 2, 2, 2, 2}; got != want { // each pair's elder is in the next bucket
		t.Errorf("a day later: %v, want %v", got, want)
	}
}

// keptAges are counters by dealership and day.
func keptAges(t testing.TB, tenant *sqldb.Tenant, statement string) map[ageKey]int64 {
	t.Helper()
	out := map[ageKey]int64{}
	rows, err := tenant.Query(t.Context(), statement)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (n int64, err error) {
		var key ageKey
		err = r.Scan(&key.dealership, &key.lotSince, &n)
		out[key] = n
		return n, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	agesKept    = `SELECT dealership_id, lot_since, active FROM inventory_age WHERE dealer_group_id = $1 AND active <> 0`
	agesCounted = `SELECT coalesce(dealership_id, ''), lot_since, count(*) FROM vehicle WHERE dealer_group_id = $1 AND status = 'active' GROUP BY 1, 2`
)

// TestActivityOfWritersAtOnce equals a recount.
func TestActivityOfWritersAtOnce(t *testing.T) {
	place := sqldbtest.New(t)
	dbs := []*sqldb.DB{place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)}
	vins := make([]string, 60)
	for i := range vins {
		vins[i] = fmt.Sprintf("1FTEW1EF%09d", i)
	}
	var all sync.WaitGroup
	sources := []string{integration, second, third, theirs}
	for w := range sources {
		s, random := NewStock(dbs[w%2], Options{}), rand.New(rand.NewPCG(9, uint64(w)))
		all.Go(func() {
			for round := range 8 {
				if err := writeSome(t.Context(), s, dbs[w%2].Tenant(group), feedOf(sources[w]), vins, random, round); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	tenant := dbs[0].Tenant(group)
	for _, id := range sources { // chance may leave each with somebody who lists it
		err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error {
			return NewStock(dbs[0], Options{}).Write(t.Context(), tx, feedOf(id), func(w *Writer) error { return w.Retire(t.Context(), vins[:20]) })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(keptAges(t, tenant, agesCounted), keptAges(t, tenant, agesKept)); diff != "" {
		t.Errorf("ages (-counted +kept):\n%s", diff)
	}
	var added, sold, relisted, vehicles, gone int64
	if err := tenant.QueryRow(t.Context(), `SELECT CAST(sum(added) AS BIGINT), CAST(sum(sold) AS BIGINT), CAST(sum(relisted) AS BIGINT) FROM inventory_day WHERE dealer_group_id = $1`).Scan(&added, &sold, &relisted); err != nil {
		t.Fatal(err)
	}
	if err := tenant.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE status = 'sold') FROM vehicle WHERE dealer_group_id = $1`).Scan(&vehicles, &gone); err != nil {
		t.Fatal(err)
	}
	if added != vehicles || sold-relisted != gone || sold == 0 {
		t.Errorf("%d added, %d sold, %d relisted; there are %d, of which %d sold", added, sold, relisted, vehicles, gone)
	}
}

// After an upgrade from a program that did not count, ages are counted anew, and the answer says from which day on days are.
func TestActivityAfterAnUpgrade(t *testing.T) {
	h := open(t)
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}), row(sedan, 3, map[vehicle.Field]string{vehicle.Price: "1"}))
	before := func() {
		for _, statement := range []string{`DELETE FROM inventory_age WHERE dealer_group_id = $1`, `UPDATE inventory_version SET n = n + 5 WHERE dealer_group_id = $1`} {
			if _, err := h.tenant().Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		h.stock.Committed(group)
	}
	before()
	if _, err := h.tenant().Exec(t.Context(), `DELETE FROM inventory_day WHERE dealer_group_id = $1`); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(24 * time.Hour)
	h.must(200, "", "PATCH", "/inventory/"+truck, `{"price":"2"}`)
	h.now = h.now.Add(24 * time.Hour)
	for range 2 {
		a := h.activity("")
		if a["counted_since"] != "2026-11-24" || len(a["days"].([]any)) != 2 || days(a) != "11-24 0+0-0~1$" || counts7(a)[0] != 2 {
			t.Errorf("%v", a)
		}
	}
	before() // the program before was at work again for a while
	if a := h.activity(""); a["counted_since"] != "2026-11-25" || len(a["days"].([]any)) != 1 || counts7(a)[0] != 2 {
		t.Errorf("%v", a)
	}
}

func TestActivityIsFoundByIndex(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	for _, id := range []string{"", integration} {
		for _, build := range []func() (string, []any){
			func() (string, []any) { return daysBetween(id, 1, 30) },
			func() (string, []any) { return agesFrom(id, 7) },
		} {
			err := db.Tenant(group).Transact(t.Context(), func(tx *sqldb.Tenant) error {
				query, args := build()
				plan, err := explain(t, tx, query, args)
				column := map[bool]string{true: "day", false: "lot_since"}[strings.Contains(query, "inventory_day")]
				bounded := strings.Contains(plan, column+">?") || strings.Contains(plan, column+" >= ")
				if !bounded || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN") {
					t.Errorf("%s:\n%s", query, plan)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

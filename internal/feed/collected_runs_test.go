package feed

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
)

// collected is where sample feeds of the trade lie beside the project on some machines; they are not ours to
// ship.
const collected = "../../../shared/feeds"

func openCollected(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(collected, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("left out: %s is not on this machine", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	b, err := io.ReadAll(openCollected(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// changesOf counts what history says changed since a time, by field.
func (w *works) changesOf(since time.Time, fields ...string) map[string]int {
	w.Helper()
	rows, err := w.t.Query(w.Context(), `SELECT changed_fields FROM vehicle_history WHERE dealer_group_id = $1 AND created_at >= $2`, since.UnixMicro())
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var changes string
		if err := rows.Scan(&changes); err != nil {
			w.Fatal(err)
		}
		for _, f := range fields {
			if strings.Contains(changes, `"`+f+`":{`) {
				found[f]++
			}
		}
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return found
}

// Two files of one dealer group, two days apart.
func TestCollectedDaysOfAGroup(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.completes(in, "ancira-2021-08-28.csv", textOf(t, "ancira-2021-08-28.csv"), Counts{Total: 419, Created: 419, Warnings: 419})
	w.now = w.now.Add(48 * time.Hour)
	since := w.now.Truncate(time.Second)
	w.completes(in, "ancira-2021-08-30.csv", textOf(t, "ancira-2021-08-30.csv"), Counts{Total: 409, Created: 31, Updated: 378, Warnings: 409, Missing: 41})
	got := w.changesOf(since, "price", "mileage", "transmission")
	if got["price"] != 82 || got["mileage"] != 13 || got["transmission"] != 51 {
		t.Errorf("changes: %v", got)
	}
	names, total, err := selectUnmatched(t.Context(), w.t, rest.Page{Limit: 50})
	if err != nil || total != 9 {
		t.Errorf("%d unmatched stores: %v %v", total, names, err)
	}
	// The first file again is older than what has been processed.
	if r := w.drop(in, "ancira-2021-08-28.csv", textOf(t, "ancira-2021-08-28.csv")); r.Code != "file_older" {
		t.Errorf("%s %s", r.Status, r.Code)
	}
}

// Four consecutive days of one model: the deltas their README names.
func TestCollectedDaysOfAModel(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	for _, day := range []struct {
		name                   string
		total, created, missed int64
	}{
		{"toyota-mirai-2023-07-10.csv", 460, 459, 0},
		{"toyota-mirai-2023-07-11.csv", 452, 1, 8},
		{"toyota-mirai-2023-07-12.csv", 455, 16, 13},
		{"toyota-mirai-2023-07-13.csv", 450, 4, 9},
	} {
		r := w.drop(in, day.name, textOf(t, day.name))
		c := r.Counts
		if r.Status != RunCompleted || c.Total != day.total || c.Created != day.created || c.Missing != day.missed || c.Errors != 0 {
			t.Errorf("%s: %s %+v", day.name, r.Status, c)
		}
	}
	w.now = w.now.Add(time.Hour)
	// The same feed under its old columns has another header and 814 rows of other cars.
	r := w.drop(in, "old-schema.csv", textOf(t, "toyota-mirai-2023-04-27-oldschema.csv"))
	if r.Status != RunHeld || len(r.Report.Notes) == 0 {
		t.Errorf("another stock: %s %v", r.Status, r.Report.Notes)
	}
}

// 40 VINs stand in both files; in the second each costs 250 more.
func TestCollectedSourcesOfOneVIN(t *testing.T) {
	w := openFeeds(t)
	vauto, homenet := w.integration(mapping.TypeVAuto), w.integration(mapping.TypeHomeNet)
	w.drop(vauto, "vauto.csv", textOf(t, "derived/vauto-34col.csv"))
	r := w.drop(homenet, "homenet.csv", textOf(t, "derived/homenet-comma.csv"))
	if r.Counts.Created != 40 || r.Counts.Updated != 40 {
		t.Errorf("%+v", r.Counts)
	}
	more := 0
	for _, vin := range w.vins(homenet) {
		own, err := w.Stock.Get(t.Context(), w.t, vin, vauto.ID)
		if err != nil {
			continue // only in the second
		}
		shown := w.field(vin, vehicle.Price)
		theirs, err := w.Stock.Get(t.Context(), w.t, vin, homenet.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := theirs.Values[vehicle.Price]; want != "" && shown != want || want == "" && shown != own.Values[vehicle.Price] {
			t.Errorf("%s: shown %s, vauto %s, homenet %s", vin, shown, own.Values[vehicle.Price], want)
		}
		more++
	}
	if more != 40 {
		t.Errorf("%d VINs in both", more)
	}
}

func (w *works) vins(in Integration) (vins []string) {
	w.Helper()
	if err := w.Stock.EachListing(w.Context(), w.t, inventory.Source{IntegrationID: in.ID}, func(l inventory.Listing) { vins = append(vins, l.VIN) }); err != nil {
		w.Fatal(err)
	}
	return vins
}

// Opportunities are no cars: they make none.
func TestCollectedLeadsMakeNoCars(t *testing.T) {
	w := openFeeds(t)
	w.drop(w.integration(mapping.TypeVAuto), "vauto.csv", textOf(t, "derived/vauto-34col.csv"))
	before := w.active()
	r := w.drop(w.integration(mapping.TypeElead), "leads.csv", textOf(t, "derived/elead-opportunities-flat.csv"))
	if r.Status != RunCompleted || r.Counts.Created != 0 || r.Counts.Errors != 0 || r.Counts.Updated+r.Counts.Skipped != 60 || r.Counts.Updated == 0 || w.active() != before {
		t.Errorf("%s %+v, %d active, before %d", r.Status, r.Counts, w.active(), before)
	}
}

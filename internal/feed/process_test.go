package feed

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/audit"
	"carfluence/internal/dealer"
	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

const testGroup = "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01"

// works is the feeds of one group on a real store, and a clock.
type works struct {
	testing.TB
	*Feeds
	t      *sqldb.Tenant
	now    time.Time
	dealer string // id of its first dealership
	jobs   []string
}

func openFeeds(t testing.TB) *works {
	t.Helper()
	w := &works{TB: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	db := sqldbtest.Open(t, sqldb.Stock)
	clock := func() time.Time { return w.now }
	w.t = db.Tenant(testGroup)
	stock := inventory.NewStock(db, inventory.Options{Now: clock})
	w.Feeds = &Feeds{
		DB: db, Stock: stock, Dealers: &dealer.Dealers{DB: db, Now: clock, Held: stock.Count, Changed: stock.Bump}, Secret: []byte(strings.Repeat("s", 40)),
		Spool: t.TempDir(), Limits: DefaultLimits, Now: clock, Log: slog.New(slog.DiscardHandler),
	}
	w.Enqueue = func(_ context.Context, _ *sqldb.Tenant, id string) error {
		w.jobs = append(w.jobs, id)
		return nil
	}
	w.dealer = w.addDealer("Main Street Motors")
	return w
}

func (w *works) addDealer(name string) string {
	w.Helper()
	d, err := w.Dealers.Create(w.Context(), w.t, audit.Actor{}, dealer.Dealer{Name: name})
	if err != nil {
		w.Fatal(err)
	}
	return d.ID
}

func (w *works) integration(kind string, edit ...func(*Integration)) Integration {
	w.Helper()
	in := Integration{DealershipID: w.dealer, Type: kind, Name: "Nightly " + kind, Sync: DefaultSync}
	for _, e := range edit {
		e(&in)
	}
	in, _, err := w.CreateIntegration(w.Context(), w.t, audit.Actor{}, in)
	if err != nil {
		w.Fatal(err)
	}
	return in
}

// receive stores a file without processing it.
func (w *works) receive(in Integration, name, text string) Run {
	w.Helper()
	r, err := w.Receive(w.Context(), w.t, in.ID, Upload{Name: name, File: strings.NewReader(text)})
	if err != nil {
		w.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	return r
}

func (w *works) work(in Integration) {
	w.Helper()
	if err := w.Work(w.Context(), w.t, in.ID); err != nil {
		w.Fatal(err)
	}
}

// drop receives a file and processes it.
func (w *works) drop(in Integration, name, text string) Run {
	w.Helper()
	r := w.receive(in, name, text)
	w.work(in)
	return w.log(r)
}

func (w *works) log(r Run) Run {
	w.Helper()
	r, err := w.LogOf(w.Context(), w.t, r.IntegrationID, r.ID)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *works) completes(in Integration, name, text string, want Counts) Run {
	w.Helper()
	r := w.drop(in, name, text)
	if r.Status != RunCompleted {
		w.Errorf("%s: %s %s %s", name, r.Status, r.Code, r.Detail)
	}
	if diff := cmp.Diff(want, r.Counts); diff != "" {
		w.Errorf("%s: %s", name, diff)
	}
	return r
}

func (w *works) problems(r Run) string {
	w.Helper()
	list, _, err := w.Problems(w.Context(), w.t, r.ID, rest.Page{Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for _, p := range list {
		lines = append(lines, fmt.Sprintf("%d %s %s %q %s", p.Line, resultOf(p), p.Column, p.Value, p.Reason))
	}
	return strings.Join(lines, "\n")
}

// field of a vehicle as the inventory shows it, "-" when it holds no such vehicle.
func (w *works) field(vin string, f vehicle.Field) string {
	w.Helper()
	v, err := w.Stock.Get(w.Context(), w.t, vin, "")
	if errs.KindOf(err) == errs.KindNotFound {
		return "-"
	}
	if err != nil {
		w.Fatal(err)
	}
	return v.Values[f]
}

func (w *works) active() int64 {
	w.Helper()
	s, err := w.Stock.Summary(w.Context(), w.t)
	if err != nil {
		w.Fatal(err)
	}
	var n int64
	_, _ = fmt.Sscan(s.ActiveCount, &n)
	return n
}

// testVIN is the i-th of many valid VINs.
func testVIN(i int) string {
	const weights = "8765432X098765432"
	body := fmt.Sprintf("1FTEW1EF0H%07d", i)
	sum := 0
	for j, c := range body {
		value := strings.IndexRune("0123456789", c)
		if value < 0 {
			value = map[rune]int{'F': 6, 'T': 3, 'E': 5, 'W': 6, 'H': 8}[c]
		}
		weight := 10
		if weights[j] != 'X' {
			weight = int(weights[j] - '0')
		}
		if j != 8 {
			sum += value * weight
		}
	}
	return body[:8] + string("0123456789X"[sum%11]) + body[9:]
}

// stockFile is a file of the vehicles from..to at a price.
func stockFile(from, to int, price string) string {
	var b strings.Builder
	b.WriteString("VIN,Stock #,Price,Color\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s,S%d,%s,Red\n", testVIN(i), i, price)
	}
	return b.String()
}

func TestAFileBecomesInventory(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.completes(in, "stock.csv", stockFile(0, 3, "10000"), Counts{Total: 3, Created: 3})
	w.completes(in, "stock.csv", stockFile(0, 4, "10000")+testVIN(0)+",S0,9000,Red\n", Counts{Total: 5, Created: 1, Updated: 4, Warnings: 1})
	if got := w.field(testVIN(0), vehicle.Price); got != "9000.00" {
		t.Errorf("the last row does not win: %s", got)
	}
	in, err := w.Integration(t.Context(), w.t, in.ID)
	if err != nil || in.Status != StatusActive {
		t.Errorf("%v %v", in.Status, err)
	}
	if !slices.Equal(w.jobs, []string{in.ID, in.ID}) {
		t.Errorf("enqueued: %v", w.jobs)
	}
	if left, err := os.ReadDir(w.Spool); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v %v", left, err)
	}
	history, err := w.Stock.History(t.Context(), w.t, testVIN(0), false)
	if err != nil || len(history) != 2 || history[1].Source != mapping.TypeCustom || history[1].ActorID != in.ID || history[1].ActorName != in.Name || history[1].File != "stock.csv" || history[1].Line != 6 {
		t.Errorf("history: %v %+v", err, history)
	}
}

func TestTheSameBytesAreNotReadAgain(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	file := stockFile(0, 3, "10000") + "oops,S9,1,Red\n"
	first := w.drop(in, "a.csv", file)
	again := w.completes(in, "b.csv", file, Counts{Total: 4, Updated: 3, Errors: 1})
	if !again.Report.Repeated || w.problems(again) == "" || w.problems(again) != w.problems(first) {
		t.Errorf("repeated %v, problems %q", again.Report.Repeated, w.problems(again))
	}
	// Unless they would mean something else now.
	_, err := w.UpdateIntegration(t.Context(), w.t, audit.Actor{}, in.ID, func(i *Integration) { i.Mappings = map[string]string{"Price": "msrp"} })
	if err != nil {
		t.Fatal(err)
	}
	if r := w.drop(in, "c.csv", file); r.Report.Repeated || w.field(testVIN(0), vehicle.MSRP) != "10000.00" {
		t.Errorf("a new mapping is not applied: %+v", r.Counts)
	}
}

func TestOnlyNewsIsWritten(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "a.csv", stockFile(0, 5, "10000"))
	w.now = w.now.Add(time.Hour)
	changed := strings.Replace(stockFile(0, 5, "10000"), "S2,10000", "S2,9000", 1)
	w.completes(in, "a.csv", changed, Counts{Total: 5, Updated: 5})
	for i := range 5 {
		v, err := w.Stock.Get(t.Context(), w.t, testVIN(i), "")
		if err != nil || (v.UpdatedAt == v.CreatedAt) != (i != 2) {
			t.Errorf("vehicle %d: %v, updated %v", i, err, v.UpdatedAt)
		}
	}
}

func TestAbsentColumnsEraseNothing(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "a.csv", "VIN,Price,Color\n"+testVIN(0)+",100,Red\n")
	r := w.drop(in, "a.csv", "VIN,Color,Mileage\n"+testVIN(0)+",,5\n")
	if w.field(testVIN(0), vehicle.Price) != "100.00" || w.field(testVIN(0), vehicle.ExteriorColor) != "" {
		t.Errorf("price %q, colour %q", w.field(testVIN(0), vehicle.Price), w.field(testVIN(0), vehicle.ExteriorColor))
	}
	in, _ = w.Integration(t.Context(), w.t, in.ID)
	if !strings.Contains(in.Drift, "Mileage") || !strings.Contains(in.Drift, "Price") || !slices.Contains(r.Report.Notes, in.Drift) {
		t.Errorf("drift: %q, notes %q", in.Drift, r.Report.Notes)
	}
}

func TestMergeSellsAfterSyncsAndHours(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	missing := stockFile(1, 12, "10000")
	status := func() string { return w.field(testVIN(0), vehicle.Status) }
	w.drop(in, "a.csv", stockFile(0, 12, "10000"))
	w.completes(in, "b.csv", missing, Counts{Total: 11, Updated: 11, Missing: 1})
	w.now = w.now.Add(23 * time.Hour)
	w.completes(in, "c.csv", missing, Counts{Total: 11, Updated: 11, Missing: 1}) // two syncs, but not 24 hours
	if status() != vehicle.StatusActive {
		t.Fatalf("sold too early")
	}
	w.now = w.now.Add(time.Hour)
	w.completes(in, "d.csv", missing, Counts{Total: 11, Updated: 11, Missing: 1, Sold: 1})
	if status() != vehicle.StatusSold {
		t.Fatalf("not sold after its grace")
	}
	v, _ := w.Stock.Get(t.Context(), w.t, testVIN(0), "")
	history, err := w.Stock.History(t.Context(), w.t, testVIN(0), false)
	if err != nil || history[len(history)-1].Type != inventory.StatusChange || history[len(history)-1].File != "d.csv" || v.SoldAt.IsZero() {
		t.Errorf("%v %+v", err, history)
	}
	w.completes(in, "e.csv", stockFile(0, 12, "10000"), Counts{Total: 12, Updated: 12})
	if v, _ := w.Stock.Get(t.Context(), w.t, testVIN(0), ""); v.Values[vehicle.Status] != vehicle.StatusActive || v.RelistedAt.IsZero() {
		t.Errorf("not back: %+v", v)
	}
	// A vehicle that is back begins a new grace.
	w.now = w.now.Add(48 * time.Hour)
	w.completes(in, "f.csv", missing, Counts{Total: 11, Updated: 11, Missing: 1})
}

func TestOverwriteSellsAtOnce(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 12, "10000"))
	w.completes(in, "b.csv", stockFile(2, 12, "10000"), Counts{Total: 10, Updated: 10, Missing: 2, Sold: 2})
	if w.active() != 10 {
		t.Errorf("%d active", w.active())
	}
}

// A car that appears at another store of the group while it leaves the first is a transfer, not a sale, whichever file
// comes first.
func TestATransferIsNoSale(t *testing.T) {
	w := openFeeds(t)
	overwrite := func(i *Integration) { i.Sync.Strategy = StrategyOverwrite }
	first, second := w.integration(mapping.TypeCustom, overwrite), w.integration(mapping.TypeVAuto, overwrite, func(i *Integration) { i.DealershipID = w.addDealer("Second store") })
	w.drop(first, "a.csv", stockFile(0, 40, "10000"))
	w.drop(second, "b.csv", stockFile(40, 50, "10000"))

	w.drop(second, "b.csv", stockFile(20, 50, "10000")) // it appears there
	if at := w.field(testVIN(30), vehicle.DealershipID); at != second.DealershipID {
		t.Errorf("at %s", at)
	}
	r := w.completes(first, "a.csv", stockFile(0, 20, "10000"), Counts{Total: 20, Updated: 20, Missing: 20}) // and leaves: half the stock, and nothing for the guard
	if r.Report.Moved != 20 || w.active() != 50 || w.field(testVIN(30), vehicle.Status) != vehicle.StatusActive {
		t.Errorf("%d moved, %d active", r.Report.Moved, w.active())
	}

	// Or it is gone here before it is seen there, with a grace between.
	if _, err := w.UpdateIntegration(t.Context(), w.t, audit.System("test"), first.ID, func(i *Integration) { i.Sync = DefaultSync }); err != nil {
		t.Fatal(err)
	}
	w.drop(first, "a.csv", stockFile(0, 19, "10000"))
	w.drop(second, "b.csv", stockFile(19, 50, "10000"))
	w.now = w.now.Add(48 * time.Hour)
	if r := w.drop(first, "a.csv", stockFile(0, 19, "10001")); r.Counts.Sold != 0 || r.Report.Moved != 1 {
		t.Errorf("%+v, %d moved", r.Counts, r.Report.Moved)
	}
	history, err := w.Stock.History(t.Context(), w.t, testVIN(19), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range history {
		if e.Type == inventory.StatusChange {
			t.Errorf("it was sold: %+v", e)
		}
	}
}

func TestUpdateOnlyCreatesAndSellsNothing(t *testing.T) {
	w := openFeeds(t)
	w.drop(w.integration(mapping.TypeCustom), "a.csv", stockFile(0, 2, "10000"))
	in := w.integration(mapping.TypeVAuto, func(i *Integration) { i.Sync.Strategy = StrategyUpdateOnly })
	w.completes(in, "prices.csv", stockFile(1, 4, "9000"), Counts{Total: 1, Updated: 1, Skipped: 2})
	w.now = w.now.Add(72 * time.Hour)
	w.completes(in, "prices.csv", stockFile(0, 1, "8000"), Counts{Total: 1, Updated: 1})
	w.completes(in, "prices.csv", stockFile(0, 1, "8001"), Counts{Total: 1, Updated: 1})
	if w.active() != 2 || w.field(testVIN(1), vehicle.Price) != "9000.00" || w.field(testVIN(2), vehicle.VDPURL) != "-" {
		t.Errorf("%d active, price %s", w.active(), w.field(testVIN(1), vehicle.Price))
	}
}

func TestUnusableDropsChangeNothing(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 3, "10000"))
	for text, code := range map[string]string{
		"": "file_empty", " \n\n": "file_empty", "VIN,Price\n": "file_without_rows", "VIN,Price\nx,1\ny,2\n": "file_without_vins", "A,B\n1,2\n": "vin_column_missing",
		"VIN\x00,Price\n": "file_not_text", "PK\x03\x04": "archive_truncated",
	} {
		r := w.drop(in, "b.csv", text)
		if r.Status != RunFailed || r.Code != code || r.Detail == "" || r.ProcessedAt.IsZero() {
			t.Errorf("%q: %s %s %s", text, r.Status, r.Code, r.Detail)
		}
		if got, _ := w.Integration(t.Context(), w.t, in.ID); got.Status != StatusError || !strings.Contains(got.StatusReason, "b.csv") {
			t.Errorf("%q: integration is %s %s", text, got.Status, got.StatusReason)
		}
		if w.active() != 3 {
			t.Fatalf("%q changed the inventory", text)
		}
	}
	w.drop(in, "c.csv", stockFile(0, 3, "10000"))
	if got, _ := w.Integration(t.Context(), w.t, in.ID); got.Status != StatusActive || got.StatusReason != "" {
		t.Errorf("after a good file: %s %s", got.Status, got.StatusReason)
	}
}

func TestGuardHoldsWhatWouldSellTooMuch(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 40, "10000"))
	// 12 of 40 are 30 %: not more.
	w.completes(in, "b.csv", stockFile(12, 40, "10000"), Counts{Total: 28, Updated: 28, Missing: 12, Sold: 12})
	w.completes(in, "c.csv", stockFile(0, 40, "10000"), Counts{Total: 40, Updated: 40})
	held := w.drop(in, "short.csv", stockFile(13, 45, "9000"))
	if held.Status != RunHeld || !strings.Contains(held.Detail, "13 of 40") || w.active() != 40 || w.field(testVIN(20), vehicle.Price) != "10000.00" {
		t.Fatalf("%s %s, %d active", held.Status, held.Detail, w.active())
	}
	want := &Would{Create: 5, Update: 27, Sell: 13, Of: 40}
	if would := held.Report.Would; len(would.VINs) != 13 || !slices.Contains(would.VINs, testVIN(3)) {
		t.Errorf("would sell %v", would.VINs)
	} else if would.VINs = nil; !cmp.Equal(want, would) {
		t.Errorf("would %+v", would)
	}
	by := audit.Actor{Type: "person", ID: "p", Name: "Pat"}
	if _, err := w.Confirm(t.Context(), w.t, by, in.ID, held.ID); err != nil {
		t.Fatal(err)
	}
	w.work(in)
	if r := w.log(held); r.Status != RunCompleted || r.Counts.Sold != 13 || w.active() != 32 {
		t.Errorf("confirmed: %s %+v, %d active", r.Status, r.Counts, w.active())
	}
	if _, err := w.Confirm(t.Context(), w.t, by, in.ID, held.ID); errs.CodeOf(err) != "run_not_held" {
		t.Errorf("confirmed twice: %v", err)
	}

	discarded := w.drop(in, "short.csv", stockFile(30, 45, "9000"))
	if r, err := w.Discard(t.Context(), w.t, by, in.ID, discarded.ID); err != nil || r.Status != RunDiscarded {
		t.Errorf("discarded: %v %s", err, r.Status)
	}
	if got, _ := w.Integration(t.Context(), w.t, in.ID); got.StatusReason != "" {
		t.Errorf("a discarded file still stands on its integration: %s", got.StatusReason)
	}
	superseded := w.drop(in, "short.csv", stockFile(31, 45, "9000"))
	w.completes(in, "whole.csv", stockFile(13, 45, "9000"), Counts{Total: 32, Updated: 32})
	if r := w.log(superseded); r.Status != RunSuperseded || w.active() != 32 {
		t.Errorf("the next file does not take its place: %s, %d active", r.Status, w.active())
	}
	if _, err := w.Confirm(t.Context(), w.db().Tenant("another"), by, in.ID, superseded.ID); errs.KindOf(err) != errs.KindNotFound {
		t.Errorf("of another group: %v", err)
	}
}

func (w *works) db() *sqldb.DB { return w.Feeds.DB }

// Nine cars of nine are all of a small lot: the guard's least keeps it usable.
func TestGuardLeavesSmallLotsAlone(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 9, "10000"))
	w.completes(in, "b.csv", stockFile(100, 101, "10000"), Counts{Total: 1, Created: 1, Missing: 9, Sold: 9})
}

func TestOlderFilesAreRefused(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "stock-2026-11-20.csv", stockFile(0, 3, "10000"))
	for _, name := range []string{"stock-2026-11-19.csv", "STOCK-20261119.CSV"} {
		if r := w.drop(in, name, stockFile(0, 3, "9000")); r.Status != RunFailed || r.Code != "file_older" || w.field(testVIN(0), vehicle.Price) != "10000.00" {
			t.Errorf("%s: %s %s", name, r.Status, r.Code)
		}
	}
	for _, name := range []string{"stock-2026-11-20.csv", "other-2026-11-01.csv", "stock.csv"} {
		if r := w.drop(in, name, stockFile(0, 3, "10000")+"\n"); r.Status != RunCompleted {
			t.Errorf("%s: %s %s", name, r.Status, r.Detail)
		}
	}
	old := Upload{Name: "x.csv", ModTime: w.now.Add(-48 * time.Hour), File: strings.NewReader(stockFile(0, 3, "8000"))}
	recent := Upload{Name: "y.csv", ModTime: w.now.Add(-time.Hour), File: strings.NewReader(stockFile(0, 3, "8500"))}
	for _, u := range []Upload{recent, old} {
		if _, err := w.Receive(t.Context(), w.t, in.ID, u); err != nil {
			t.Fatal(err)
		}
		w.work(in)
	}
	if got := w.field(testVIN(0), vehicle.Price); got != "8500.00" {
		t.Errorf("an older file by its sender's time: %s", got)
	}
}

func TestUnknownDealersAreListed(t *testing.T) {
	w := openFeeds(t)
	other := w.addDealer("Lakeside Motors")
	in := w.integration(mapping.TypeCustom)
	file := "VIN,Dealer\n" + testVIN(0) + ",Lakeside Motors\n" + testVIN(1) + ",Lake Side\n" + testVIN(2) + ",\n" + testVIN(3) + ",Lake Side\n"
	r := w.completes(in, "a.csv", file, Counts{Total: 4, Created: 4, Warnings: 2})
	if !strings.Contains(w.problems(r), `3 warning dealership "Lake Side" no dealership goes by`) {
		t.Error(w.problems(r))
	}
	for i, want := range []string{other, w.dealer, w.dealer, w.dealer} {
		if got := w.field(testVIN(i), vehicle.DealershipID); got != want {
			t.Errorf("vehicle %d is held by %s", i, got)
		}
	}
	list, total, err := selectUnmatched(t.Context(), w.t, rest.Page{Limit: 10})
	if err != nil || total != 1 || list[0].Name != "Lake Side" || list[0].Vehicles != 2 || list[0].IntegrationID != in.ID {
		t.Errorf("unmatched: %v %+v", err, list)
	}
	if _, err := w.Dealers.AddAlias(t.Context(), w.t, audit.Actor{}, other, "Lake Side"); err != nil {
		t.Fatal(err)
	}
	w.completes(in, "a.csv", file, Counts{Total: 4, Updated: 4}) // the same bytes mean something else now
	if got := w.field(testVIN(1), vehicle.DealershipID); got != other {
		t.Errorf("after the alias: %s", got)
	}
	if _, total, _ := selectUnmatched(t.Context(), w.t, rest.Page{Limit: 10}); total != 0 {
		t.Errorf("still unmatched: %d", total)
	}
}

func TestEleadFillsGapsOnly(t *testing.T) {
	w := openFeeds(t)
	w.drop(w.integration(mapping.TypeCustom), "a.csv", "VIN,Make,Price\n"+testVIN(0)+",Ford,10000\n"+testVIN(1)+",Ford,10000\n")
	in := w.integration(mapping.TypeElead)
	leads := "opportunityId,upType,status,make,model,trim,vin,stockNumber,priceFrom\n" +
		"1,Internet,Active,FORD TRUCKS,F-150,XL," + testVIN(0) + ",,5\n" +
		"2,Phone,Sold,Ford,F-150,," + testVIN(0) + ",,5\n" +
		"3,Phone,Active,Ram,1500,,,,\n" +
		"4,Phone,Active,Ford,F-150,," + testVIN(7) + ",,\n"
	w.completes(in, "leads.csv", leads, Counts{Total: 2, Updated: 2, Skipped: 2})
	if w.field(testVIN(0), vehicle.Make) != "Ford" || w.field(testVIN(0), vehicle.Model) != "F-150" || w.field(testVIN(0), vehicle.Price) != "10000.00" || w.active() != 2 {
		t.Errorf("make %s, model %s, %d active", w.field(testVIN(0), vehicle.Make), w.field(testVIN(0), vehicle.Model), w.active())
	}
	w.now = w.now.Add(72 * time.Hour)
	w.completes(in, "leads.csv", strings.Join(strings.Split(leads, "\n")[:1], "")+"\n9,Phone,Active,Ford,F-150,,"+testVIN(1)+",,\n", Counts{Total: 1, Updated: 1})
	if w.active() != 2 {
		t.Errorf("leads sold a car: %d active", w.active())
	}
}

func TestOneBadRowStopsNothing(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	text := "VIN,Price,Year\n" + testVIN(0) + ",abc,2020\nshort,1,2020\n" + testVIN(1) + "\n" + testVIN(2) + ",1,2,3,4\n" + testVIN(3) + ",100,2020\n"
	r := w.completes(in, "a.csv", text, Counts{Total: 5, Created: 3, Errors: 2, Warnings: 2})
	want := strings.Join([]string{
		`2 warning Price "abc" "abc" is no amount`, `3 refused VIN "short" no VIN: has 5 characters, not 17`,
		`4 warning  "" the row has 1 cells instead of 3; the missing ones count as empty`, `5 refused  "" the row has 5 cells, the header 3`,
	}, "\n")
	if diff := cmp.Diff(want, w.problems(r)); diff != "" {
		t.Error(diff)
	}
	// A row that was odd is odd again the next time, though nothing about it is new.
	again := w.completes(in, "a.csv", text+"\n", Counts{Total: 5, Updated: 3, Errors: 2, Warnings: 2})
	if diff := cmp.Diff(want, w.problems(again)); diff != "" {
		t.Error(diff)
	}
}

func TestPackedFiles(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(stockFile(0, 3, "10000")))
	_ = z.Close()
	r := w.completes(in, "stock.csv.gz", packed.String(), Counts{Total: 3, Created: 3})
	if r.Report.Unpacked != "stock.csv" {
		t.Errorf("unpacked %q", r.Report.Unpacked)
	}
}

// A worker that vanishes leaves a file that is marked as running; the next one processes it, once, and the first can't write
// any more should it wake up.
func TestAFileIsProcessedOnce(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.receive(in, "a.csv", stockFile(0, 3, "10000"))
	in, lost, ok, err := w.claim(t.Context(), w.t, in.ID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.work(in)
	if r := w.log(lost); r.Status != RunCompleted || r.Attempt != 2 || r.Counts.Created != 3 {
		t.Errorf("taken over: %+v", r)
	}
	if err := w.process(t.Context(), w.t, in, lost); !errors.Is(err, errFenced) {
		t.Errorf("the first worker wrote: %v", err)
	}
	if r := w.log(lost); r.Counts.Created != 3 || r.Attempt != 2 {
		t.Errorf("after the first woke up: %+v", r)
	}
}

func TestWorkersOfOneIntegrationExcludeEachOther(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	other, err := w.db().Hold(t.Context(), "files of "+in.ID, sqldb.Holding{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if err := w.Work(t.Context(), w.t, in.ID); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
}

func TestAFullDiskLosesNoFile(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its size can be capped")
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "a.csv", stockFile(0, 3, "10000"))
	r := w.receive(in, "b.csv", stockFile(0, 3000, "9000"))
	if err := w.db().LimitPages(t.Context(), 1); err != nil { // not less than there are
		t.Fatal(err)
	}
	if err := w.Work(t.Context(), w.t, in.ID); errs.KindOf(err) != errs.KindUnavailable {
		t.Errorf("on a full disk: %v", err)
	}
	if w.active() != 3 || w.field(testVIN(0), vehicle.Price) != "10000.00" {
		t.Errorf("half a file: %d active", w.active())
	}
	if err := w.db().LimitPages(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w.work(in)
	if r := w.log(r); r.Status != RunCompleted || r.Counts.Created != 2997 {
		t.Errorf("after: %s %+v", r.Status, r.Counts)
	}
}

func TestPausedIntegrationsWait(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	r := w.receive(in, "a.csv", stockFile(0, 3, "10000"))
	set := func(status string) {
		if _, err := w.UpdateIntegration(t.Context(), w.t, audit.Actor{}, in.ID, func(i *Integration) { i.Status = status }); err != nil {
			t.Fatal(err)
		}
	}
	set(StatusPaused)
	w.work(in)
	if _, err := w.Receive(t.Context(), w.t, in.ID, Upload{Name: "b.csv", File: strings.NewReader("x")}); errs.CodeOf(err) != "integration_paused" {
		t.Errorf("a paused integration took a file: %v", err)
	}
	if w.log(r).Status != RunQueued {
		t.Errorf("processed while paused")
	}
	w.jobs = nil
	set(StatusActive)
	if !slices.Equal(w.jobs, []string{in.ID}) {
		t.Errorf("what waited is not taken up: %v", w.jobs)
	}
	w.work(in)
	if w.log(r).Status != RunCompleted {
		t.Errorf("%s", w.log(r).Status)
	}
}

func TestRemapRunsTheLatestFileAgain(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	text := func(s string) *string { return &s }
	if _, _, err := w.Remap(t.Context(), w.t, audit.Actor{}, in.ID, map[string]*string{"Lot": text("stock_number")}, true); errs.CodeOf(err) != "file_gone" {
		t.Errorf("without a file: %v", err)
	}
	w.drop(in, "a.csv", "VIN,Web Offer,Lot Row\n"+testVIN(0)+",100,A7\n"+testVIN(1)+",200,B1\n")
	w.drop(in, "b.csv", "VIN,Web Offer,Lot Row\n"+testVIN(0)+",100,A7\n")
	_, p, preview, err := w.Preview(t.Context(), w.t, in.ID, 5)
	if err != nil || p != "b.csv" || len(preview.Columns) != 3 || preview.Columns[1].Target != "" || len(preview.Rows) != 1 {
		t.Errorf("preview: %v %s %+v", err, p, preview)
	}
	in, run, err := w.Remap(t.Context(), w.t, audit.Actor{}, in.ID, map[string]*string{"web offer": text("price"), "Lot Row": text("custom.row")}, true)
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(48 * time.Hour)
	w.work(in)
	if r := w.log(*run); r.Status != RunCompleted || r.Counts != (Counts{Total: 1, Updated: 1}) || w.field(testVIN(0), vehicle.Price) != "100.00" || w.field(testVIN(0), vehicle.Custom) != `{"row":"A7"}` {
		t.Errorf("again: %s %+v, price %s, custom %s", r.Status, r.Counts, w.field(testVIN(0), vehicle.Price), w.field(testVIN(0), vehicle.Custom))
	}
	if w.field(testVIN(1), vehicle.Status) != vehicle.StatusActive {
		t.Errorf("running a file again counted as another file that misses a vehicle")
	}
	in, _, err = w.Remap(t.Context(), w.t, audit.Actor{}, in.ID, map[string]*string{"WEB OFFER": nil}, false)
	if diff := cmp.Diff(map[string]string{"Lot Row": "custom.row"}, in.Mappings); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestReceiveBounds(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.Limits.FileBytes = 100
	if _, err := w.Receive(t.Context(), w.t, in.ID, Upload{Name: "a.csv", File: strings.NewReader(strings.Repeat("x", 101))}); errs.KindOf(err) != errs.KindTooLarge {
		t.Errorf("too large: %v", err)
	}
	for _, name := range []string{"", "..", "a\x00b", "a\nb", strings.Repeat("x", 201), "\xff"} {
		if _, err := w.Receive(t.Context(), w.t, in.ID, Upload{Name: name, File: strings.NewReader("x")}); errs.KindOf(err) != errs.KindInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if r, err := w.Receive(t.Context(), w.t, in.ID, Upload{Name: `..\..\etc/passwd`, File: strings.NewReader("x")}); err != nil || r.Filename != "passwd" {
		t.Errorf("a path: %v %q", err, r.Filename)
	}
	var n int
	if err := w.t.QueryRow(t.Context(), `SELECT count(DISTINCT run_id) FROM feed_file WHERE dealer_group_id = $1`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d files are kept of refused uploads: %v", n, err)
	}
	if _, err := w.Receive(t.Context(), w.db().Tenant("another"), in.ID, Upload{Name: "a.csv", File: strings.NewReader("x")}); errs.KindOf(err) != errs.KindNotFound {
		t.Errorf("of another group: %v", err)
	}
}

func TestOnlyTheLastFilesAreKept(t *testing.T) {
	w := openFeeds(t)
	w.Limits.KeptFiles = 2
	in := w.integration(mapping.TypeCustom)
	for i := range 4 {
		w.drop(in, fmt.Sprintf("f%d.csv", i), stockFile(0, 3+i, "10000"))
	}
	var n int
	if err := w.t.QueryRow(t.Context(), `SELECT count(DISTINCT run_id) FROM feed_file WHERE dealer_group_id = $1`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d kept: %v", n, err)
	}
	logs, total, err := w.Logs(t.Context(), w.t, in.ID, rest.Page{Limit: 10})
	if err != nil || total != 4 || logs[0].Filename != "f3.csv" {
		t.Errorf("%v %d", err, total)
	}
	w.now = w.now.Add(w.Limits.LogAge + time.Hour)
	if err := w.Prune(t.Context(), w.t); err != nil {
		t.Fatal(err)
	}
	if _, total, _ := w.Logs(t.Context(), w.t, in.ID, rest.Page{Limit: 10}); total != 0 {
		t.Errorf("%d logs after their age", total)
	}
}

// A price list says nothing about what is there: a car its own feed has given up is sold, whoever else has a price for it.
func TestPriceListsKeepNoCarAlive(t *testing.T) {
	w := openFeeds(t)
	stock := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	prices := w.integration(mapping.TypeVAuto, func(i *Integration) { i.Sync.Strategy = StrategyUpdateOnly })
	w.drop(stock, "a.csv", stockFile(0, 3, "10000"))
	w.drop(prices, "p.csv", stockFile(0, 3, "9000"))
	w.drop(stock, "b.csv", stockFile(1, 3, "10000"))
	if got := w.field(testVIN(0), vehicle.Status); got != vehicle.StatusSold {
		t.Errorf("status %s", got)
	}
	// Once it does say what is there, the very same rows count.
	if _, err := w.UpdateIntegration(t.Context(), w.t, audit.Actor{}, prices.ID, func(i *Integration) { i.Sync.Strategy = StrategyMerge }); err != nil {
		t.Fatal(err)
	}
	w.drop(prices, "p.csv", stockFile(0, 3, "9000"))
	if got := w.field(testVIN(0), vehicle.Status); got != vehicle.StatusActive {
		t.Errorf("listed by another: %s", got)
	}
}

func TestDeletedIntegrationsKeepNoCarAlive(t *testing.T) {
	w := openFeeds(t)
	old := w.integration(mapping.TypeCustom)
	w.drop(old, "a.csv", stockFile(0, 3, "10000"))
	if err := w.DeleteIntegration(t.Context(), w.t, audit.Actor{}, old.ID); err != nil {
		t.Fatal(err)
	}
	if w.active() != 3 {
		t.Errorf("deleting an integration sold its cars: %d active", w.active())
	}
	again := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(again, "a.csv", stockFile(0, 3, "10000"))
	w.drop(again, "b.csv", stockFile(1, 3, "10000"))
	if got := w.field(testVIN(0), vehicle.Status); got != vehicle.StatusSold {
		t.Errorf("status %s", got)
	}
}

// Files that come every day at about the same time miss a car for 24 hours with the second of them.
func TestDailyFilesNeedNotComeToTheMinute(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	missing := stockFile(1, 12, "10000")
	w.drop(in, "a.csv", stockFile(0, 12, "10000"))
	start := w.now
	w.drop(in, "b.csv", missing)
	w.now = start.Add(24*time.Hour - 10*time.Minute)
	w.completes(in, "c.csv", missing, Counts{Total: 11, Updated: 11, Missing: 1, Sold: 1})
}

// What is said of a held file is forgotten once it goes on.
func TestConfirmedFileTellsOnlyWhatBecameOfIt(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 20, "10000"))
	held := w.drop(in, "b.csv", stockFile(0, 5, "10000"))
	if got, _ := w.Integration(t.Context(), w.t, in.ID); got.Status != StatusActive || !strings.Contains(got.StatusReason, "b.csv") {
		t.Errorf("a held file is not seen on its integration: %s %q", got.Status, got.StatusReason)
	}
	if _, err := w.Confirm(t.Context(), w.t, audit.Actor{}, in.ID, held.ID); err != nil {
		t.Fatal(err)
	}
	w.work(in)
	if r := w.log(held); r.Status != RunCompleted || r.Detail != "" || r.Report.Would != nil {
		t.Errorf("%s %q %v", r.Status, r.Detail, r.Report.Would)
	}
	if got, _ := w.Integration(t.Context(), w.t, in.ID); got.StatusReason != "" {
		t.Errorf("%q", got.StatusReason)
	}
}

// A row with a comma too many is refused, but its car is there.
func TestARefusedRowSellsNoCar(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 3, "10000"))
	broken := strings.Replace(stockFile(0, 3, "10000"), "S1,10000,Red", "S1,10,000,Red, leather", 1)
	w.completes(in, "b.csv", broken, Counts{Total: 3, Updated: 2, Errors: 1})
	w.completes(in, "b.csv", broken, Counts{Total: 3, Updated: 2, Errors: 1})
	if w.active() != 3 {
		t.Errorf("%d active", w.active())
	}
}

// Where every row of a VIN counts, the last word comes last though it is an old one.
func TestTheLastRowWinsWhereEachCounts(t *testing.T) {
	w := openFeeds(t)
	w.drop(w.integration(mapping.TypeCustom), "a.csv", stockFile(0, 1, "10000"))
	in := w.integration(mapping.TypeVAuto, func(i *Integration) { i.Sync.Strategy = StrategyUpdateOnly })
	line := func(price string) string { return testVIN(0) + "," + price + "\n" }
	w.drop(in, "p.csv", "VIN,Price\n"+line("100"))
	w.drop(in, "p.csv", "VIN,Price\n"+line("90")+line("100"))
	if got := w.field(testVIN(0), vehicle.Price); got != "100.00" {
		t.Errorf("price %s", got)
	}
}

func TestAFileThatKillsItsWorkerIsGivenUp(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	poison, good := w.receive(in, "poison.csv", stockFile(0, 1, "1")), w.receive(in, "good.csv", stockFile(0, 2, "10000"))
	for range maxCrashes {
		if _, _, ok, err := w.claim(t.Context(), w.t, in.ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	w.work(in)
	if r := w.log(poison); r.Status != RunFailed || r.Code != "internal" || r.Detail == "" {
		t.Errorf("%s %s", r.Status, r.Detail)
	}
	if r := w.log(good); r.Status != RunCompleted {
		t.Errorf("the file behind it: %s", r.Status)
	}
}

func TestAHeldFileCannotOvertakeANewerOne(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite })
	w.drop(in, "a.csv", stockFile(0, 20, "10000"))
	held := w.drop(in, "short.csv", stockFile(0, 2, "10000"))
	w.receive(in, "whole.csv", stockFile(0, 21, "10000"))
	if _, err := w.Confirm(t.Context(), w.t, audit.Actor{}, in.ID, held.ID); errs.CodeOf(err) != "run_superseded" {
		t.Errorf("confirmed beside a newer file: %v", err)
	}
	w.work(in)
	if w.log(held).Status != RunSuperseded || w.active() != 21 {
		t.Errorf("%s, %d active", w.log(held).Status, w.active())
	}
}

// A confirmation is of what was announced, not of more.
func TestAConfirmationCoversWhatItSaid(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	w.drop(in, "a.csv", stockFile(0, 40, "10000"))
	w.drop(in, "b.csv", stockFile(0, 25, "10000"))
	w.now = w.now.Add(25 * time.Hour)
	held := w.drop(in, "c.csv", stockFile(0, 20, "10000"))
	if held.Status != RunHeld || held.Report.Would.Sell != 15 {
		t.Fatalf("%s %+v", held.Status, held.Report.Would)
	}
	if _, err := w.UpdateIntegration(t.Context(), w.t, audit.Actor{}, in.ID, func(i *Integration) { i.Sync.Strategy = StrategyOverwrite }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Confirm(t.Context(), w.t, audit.Actor{}, in.ID, held.ID); err != nil {
		t.Fatal(err)
	}
	w.work(in)
	if r := w.log(held); r.Status != RunHeld || r.Report.Would.Sell != 20 || w.active() != 40 {
		t.Errorf("%s %+v, %d active", r.Status, r.Report.Would, w.active())
	}
}

func TestATimeInTheFutureIsNone(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	for _, u := range []Upload{{Name: "a.csv", ModTime: w.now.AddDate(30, 0, 0)}, {Name: "stock-2027-11-20.csv"}} {
		u.File = strings.NewReader(stockFile(0, 3, "10000"))
		if r, err := w.Receive(t.Context(), w.t, in.ID, u); err != nil || !r.FileTime.IsZero() {
			t.Errorf("%s: %v %v", u.Name, err, r.FileTime)
		}
	}
}

func TestReprocessingAFileThatWaitsReadsItOnce(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom, func(i *Integration) { i.Sync.SoldGraceHours = 0 })
	w.drop(in, "a.csv", stockFile(0, 12, "10000"))
	waiting := w.receive(in, "b.csv", stockFile(1, 12, "10000"))
	target := "msrp"
	if _, run, err := w.Remap(t.Context(), w.t, audit.Actor{}, in.ID, map[string]*string{"Price": &target}, true); err != nil || run.ID != waiting.ID {
		t.Fatal(run, err)
	}
	w.work(in)
	if got := w.field(testVIN(0), vehicle.Status); got != vehicle.StatusActive {
		t.Errorf("one file without it counted twice: %s", got)
	}
}

// A price list that came before the cars reaches them when it comes again.
func TestAPriceListReachesCarsThatCameAfterIt(t *testing.T) {
	w := openFeeds(t)
	prices := w.integration(mapping.TypeVAuto, func(i *Integration) { i.Sync.Strategy = StrategyUpdateOnly })
	file := "VIN,Web Price\n" + testVIN(0) + ",9000\n"
	w.completes(prices, "p.csv", file, Counts{Skipped: 1})
	w.drop(w.integration(mapping.TypeCustom), "a.csv", stockFile(0, 1, "10000"))
	w.completes(prices, "p.csv", file, Counts{Total: 1, Updated: 1})
	if got := w.field(testVIN(0), vehicle.InternetPrice); got != "9000.00" {
		t.Errorf("internet price %q", got)
	}
}

// A few kilobytes of file must not become megabytes of log.
func TestHugeHeadersAreRefusedBriefly(t *testing.T) {
	w := openFeeds(t)
	in := w.integration(mapping.TypeCustom)
	for name, header := range map[string]string{
		"one name":   "VIN," + strings.Repeat("x", 1001),
		"all names":  "VIN," + strings.Repeat(strings.Repeat("y", 900)+",", 100),
		"not a VIN":  strings.Repeat("Some Column Name,", 200) + "z",
		"repetition": "VIN," + strings.Repeat("Price,", 900) + "z",
	} {
		r := w.drop(in, "a.csv", header+"\n"+testVIN(0)+",1\n")
		integration, err := w.Integration(t.Context(), w.t, in.ID)
		if err != nil || len(r.Detail) > 3*maxDetail || len(integration.StatusReason) > 3*maxDetail || len(r.Report.Notes) > maxKinds+1 {
			t.Errorf("%s: %s, %d bytes of detail, %d notes, %v", name, r.Status, len(r.Detail), len(r.Report.Notes), err)
		}
	}
}

func TestOneJobWorksAllFilesThatWait(t *testing.T) {
	w := openFeeds(t)
	w.Limits.Queued = 3
	in := w.integration(mapping.TypeCustom)
	for i := range 3 {
		w.receive(in, "a.csv", stockFile(0, 2+i, "10000"))
	}
	if len(w.jobs) != 1 {
		t.Errorf("%d jobs", len(w.jobs))
	}
	if _, err := w.Receive(t.Context(), w.t, in.ID, Upload{Name: "a.csv", File: strings.NewReader("x")}); errs.KindOf(err) != errs.KindUnavailable {
		t.Errorf("more files than may wait: %v", err)
	}
	w.work(in)
	if w.active() != 4 {
		t.Errorf("%d active", w.active())
	}
	w.receive(in, "b.csv", stockFile(0, 9, "10000"))
	if len(w.jobs) != 2 {
		t.Errorf("the next file has no job: %d", len(w.jobs))
	}
}

func TestGate(t *testing.T) {
	var g gate
	leave, err := g.enter("a", 1, 2, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.enter("a", 1, 2, "x"); errs.KindOf(err) != errs.KindUnavailable {
		t.Errorf("a second of one: %v", err)
	}
	other, err := g.enter("b", 1, 2, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.enter("c", 1, 2, "x"); errs.KindOf(err) != errs.KindUnavailable {
		t.Errorf("a third in all: %v", err)
	}
	leave()
	other()
	if again, err := g.enter("a", 1, 2, "x"); err != nil || g.all != 1 || len(g.each) != 1 {
		t.Errorf("%v %+v", err, g.each)
	} else {
		again()
	}
}

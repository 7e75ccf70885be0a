package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

type fixture struct {
	*Importer
	tenant *sqldb.Tenant
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	db := sqldbtest.Open(t, sqldb.Stock)
	stock := inventory.NewStock(db, inventory.Options{Now: time.Now})
	return fixture{&Importer{Stock: stock, Dealers: &dealer.Dealers{DB: db, Now: time.Now, Held: stock.Count}, Now: time.Now}, db.Tenant("group-1")}
}

func fromText(name, text string) Import {
	return Import{File: name, By: audit.System("test"), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

func (f fixture) load(t testing.TB, in Import) Report {
	t.Helper()
	r, err := f.Run(t.Context(), f.tenant, in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != r.Created+r.Updated+r.Unchanged+r.Refused {
		t.Errorf("%s: %d rows are not %d + %d + %d + %d", r.File, r.Rows, r.Created, r.Updated, r.Unchanged, r.Refused)
	}
	return r
}

func (f fixture) vehicle(t testing.TB, vin string) *inventory.Vehicle {
	t.Helper()
	v, err := f.Stock.Get(t.Context(), f.tenant, vin, "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// numbers are created, updated, unchanged, refused.
func numbers(r Report) string {
	return fmt.Sprintf("%d %d %d %d", r.Created, r.Updated, r.Unchanged, r.Refused)
}

func TestImportReportsWhatBecameOfEachRow(t *testing.T) {
	f := newFixture(t)
	raw, err := os.ReadFile("../mapping/testdata/defects.txt")
	if err != nil {
		t.Fatal(err)
	}
	in := fromText("defects.txt", string(raw))
	in.Dealer = "Home"
	var problems []string
	in.Problem = func(p mapping.Problem) {
		problems = append(problems, fmt.Sprintf("%d %v %s", p.Line, p.Refused, p.Column))
	}
	r := f.load(t, in)
	if got := numbers(r); got != "7 1 0 4" {
		t.Errorf("created, updated, unchanged, refused: %s", got)
	}
	want := []string{"2 false VIN", "3 false Yr", "5 true VIN", "6 true VIN", "7 false ", "8 true ", "10 false ", "11 true VIN", "13 false New_Used"}
	if d := cmp.Diff(want, problems); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"North Store", "South Store", "Home"}, r.DealersCreated); d != "" {
		t.Error(d)
	}
	if r.Format.Charset != sheet.Charset1252 || r.Format.Delimiter != '|' {
		t.Errorf("format %+v", r.Format)
	}
	// The last row of a VIN counts.
	if v := f.vehicle(t, "1FTFW1E84NFA10001"); v.Values[vehicle.Price] != "44995.00" || v.Values[vehicle.StockNumber] != "A12" {
		t.Errorf("twice in the file: %s, %s", v.Values[vehicle.Price], v.Values[vehicle.StockNumber])
	}
	// The same file again changes nothing, the superseded row included.
	again := f.load(t, in)
	if got := numbers(again); got != "0 1 7 4" || len(again.DealersCreated) != 0 {
		t.Errorf("again: %s, made %v", got, again.DealersCreated)
	}
}

func TestAbsentColumnsLeaveValuesAloneEmptyCellsErase(t *testing.T) {
	f := newFixture(t)
	f.load(t, fromText("a.csv", "VIN,Price,Color,Dealer\n1FTFW1E84NFA10001,100,Red,Store\n"))
	r := f.load(t, fromText("a.csv", "VIN,Price\n1FTFW1E84NFA10001,\n"))
	if numbers(r) != "0 1 0 0" {
		t.Errorf("counts: %s", numbers(r))
	}
	v := f.vehicle(t, "1FTFW1E84NFA10001")
	if v.Values[vehicle.Price] != "" || v.Values[vehicle.ExteriorColor] != "Red" || v.Values[vehicle.DealershipID] == "" {
		t.Errorf("price %q, colour %q, dealership %q", v.Values[vehicle.Price], v.Values[vehicle.ExteriorColor], v.Values[vehicle.DealershipID])
	}
}

func TestHistoryNamesFileAndLine(t *testing.T) {
	f := newFixture(t)
	f.load(t, fromText("monday.csv", "VIN,Price,Dealer\n1FTFW1E84NFA10001,100,Store\n"))
	f.load(t, fromText("tuesday.csv", "VIN,Price,Dealer\n2HGFE2F52PH500002,7,Store\n\n1FTFW1E84NFA10001,90,Store\n"))
	list, err := f.Stock.History(t.Context(), f.tenant, "1FTFW1E84NFA10001", false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s by %s, %s line %d", e.Type, e.Source, e.File, e.Line))
	}
	if d := cmp.Diff([]string{"created by import, monday.csv line 2", "price_change by import, tuesday.csv line 4"}, got); d != "" {
		t.Error(d)
	}
	// A repeated VIN within a file is no history.
	f.load(t, fromText("wednesday.csv", "VIN,Price,Dealer\n1FTFW1E84NFA10001,50,Store\n1FTFW1E84NFA10001,90,Store\n"))
	if list, err = f.Stock.History(t.Context(), f.tenant, "1FTFW1E84NFA10001", false); err != nil || len(list) != 2 {
		t.Errorf("%d entries, %v", len(list), err)
	}
}

func TestRowsFindTheirDealership(t *testing.T) {
	f := newFixture(t)
	store, err := f.Dealers.Create(t.Context(), f.tenant, audit.System("test"), dealer.Dealer{Name: "Store", Codes: []string{"0012"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Dealers.AddAlias(t.Context(), f.tenant, audit.System("test"), store.ID, "The Store, Inc."); err != nil {
		t.Fatal(err)
	}
	text := "VIN,DealerId,Dealer Name\n1FTFW1E84NFA10001,0012,whatever\n2HGFE2F52PH500002,,\"THE  STORE, Inc.\"\n5N1AT3BA5MC700003,X9,store\n4T1G11AK2LU300004,,\n"
	r := f.load(t, fromText("a.csv", text))
	if numbers(r) != "4 0 0 0" || len(r.DealersCreated) != 0 {
		t.Errorf("%s, made %v", numbers(r), r.DealersCreated)
	}
	for _, vin := range []string{"1FTFW1E84NFA10001", "2HGFE2F52PH500002", "5N1AT3BA5MC700003", "4T1G11AK2LU300004"} {
		if id := f.vehicle(t, vin).Values[vehicle.DealershipID]; id != store.ID {
			t.Errorf("%s is held by %q", vin, id)
		}
	}
	r = f.load(t, fromText("b.csv", "VIN,DealerId,Dealer Name\n1GNSKNKD2MR400005,77,Second\n"))
	if d := cmp.Diff([]string{"Second"}, r.DealersCreated); d != "" {
		t.Error(d)
	}
	// With two stores a row has to name one.
	r = f.load(t, fromText("c.csv", "VIN,Price,Dealer\nKMHLM4AG8NU600006,1,\n5UX43DP05P9A00007,1,Second\n"))
	if numbers(r) != "1 0 0 1" || !strings.Contains(r.Refusals[0].Reason, "names no dealership") {
		t.Errorf("%s: %v", numbers(r), r.Refusals)
	}
}

func TestUnusableFilesChangeNothing(t *testing.T) {
	f := newFixture(t)
	f.load(t, fromText("a.csv", "VIN,Price,Dealer\n1FTFW1E84NFA10001,100,Store\n"))
	for text, code := range map[string]string{
		"":                                   "file_empty",
		"VIN,Price,Dealer\n":                 "file_without_rows",
		"Name,Price\nx,1\n":                  "vin_column_missing",
		"VIN,Price,Dealer\nx,1,Other\n,,\n":  "file_without_vins",
		"2HGFE2F52PH500002,2022,Honda\n":     "header_missing",
		"VIN,Price\n\x00\x00\n":              "file_not_text",
		"VIN,Price,Dealer\n,1,A\n\n,2,B\n\n": "file_without_vins",
	} {
		if _, err := f.Run(t.Context(), f.tenant, fromText("a.csv", text)); errs.CodeOf(err) != code {
			t.Errorf("%q: %v, want %s", text, err, code)
		}
	}
	if _, total, err := f.Dealers.List(t.Context(), f.tenant, rest.Page{Limit: 10}); err != nil || total != 1 {
		t.Errorf("%d dealerships, %v", total, err)
	}
}

// failingFile breaks off after some bytes, on its second reading.
type failingFile struct {
	text  string
	opens int
}

func (b *failingFile) open() (io.ReadCloser, error) {
	b.opens++
	if b.opens == 1 {
		return io.NopCloser(strings.NewReader(b.text)), nil
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(b.text[:len(b.text)/2]), brokenReader{})), nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

func TestFileIsWholeOrAbsent(t *testing.T) {
	f := newFixture(t)
	var b strings.Builder
	b.WriteString("VIN,Price,Dealer\n")
	for _, vin := range manyVINs(30_000) {
		b.WriteString(vin + ",100,Store\n")
	}
	broken := &failingFile{text: b.String()}
	in := fromText("a.csv", "")
	in.Open = broken.open
	if _, err := f.Run(t.Context(), f.tenant, in); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("broken file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	in = fromText("a.csv", b.String())
	in.Progress = func(int64) { cancel() }
	if _, err := f.Run(ctx, f.tenant, in); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if n := f.heldByAll(t); n != 0 {
		t.Errorf("%d vehicles of files that never were", n)
	}
	in.Progress = nil
	if r := f.load(t, in); r.Created != 30_000 {
		t.Errorf("then: %s", numbers(r))
	}
}

// heldByAll counts the vehicles of all dealerships.
func (f fixture) heldByAll(t testing.TB) (n int64) {
	t.Helper()
	list, _, err := f.Dealers.List(t.Context(), f.tenant, rest.Page{Limit: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		held, err := f.Stock.Count(t.Context(), f.tenant, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		n += held
	}
	return n
}

// manyVINs are VINs with right check digits.
func manyVINs(n int) []string {
	out := make([]string, n)
	for i := range out {
		v := fmt.Sprintf("1FTFW1E80NF%06d", i)
		out[i] = v[:8] + string(checkDigit(v)) + v[9:]
	}
	return out
}

func checkDigit(v string) byte {
	for _, d := range []byte("0123456789X") {
		if vin.Proven(v[:8] + string(d) + v[9:]) {
			return d
		}
	}
	return '?'
}

func fromCollected(t testing.TB, name string) Import {
	t.Helper()
	openCollected(t, name)
	return Import{File: name, By: audit.System("test"), Open: func() (io.ReadCloser, error) { return os.Open(filepath.Join(collected, name)) }}
}

func TestCollectedFilesGiveTheirVehicles(t *testing.T) {
	f := newFixture(t)
	dealerships := 0
	for _, tt := range []struct{ name, counts string }{
		{"ancira-2021-08-28.csv", "419 0 0 0"},
		{"toyota-tundra-2023-07-13.csv", "8595 1 0 0"},
		{"derived/vauto-34col.csv", "0 80 0 0"}, // vehicles of the first file, with what it did not tell
	} {
		r := f.load(t, fromCollected(t, tt.name))
		if numbers(r) != tt.counts {
			t.Errorf("%s: %s, want %s", tt.name, numbers(r), tt.counts)
		}
		dealerships += len(r.DealersCreated)
	}
	if dealerships != 9+923 {
		t.Errorf("%d dealerships made", dealerships)
	}
	if n := f.heldByAll(t); n != 9014 {
		t.Errorf("%d vehicles", n)
	}
	for d := json.NewDecoder(openCollected(t, "derived/vauto-34col.expected.jsonl")); d.More(); {
		var want struct {
			VIN         string
			StockNumber string `json:"stock_number"`
			Price       *int   `json:"price"`
			DateInStock string `json:"date_in_stock"`
		}
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		price := ""
		if want.Price != nil {
			price = fmt.Sprintf("%d.00", *want.Price)
		}
		v := &f.vehicle(t, want.VIN).Values
		if v[vehicle.Price] != price || v[vehicle.StockNumber] != want.StockNumber || v[vehicle.DateInStock] != want.DateInStock {
			t.Errorf("%s: %s %s %s", want.VIN, v[vehicle.Price], v[vehicle.StockNumber], v[vehicle.DateInStock])
		}
	}
	if again := f.load(t, fromCollected(t, "derived/vauto-34col.csv")); numbers(again) != "0 0 80 0" {
		t.Errorf("again: %s", numbers(again))
	}
}

func TestCollectedDaysInOrder(t *testing.T) {
	f := newFixture(t)
	f.load(t, fromCollected(t, "ancira-2021-08-28.csv"))
	if r := f.load(t, fromCollected(t, "ancira-2021-08-30.csv")); r.Created != 31 {
		t.Errorf("second day: %s", numbers(r))
	}
}

func TestWarningsAreCountedByKind(t *testing.T) {
	f := newFixture(t)
	var b strings.Builder
	b.WriteString("VIN,Price,Dealer\n")
	for i, vin := range manyVINs(30) {
		fmt.Fprintf(&b, "%s,cheap %c,Store\n", vin, 'a'+i%26)
	}
	r := f.load(t, fromText("a.csv", b.String()))
	if len(r.WarningKinds) != 1 || r.WarningKinds[0].Count != 30 || r.Warnings != 30 || r.WarningKinds[0].Example.Line != 2 {
		t.Errorf("%d warnings: %+v", r.Warnings, r.WarningKinds)
	}
}

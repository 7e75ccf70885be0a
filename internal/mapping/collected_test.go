package mapping

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sheet"
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

type mapped struct {
	changes []vehicle.Change
	notes   []Problem
	faults  []Problem
	format  sheet.Format
}

func mapAll(t testing.TB, r io.Reader, name string) mapped {
	t.Helper()
	return mapAllWith(t, r, name, Options{})
}

func mapAllWith(t testing.TB, r io.Reader, name string, o Options) mapped {
	t.Helper()
	rd, err := sheet.NewReader(r, name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(rd.Header, rd.Sample(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out mapped
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			out.format = rd.Format()
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		c, notes, fault := m.Map(testCleaner, row)
		out.notes = append(out.notes, notes...)
		if fault != nil {
			out.faults = append(out.faults, *fault)
			continue
		}
		out.changes = append(out.changes, c)
	}
}

func (m mapped) vins() map[string]vehicle.Change {
	out := map[string]vehicle.Change{}
	for _, c := range m.changes {
		out[c.VIN] = c
	}
	return out
}

func TestCollectedFilesAreReadWhole(t *testing.T) {
	tests := []struct {
		name                string
		rows, vins, refused int
	}{
		{"ancira-2021-08-28.csv", 419, 419, 0},
		{"ancira-2021-08-30.csv", 409, 409, 0},
		{"toyota-tundra-2023-07-13.csv", 8596, 8595, 0},
		{"toyota-bz4x-2023-07-13.csv", 2352, 2352, 0},
		{"toyota-mirai-2023-04-27-oldschema.csv", 814, 813, 0},
		{"toyota-mirai-2023-07-10.csv", 460, 459, 0},
		{"vauto-single-row.csv", 1, 1, 0},
		{"us-auction-listings-a.csv", 1249, 1246, 1}, // a serial from before 1981
		{"derived/vauto-34col.csv", 80, 80, 0},
		{"derived/homenet-comma.csv", 80, 80, 0},
		{"derived/custom-dirty-pipe.txt", 60, 56, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mapAll(t, openCollected(t, tt.name), tt.name)
			if len(got.changes) != tt.rows || len(got.vins()) != tt.vins || len(got.faults) != tt.refused {
				t.Errorf("%d rows, %d vehicles, %d refused, want %d, %d, %d", len(got.changes), len(got.vins()), len(got.faults), tt.rows, tt.vins, tt.refused)
				for i, f := range got.faults {
					if i < 10 {
						t.Log(f)
					}
				}
			}
		})
	}
}

func TestCollectedLeads(t *testing.T) {
	got := mapAllWith(t, openCollected(t, "derived/elead-opportunities-flat.csv"), "a.csv", Options{Type: TypeElead})
	if len(got.changes) != 46 || len(got.vins()) != 30 || len(got.faults) != 14 {
		t.Errorf("%d rows, %d vehicles, %d left out", len(got.changes), len(got.vins()), len(got.faults))
	}
	for _, f := range got.faults {
		if !f.Skipped {
			t.Errorf("%+v", f)
		}
	}
	for _, c := range got.changes {
		if c.Present.Has(vehicle.Status) || c.Present.Has(vehicle.Price) || c.Present.Has(vehicle.Mileage) {
			t.Errorf("line %d: %v", c.Line, c.Present.Names())
		}
	}
}

func TestCollectedAuctions(t *testing.T) {
	got := mapAll(t, openCollected(t, "us-auction-listings-a.csv"), "a.csv")
	free, far := 0, 0
	for _, c := range got.changes {
		if c.Values[vehicle.Price] == "" {
			free++
		}
		if c.Values[vehicle.Mileage] == "" {
			far++
		}
		if c.VIN != strings.ToUpper(c.VIN) || len(c.VIN) != 17 {
			t.Errorf("line %d: VIN %q", c.Line, c.VIN)
		}
	}
	if free != 43 || far != 1 {
		t.Errorf("%d without a price, %d without a mileage", free, far)
	}
	if len(got.faults) != 1 || got.faults[0].Reason != "no VIN: has 13 characters, not 17" {
		t.Errorf("%+v", got.faults)
	}
}

func TestCollectedColoursHaveNoOddBlanks(t *testing.T) {
	got := mapAll(t, openCollected(t, "toyota-bz4x-2023-07-13.csv"), "a.csv")
	for _, c := range got.changes {
		if strings.ContainsRune(c.Values[vehicle.ExteriorColor], '\u00a0') || strings.Contains(c.Values[vehicle.ExteriorColor], "  ") {
			t.Errorf("line %d: %q", c.Line, c.Values[vehicle.ExteriorColor])
		}
	}
}

// The vendors' own types read their files as the union does.
func TestCollectedTypes(t *testing.T) {
	for name, kind := range map[string]string{"derived/vauto-34col.csv": TypeVAuto, "vauto-single-row.csv": TypeVAuto, "derived/homenet-comma.csv": TypeHomeNet, "derived/custom-dirty-pipe.txt": TypeCustom} {
		t.Run(kind, func(t *testing.T) {
			typed := mapAllWith(t, openCollected(t, name), name, Options{Type: kind})
			if d := cmp.Diff(mapAll(t, openCollected(t, name), name).vins(), typed.vins(), cmp.AllowUnexported(vehicle.Change{})); d != "" {
				t.Error(d)
			}
		})
	}
}

type expected struct {
	Row, Record   int
	VIN           string
	StockNumber   string  `json:"stock_number"`
	Year          int     `json:"year"`
	Make          string  `json:"make"`
	Model         string  `json:"model"`
	Trim          *string `json:"trim"`
	Mileage       int     `json:"mileage"`
	Miles         int     `json:"mileage_miles"`
	Price         *int    `json:"price"`
	ExteriorColor *string `json:"exterior_color"`
	InteriorColor *string `json:"interior_color"`
	Condition     string  `json:"condition"`
	Certified     *bool   `json:"certified"`
	DateInStock   string  `json:"date_in_stock"`
	PhotoCount    int     `json:"photo_count"`
	OptionCount   int     `json:"option_count"`
	DealerName    string  `json:"dealer_name"`
	Accept        *bool   `json:"accept"`
	Issue         *string `json:"issue"`
}

func readExpected(t *testing.T, name string) []expected {
	t.Helper()
	d := json.NewDecoder(openCollected(t, name))
	var out []expected
	for {
		var e expected
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
}

func TestCollectedValuesHold(t *testing.T) {
	for _, name := range []string{"derived/vauto-34col", "derived/homenet-comma"} {
		t.Run(name, func(t *testing.T) {
			got := mapAll(t, openCollected(t, name+".csv"), name)
			want := readExpected(t, name+".expected.jsonl")
			if len(got.changes) != len(want) {
				t.Fatalf("%d rows, want %d", len(got.changes), len(want))
			}
			for i, w := range want {
				compare(t, w, &got.changes[i])
			}
		})
	}
}

func compare(t *testing.T, w expected, c *vehicle.Change) {
	t.Helper()
	v := &c.Values
	options := len(listOf(t, v[vehicle.OptionList])) + len(listOf(t, v[vehicle.Features]))
	checks := []struct{ what, got, want string }{
		{"VIN", c.VIN, w.VIN},
		{"stock number", v[vehicle.StockNumber], w.StockNumber},
		{"year", v[vehicle.Year], strconv.Itoa(w.Year)},
		{"make", v[vehicle.Make], w.Make},
		{"model", v[vehicle.Model], w.Model},
		{"trim", v[vehicle.Trim], orEmpty(w.Trim)},
		{"mileage", v[vehicle.Mileage], strconv.Itoa(w.Mileage)},
		{"price", v[vehicle.Price], amount(w.Price)},
		{"exterior colour", v[vehicle.ExteriorColor], orEmpty(w.ExteriorColor)},
		{"interior colour", v[vehicle.InteriorColor], orEmpty(w.InteriorColor)},
		{"condition", v[vehicle.Condition], w.Condition},
		{"certified", v[vehicle.Certified], strconv.FormatBool(*w.Certified)},
		{"date in stock", v[vehicle.DateInStock], w.DateInStock},
		{"photos", strconv.Itoa(len(listOf(t, v[vehicle.Photos]))), strconv.Itoa(w.PhotoCount)},
		{"options", strconv.Itoa(options), strconv.Itoa(w.OptionCount)},
		{"dealer", v[vehicle.SourceDealerName], w.DealerName},
	}
	for _, check := range checks {
		if check.got != check.want {
			t.Errorf("line %d: %s %q, want %q", c.Line, check.what, check.got, check.want)
		}
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func amount(dollars *int) string {
	if dollars == nil {
		return ""
	}
	return strconv.Itoa(*dollars) + ".00"
}

// Every defect of the dirty file is met as its list says.
func TestCollectedDefects(t *testing.T) {
	got := mapAll(t, openCollected(t, "derived/custom-dirty-pipe.txt"), "custom-dirty-pipe.txt")
	if got.format.Charset != sheet.Charset1252 || got.format.Delimiter != '|' {
		t.Errorf("format %+v", got.format)
	}
	warned := map[int]bool{}
	for _, n := range got.notes {
		warned[n.Line] = true
	}
	doubted := map[string]bool{"check digit wrong": true, "two-digit year": true, "row two fields short": true} // others are read without doubt, or refused
	byLine := map[int]*vehicle.Change{}
	for i := range got.changes {
		byLine[got.changes[i].Line] = &got.changes[i]
	}
	for _, w := range readExpected(t, "derived/custom-dirty-pipe.expected.jsonl") {
		c := byLine[w.Record+1]
		if accepted := c != nil; w.Accept != nil && accepted != *w.Accept {
			t.Errorf("record %d (%s): accepted %v", w.Record, orEmpty(w.Issue), accepted)
			continue
		}
		if c == nil {
			continue
		}
		if warned[c.Line] != doubted[orEmpty(w.Issue)] {
			t.Errorf("record %d (%s): warned %v", w.Record, orEmpty(w.Issue), warned[c.Line])
		}
		v := &c.Values
		if c.VIN != w.VIN || v[vehicle.Price] != amount(w.Price) || v[vehicle.Year] != strconv.Itoa(w.Year) || v[vehicle.ExteriorColor] != orEmpty(w.ExteriorColor) ||
			v[vehicle.StockNumber] != w.StockNumber {
			t.Errorf("record %d (%s): %s %s %s %q %s", w.Record, orEmpty(w.Issue), c.VIN, v[vehicle.Price], v[vehicle.Year], v[vehicle.ExteriorColor], v[vehicle.StockNumber])
		}
		miles, _ := strconv.ParseFloat(v[vehicle.Mileage], 64)
		if v[vehicle.MileageUnit] == "km" {
			miles /= 1.609344
		}
		if diff := miles - float64(w.Miles); diff > 1 || diff < -1 {
			t.Errorf("record %d (%s): %s %s, want %d miles", w.Record, orEmpty(w.Issue), v[vehicle.Mileage], v[vehicle.MileageUnit], w.Miles)
		}
	}
}

func listOf(t *testing.T, canonical string) (out []string) {
	t.Helper()
	if canonical == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(canonical), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

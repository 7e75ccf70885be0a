package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
)

func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func previewOf(t *testing.T, text string, o Options, rows int) Preview {
	t.Helper()
	p, err := PreviewFile(opener(text), "a.csv", o, testCleaner, rows)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func columnNamed(t *testing.T, p Preview, name string) PreviewColumn {
	t.Helper()
	for _, c := range p.Columns {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no column %q", name)
	return PreviewColumn{}
}

func TestPreviewShowsWhatBecomesOfColumns(t *testing.T) {
	text := "VIN,Price,Web Special,Lot Row,Photos,Photos_2,Memo,Exterior Base Color,\n" +
		"1FTFW1E84NFA10001,\"$45,995\",44000,7,12,,a,Red,1\n" +
		"2HGFE2F52PH500002,0,cheap,7,14,,b,Blue,2\n" +
		"5N1AT3BA5MC70000,N/A,43000,,15,,c,Red,3\n"
	p := previewOf(t, text, Options{Own: map[string]string{"web special": "internet_price", "Lot Row": "custom.row", "Memo": ""}}, 2)
	got := map[string]string{}
	for _, c := range p.Columns {
		got[c.Name] = fmt.Sprintf("%s %v %s %d/%d %q", c.Target, c.Also, c.Why, c.Dropped, c.Filled, c.Samples)
	}
	want := map[string]string{
		"VIN":                 `vin [] default 1/3 ["1FTFW1E84NFA10001" "2HGFE2F52PH500002" "5N1AT3BA5MC70000"]`,
		"Price":               `price [] default 2/3 ["$45,995" "0" "N/A"]`,
		"Web Special":         `internet_price [] own 1/3 ["44000" "cheap" "43000"]`,
		"Lot Row":             `custom.row [] own 0/2 ["7"]`,
		"Photos":              `photo_count [] default 0/3 ["12" "14" "15"]`,
		"Photos_2":            `photos [] default 0/0 []`,
		"Memo":                ` [] own 3/3 ["a" "b" "c"]`,
		"Exterior Base Color": `exterior_color [exterior_color_generic] default 0/3 ["Red" "Blue"]`,
		"":                    ` [] none 3/3 ["1" "2" "3"]`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p.RowsRead != 3 || !p.Whole || p.Fault != "" || len(p.Rows) != 2 {
		t.Errorf("%d rows, whole %v, %q, %d shown", p.RowsRead, p.Whole, p.Fault, len(p.Rows))
	}
	row, err := json.Marshal(p.Rows[1])
	if err != nil {
		t.Fatal(err)
	}
	wantRow := `{"Line":3,"Outcome":"used","Before":{"Exterior Base Color":"Blue","Lot Row":"7","Memo":"b","Photos":"14","Photos_2":"","Price":"0","VIN":"2HGFE2F52PH500002","Web Special":"cheap"},` +
		`"After":{"vin":"2HGFE2F52PH500002","exterior_color":"Blue","exterior_color_generic":"Blue","price":null,"internet_price":null,"photos":[],"photo_count":14,"custom":{"row":"7"}},` +
		`"Problems":[{"Column":"Web Special","Value":"cheap","Reason":"\"cheap\" is no amount"}]}`
	if d := cmp.Diff(wantRow, string(row)); d != "" {
		t.Error(d)
	}
}

func TestPreviewTellsOutcomesApart(t *testing.T) {
	text := "uptype,vin,make\nPhone,1FTFW1E84NFA10001,Ford\nPhone,,\nPhone,7,Kia\n"
	p := previewOf(t, text, Options{Type: TypeElead}, 10)
	var got []string
	for _, r := range p.Rows {
		got = append(got, r.Outcome)
	}
	if d := cmp.Diff([]string{RowUsed, RowSkipped, RowRefused}, got); d != "" {
		t.Error(d)
	}
}

// A row with a comma too many is shown as it is, and its cells, which may belong to other columns, count for none.
func TestPreviewShowsRowsOfTheWrongLength(t *testing.T) {
	p := previewOf(t, "VIN,Price\n1FTFW1E84NFA10001,100,left over\n1FTFW1E84NFA10002,200\n", Options{}, 10)
	if len(p.Rows) != 2 || p.Rows[0].Outcome != RowRefused || p.Rows[1].Outcome != RowUsed {
		t.Fatalf("%+v", p.Rows)
	}
	if d := cmp.Diff(map[string]string{"VIN": "1FTFW1E84NFA10001", "Price": "100"}, p.Rows[0].Before); d != "" {
		t.Error(d)
	}
	if c := p.Columns[1]; c.Filled != 1 || !cmp.Equal(c.Samples, []string{"200"}) {
		t.Errorf("%+v", c)
	}
}

func TestPreviewOfAFileWithoutVINs(t *testing.T) {
	p := previewOf(t, "Price,Reference\n1,a\n", Options{}, 5)
	if p.Fault == "" || len(p.Rows) != 1 || p.Rows[0].Outcome != RowRefused || len(p.Columns) != 2 {
		t.Errorf("%+v", p)
	}
	if _, err := PreviewFile(opener(""), "a.csv", Options{}, testCleaner, 5); errs.CodeOf(err) != "file_empty" {
		t.Error(err)
	}
	if _, err := PreviewFile(func() (io.ReadCloser, error) { return nil, os.ErrNotExist }, "a.csv", Options{}, testCleaner, 5); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A column by its name and values, beside a VIN and a price, and what is suggested for it.
func TestSuggestions(t *testing.T) {
	tests := []struct {
		name, values string // values separated by ;
		want         string
	}{
		{"Price", "100;200", "price"},
		{"Asking Pirce", "100;200", "price"},
		{"Millage", "100;200", "mileage"},
		{"Internet Special Price", "$100;$200", "internet_price"},
		{"Ext Clr", "A;B", "exterior_color"},
		{"Veh Make", "A;B", "make"},
		{"Kennung", "1FTFW1E84NFA10001;2HGFE2F52PH500002", "vin"},
		{"Stock Number", "1FTFW1E84NFA10001;2HGFE2F52PH500002", "vin"},
		{"A1", "2019;2021", "year"},
		{"A1", "Ford;chevy;KIA", "make"},
		{"A1", "4D SuperCrew;Sport Utility", "body_style"},
		{"A1", "N;U", "condition"},
		{"A1", "55,738 mi;12 mi", "mileage"},
		{"A1", "$1,200;€ 900", "price"},
		{"A1", "Oxford White;Ruby Red", "exterior_color"},
		{"Interior Finish", "Black;Tan", "interior_color"},
		{"A1", "05/19/2021;2021-05-20", "date_in_stock"},
		{"A1", "https://x.example.com/1.jpg;https://x.example.com/2.jpg|https://x.example.com/3.jpg", "photos"},
		{"A1", "https://x.example.com/cars/1;https://x.example.com/cars/2", "vdp_url"},
		{"Photos", "12;14", "photo_count"},
		{"Photos", "https://x.example.com/1.jpg", "photos"},
		{"vehicle_type", "new;used", ""},
		{"vehicle_type", "car_truck;car_truck", ""},
		{"Condition", "22 hours left", ""},
		{"Year", "soon;later", ""},
		{"Age", "12;14", ""},
		{"State", "TX;AZ", ""},
		{"Dealer State", "TX;AZ", ""},
		{"Hold Status", "Available;DealerHold", ""},
		{"maxMileage", "12000;14000", ""},
		{"priceTo", "$12000;$14000", ""},
		{"Trade-In VIN", "1FTFW1E84NFA10001", ""},
		{"FLOORPLANAMOUNT", "", ""},
		{"Misc Price4", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.values, func(t *testing.T) {
			text := "VIN\t" + tt.name + "\n"
			for v := range strings.SplitSeq(tt.values, ";") {
				text += "4T1G11AK2LU300004\t" + v + "\n"
			}
			got := columnNamed(t, previewOf(t, text, Options{}, 0), tt.name).Suggestion
			switch {
			case got == nil && tt.want != "" || got != nil && got.Field != tt.want:
				t.Errorf("%+v, want %q", got, tt.want)
			case got != nil && (got.Score < leastScore || got.Score > 1 || got.Reason == ""):
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestATakenFieldIsSuggestedLess(t *testing.T) {
	p := previewOf(t, "VIN,Price,Figure\n1FTFW1E84NFA10001,100,$90\n", Options{}, 0)
	free := previewOf(t, "VIN,Figure\n1FTFW1E84NFA10001,$90\n", Options{}, 0)
	if a, b := columnNamed(t, p, "Figure").Suggestion, columnNamed(t, free, "Figure").Suggestion; a != nil || b == nil {
		t.Errorf("%+v beside a price, %+v without", a, b)
	}
}

// endless is a file of rows without end.
type endless struct {
	head, rest string
	rows       int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.head == "" {
		e.head, e.rows = e.rest, e.rows+1
	}
	n := copy(p, e.head)
	e.head = e.head[n:]
	return n, nil
}

func (e *endless) Close() error { return nil }

func TestPreviewLooksAtSoMuch(t *testing.T) {
	for what, file := range map[string]*endless{
		"rows":      {head: "VIN,Price\n", rest: "1FTFW1E84NFA10001,100\n"},
		"long rows": {head: "VIN,Description\n", rest: "1FTFW1E84NFA10001," + strings.Repeat("x", 900_000) + "\n"},
		"one cell":  {head: "VIN,Description\n1FTFW1E84NFA10001,1\n", rest: strings.Repeat("x", 1<<20)},
	} {
		t.Run(what, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			p, err := PreviewFile(func() (io.ReadCloser, error) { return file, nil }, "a.csv", Options{}, testCleaner, 100)
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if p.Whole || p.RowsRead > previewRows || p.RowsRead == 0 {
				t.Errorf("%d rows, whole %v", p.RowsRead, p.Whole)
			}
			if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
				t.Errorf("%d bytes kept", kept)
			}
			runtime.KeepAlive(p)
		})
	}
}

func FuzzPreview(f *testing.F) {
	f.Add("VIN,Price\n1FTFW1E84NFA10001,1\n", "Price", "msrp")
	f.Add("a|b\n1|2\n", "b", "vin")
	f.Add("uptype;vin\nx;\n", "uptype", "custom.x")
	f.Fuzz(func(t *testing.T, text, column, to string) {
		for _, kind := range []string{"", TypeVAuto, TypeElead} {
			p, err := PreviewFile(opener(text), "a.csv", Options{Type: kind, Own: map[string]string{column: to}}, testCleaner, 3)
			if err != nil {
				continue
			}
			if _, err := json.Marshal(p); err != nil {
				t.Fatal(err)
			}
			for _, c := range p.Columns {
				if c.Dropped > c.Filled || c.Filled > p.RowsRead || c.Suggestion != nil && (c.Suggestion.Score > 1 || c.Suggestion.Score < leastScore) {
					t.Fatalf("%+v of %d rows", c, p.RowsRead)
				}
			}
		}
	})
}

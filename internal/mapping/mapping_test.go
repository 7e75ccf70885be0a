package mapping

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
)

// mapOne maps one row written as column=value pairs.
func mapOne(t *testing.T, pairs ...string) (map[string]string, []Problem) {
	t.Helper()
	header, cells := []string{"VIN"}, []string{"1FTFW1E84NFA10001"}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		header, cells = append(header, name), append(cells, value)
	}
	m, err := New(header, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	change, notes, fault := m.Map(testCleaner, sheet.Row{Line: 2, Cells: cells})
	if fault != nil {
		t.Fatal(fault)
	}
	got := map[string]string{}
	for f := range vehicle.NumFields {
		if change.Present.Has(f) {
			got[f.String()] = change.Values[f]
		}
	}
	return got, notes
}

func TestColumnsFeedTheirFields(t *testing.T) {
	tests := []struct {
		name  string
		row   []string
		want  map[string]string
		notes int
	}{
		{"first that holds a value wins", []string{"Price=", "Asking Price=100", "List Price=-1", "Final Price=7"},
			map[string]string{"price": "100.00"}, 0},
		{"all empty empties", []string{"Price=", "Color="}, map[string]string{"price": "", "exterior_color": ""}, 0},
		{"absent says nothing", []string{"Age=3"}, map[string]string{}, 0},
		{"a better value spares the note", []string{"List Price=cheap", "Price=90"}, map[string]string{"price": "90.00"}, 0},
		{"lost value is noted", []string{"Price=cheap"}, map[string]string{"price": ""}, 1},
		{"photos that are a number are a count", []string{"Photos=23"}, map[string]string{"photo_count": "23"}, 0},
		{"photos without an address are no count", []string{"Photos=12 photos"}, map[string]string{}, 0},
		{"the address of a photo is no count", []string{"Photos=//cdn.example.com/1234/5.jpg"}, map[string]string{}, 0},
		{"photos are counted, not their names' digits", []string{"Photos=https://x.example.com/4711.jpg"}, map[string]string{"photos": `["https://x.example.com/4711.jpg"]`, "photo_count": "1"}, 0},
		{"numbered photos", []string{"Image 2=https://x.example.com/2.jpg", "Image 1=https://x.example.com/1.jpg", "Photo_URL_3="},
			map[string]string{"photos": `["https://x.example.com/2.jpg","https://x.example.com/1.jpg"]`, "photo_count": "2"}, 0},
		{"Meta's flattened photos", []string{"image[0].url=https://x.example.com/1.jpg", "image[0].tag[0]=front"},
			map[string]string{"photos": `["https://x.example.com/1.jpg"]`, "photo_count": "1"}, 0},
		{"price of the pricing report", []string{"Price / % Mkt=$23,995 / 98%"}, map[string]string{"price": "23995.00"}, 0},
		{"kilometres by the column's name", []string{"Kms=1000"}, map[string]string{"mileage": "1000", "mileage_unit": "km"}, 0},
		{"kilometres by the value", []string{"Mileage=1,000 km"}, map[string]string{"mileage": "1000", "mileage_unit": "km"}, 0},
		{"a class is no condition and no body", []string{"vehicle_type=car_truck", "state_of_vehicle=CPO"},
			map[string]string{"condition": "used", "certified": "true"}, 0},
		{"a car is of any body", []string{"vehicle_type=Car", "body=Coupe"}, map[string]string{"body_style": "Coupe"}, 0},
		{"and no body alone", []string{"vehicle_type=Car"}, map[string]string{}, 0},
		{"whatever the order of columns", []string{"Drivetrain=4x2", "Body=Sedan"}, map[string]string{"drivetrain": "fwd", "body_style": "Sedan"}, 0},
		{"passenger vans by their model", []string{"Body=Passenger Van", "Model=Sienna"}, map[string]string{"model": "Sienna", "body_style": "Minivan"}, 0},
		{"vehicle type with a body", []string{"vehicle_type=Sport Utility"}, map[string]string{"body_style": "SUV"}, 0},
		{"time left is no condition", []string{"condition=22 hours left"}, map[string]string{"condition": ""}, 1},
		{"a title is rarely a condition", []string{"title=2017 Ford F-150"}, map[string]string{}, 0},
		{"certified wins over its absence", []string{"Certified=", "New/Used=CPO"}, map[string]string{"certified": "true", "condition": "used"}, 0},
		{"not certified", []string{"Certified="}, map[string]string{"certified": "false"}, 0},
		{"lead status is no car's", []string{"Status=Sold", "upType=Internet"}, map[string]string{}, 0},
		{"shipping status is no status", []string{"Shipping Status=At dealer", "Hold Status=Available"}, map[string]string{}, 0},
		{"manufacturer's list", []string{"Base MSRP=46700", "Dealer Price=46700.0", "Markup=0.0"}, map[string]string{"msrp": "46700.00", "price": "46700.00"}, 0},
		{"long colour before the base colour", []string{"Exterior Base Color=Red", "Color=Soul Red Crystal"},
			map[string]string{"exterior_color": "Soul Red Crystal", "exterior_color_generic": "Red"}, 0},
		{"wishes of a customer are left alone", []string{"maxMileage=1000", "priceFrom=1", "priceTo=2"}, map[string]string{}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, notes := mapOne(t, tt.row...)
			if u, ok := got["mileage_unit"]; ok && u == "" {
				delete(got, "mileage_unit")
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if len(notes) != tt.notes {
				t.Errorf("notes: %v", notes)
			}
		})
	}
}

func TestVINColumnIsFoundByItsValues(t *testing.T) {
	m, err := New([]string{"Number", "Price"}, [][]string{{"1FTFW1E84NFA10001", "1"}, {"2HGFE2F52PH500002", "2"}}, Options{})
	if err != nil || len(m.Notes) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
	_, err = New([]string{"Number", "Price"}, [][]string{{"1", "1"}}, Options{})
	if errs.CodeOf(err) != "vin_column_missing" || !strings.Contains(err.Error(), `"Number", "Price"`) {
		t.Error(err)
	}
}

func TestColumnNamedByAVINIsNotTakenForTheVIN(t *testing.T) {
	_, err := New([]string{"WVWZZZ1KZAW000001", "Price"}, [][]string{{"1FTFW1E84NFA10001", "1"}, {"2HGFE2F52PH500002", "2"}}, Options{})
	if errs.CodeOf(err) != "vin_column_missing" {
		t.Error(err)
	}
}

// Whatever the bytes, reading ends, and every row is either mapped or has a reason.
func FuzzMap(f *testing.F) {
	f.Add([]byte("VIN,Price\n1FTFW1E84NFA10001,1\n"), "a.csv")
	f.Add([]byte("\xff\xfeV\x00I\x00N\x00,\x00a\x00\n\x00"), "a.tsv")
	f.Add([]byte("vin|a\r\"x\r1|2"), "a.txt")
	f.Fuzz(func(t *testing.T, file []byte, name string) {
		rd, err := sheet.NewReader(strings.NewReader(string(file)), name)
		if err != nil {
			return
		}
		m, err := New(rd.Header, rd.Sample(), Options{})
		if err != nil {
			return
		}
		last := 0
		for {
			row, err := rd.Next()
			if err != nil {
				return
			}
			if row.Line <= last || row.Fault == "" && len(row.Cells) != len(rd.Header) {
				t.Fatalf("line %d after %d, %d cells", row.Line, last, len(row.Cells))
			}
			last = row.Line
			if change, _, fault := m.Map(testCleaner, row); fault == nil && len(change.VIN) != 17 {
				t.Fatalf("VIN %q", change.VIN)
			}
		}
	})
}

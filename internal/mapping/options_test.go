package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
)

// mapWith maps one row written as column=value pairs by the options.
func mapWith(t *testing.T, o Options, pairs ...string) (map[string]string, []Problem, *Problem) {
	t.Helper()
	var header, cells []string
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		header, cells = append(header, name), append(cells, value)
	}
	m, err := New(header, [][]string{cells}, o)
	if err != nil {
		t.Fatal(err)
	}
	change, notes, fault := m.Map(testCleaner, sheet.Row{Line: 2, Cells: cells})
	got := map[string]string{}
	for f := range vehicle.NumFields {
		if change.Present.Has(f) && (f != vehicle.MileageUnit || change.Values[f] != "") {
			got[f.String()] = change.Values[f]
		}
	}
	return got, notes, fault
}

const someVIN = "VIN=1FTFW1E84NFA10001"

func TestOwnMapping(t *testing.T) {
	tests := []struct {
		name  string
		own   map[string]string
		row   []string
		want  map[string]string
		notes int
	}{
		{"wins over the default, by header key", map[string]string{"floor  PRICE": "price"}, []string{someVIN, "Price=1", "Floor_Price=2"}, map[string]string{"price": "2.00"}, 0},
		{"the default is its fall-back", map[string]string{"Floor Price": "price"}, []string{someVIN, "Price=1", "Floor Price="}, map[string]string{"price": "1.00"}, 0},
		{"also when its value is none", map[string]string{"Floor Price": "price"}, []string{someVIN, "Price=1", "Floor Price=cheap"}, map[string]string{"price": "1.00"}, 0},
		{"unless ignored", map[string]string{"Floor Price": "price", "Price": ""}, []string{someVIN, "Price=1", "Floor Price="}, map[string]string{"price": ""}, 0},
		{"ignored alone", map[string]string{"Price": ""}, []string{someVIN, "Price=1"}, map[string]string{}, 0},
		{"takes a column from its default field", map[string]string{"Price": "msrp"}, []string{someVIN, "Price=1"}, map[string]string{"msrp": "1.00"}, 0},
		{"two to one field: the header's order", map[string]string{"B": "price", "A": "price"}, []string{someVIN, "A=", "B=2", "C=3"}, map[string]string{"price": "2.00"}, 0},
		{"two of photos are joined", map[string]string{"Rear": "photos", "Front": "photos"},
			[]string{someVIN, "Front=https://x.example.com/f.jpg", "Rear=https://x.example.com/r.jpg", "Photos=https://x.example.com/p.jpg"},
			map[string]string{"photos": `["https://x.example.com/f.jpg","https://x.example.com/r.jpg"]`, "photo_count": "2"}, 0},
		{"joined photos fall back too", map[string]string{"Rear": "photos", "Front": "photos"}, []string{someVIN, "Front=", "Rear=", "Photos=https://x.example.com/p.jpg"},
			map[string]string{"photos": `["https://x.example.com/p.jpg"]`, "photo_count": "1"}, 0},
		{"custom", map[string]string{"Lot Row": "custom.row", "Key Tag": "custom.key tag", "Memo": "custom.memo"}, []string{someVIN, "Lot Row= 7 ", "Key Tag=N/A", "Memo=", "Floorplan=1"},
			map[string]string{"custom": `{"key tag":"N/A","row":"7"}`}, 0},
		{"custom without values", map[string]string{"Memo": "custom.memo"}, []string{someVIN, "Memo="}, map[string]string{"custom": ""}, 0},
		{"a doubtful name is trusted", map[string]string{"Class": "body_style"}, []string{someVIN, "Class=Boat"}, map[string]string{"body_style": "Other"}, 1},
		{"a field without default columns", map[string]string{"Fee": "doc_fee"}, []string{someVIN, "Fee=$499"}, map[string]string{"doc_fee": "499.00"}, 0},
		{"the VIN", map[string]string{"Chassis Ref": "vin", "VIN": ""}, []string{"VIN=7", "Chassis Ref=1ftfw1e84nfa10001", "Price=1"}, map[string]string{"price": "1.00"}, 0},
		{"the VIN's default is a fall-back", map[string]string{"Ref": "vin"}, []string{"Ref=TBD", someVIN, "Price=1"}, map[string]string{"price": "1.00"}, 0},
		{"what is no field is left out", map[string]string{"Price": "prize"}, []string{someVIN, "Price=1"}, map[string]string{"price": "1.00"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range []string{"", TypeVAuto, TypeHomeNet, TypeCustom} {
				got, notes, fault := mapWith(t, Options{Type: kind, Own: tt.own}, tt.row...)
				if d := cmp.Diff(tt.want, got); d != "" || fault != nil || len(notes) != tt.notes {
					t.Errorf("%q: %s, %v, %v", kind, d, notes, fault)
				}
			}
		})
	}
}

func TestOwnMappingMustLeaveAVIN(t *testing.T) {
	_, err := New([]string{"VIN", "Price"}, [][]string{{"1FTFW1E84NFA10001", "1"}}, Options{Own: map[string]string{"VIN": ""}})
	if errs.CodeOf(err) != "vin_column_missing" {
		t.Error(err)
	}
}

func TestMappingTellsWhatTheFileLacks(t *testing.T) {
	m, err := New([]string{"VIN", "Price", "Memo", "Age"}, nil, Options{Own: map[string]string{"Wholesale": "price", "Memo": "", "Gone": ""}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`the file lacks columns that the mapping names: "Wholesale"`}, m.Notes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"Age"}, m.Unmapped); d != "" {
		t.Error(d)
	}
}

func TestTypesPreferTheirColumns(t *testing.T) {
	row := []string{someVIN, "Price=1", "SellingPrice=2", "Transmission=Manual", "Transmission_Description=6-Speed Automatic", "Miles=10", "Odometer=20", "Option Codes=AB|CD", "Options=Roof|Rack", "Type=Boat"}
	for kind, want := range map[string][5]string{
		"":          {"1.00", "20", "6-Speed Automatic", `["Roof","Rack"]`, "0"},
		TypeCustom:  {"1.00", "20", "6-Speed Automatic", `["Roof","Rack"]`, "0"},
		TypeVAuto:   {"1.00", "20", "Manual", `["AB","CD"]`, "0"},
		TypeHomeNet: {"2.00", "10", "6-Speed Automatic", `["Roof","Rack"]`, "1"}, // its Type is New or Used: anything else is said
	} {
		got, notes, _ := mapWith(t, Options{Type: kind}, row...)
		if d := cmp.Diff(want, [5]string{got["price"], got["mileage"], got["transmission"], got["options"], fmt.Sprint(len(notes))}); d != "" {
			t.Errorf("%q: %s", kind, d)
		}
	}
}

func TestLeadsSayLittleOfAVehicle(t *testing.T) {
	row := func(vin string) []string {
		return []string{"opportunityId=1", "status=Sold", "dealer=North Store", "isNew=false", "yearFrom=2016", "yearTo=2017", "make=Kia", "model=Forte", "trim=LX", "vin=" + vin, "stockNumber=K1",
			"priceFrom=1", "priceTo=2", "maxMileage=3", "Price=4", "Odometer=5", "customerName=X", "photos=https://x.example.com/1.jpg", "image 1=https://x.example.com/1.jpg", "tradeIns.vin=2HGFE2F52PH500002"}
	}
	want := map[string]string{"source_dealer_name": "North Store", "condition": "used", "year": "2016", "make": "Kia", "model": "Forte", "trim": "LX", "stock_number": "K1"}
	got, notes, fault := mapWith(t, Options{Type: TypeElead}, row("1FTFW1E84NFA10001")...)
	if d := cmp.Diff(want, got); d != "" || len(notes) > 0 || fault != nil {
		t.Errorf("%s, %v, %v", d, notes, fault)
	}
	for vin, skipped := range map[string]bool{"": true, "N/A": true, "1FTFW1E84NFA1000": false} {
		if _, _, fault := mapWith(t, Options{Type: TypeElead}, row(vin)...); fault == nil || fault.Skipped != skipped || fault.Reason == "" {
			t.Errorf("%q: %+v", vin, fault)
		}
	}
	if _, _, fault := mapWith(t, Options{}, row("")...); fault == nil || fault.Skipped {
		t.Errorf("outside of Elead: %+v", fault)
	}
	flat := []string{"soughtVehicles.vin=1FTFW1E84NFA10001", "soughtVehicles.make=Ford", "soughtVehicles.maxMileage=1", "tradeIns.make=Kia"}
	if got, _, _ := mapWith(t, Options{Type: TypeElead}, flat...); cmp.Diff(map[string]string{"make": "Ford"}, got) != "" {
		t.Errorf("flattened: %v", got)
	}
	own := Options{Type: TypeElead, Own: map[string]string{"status": "status", "Price": "price"}}
	if got, _, _ := mapWith(t, own, row("1FTFW1E84NFA10001")...); got["status"] != "" || got["price"] != "4.00" {
		t.Errorf("asked for: %v", got)
	}
}

func TestNotationIsAnOption(t *testing.T) {
	row := []string{someVIN, "Price=12.345,00 €", "Inventory Date=28/08/2021"}
	got, notes, _ := mapWith(t, Options{DayFirst: true, DecimalComma: true}, row...)
	if got["price"] != "12345.00" || got["date_in_stock"] != "2021-08-28" || len(notes) > 0 {
		t.Errorf("%v, %v", got, notes)
	}
	got, notes, _ = mapWith(t, Options{}, row...)
	if got["price"] != "" || got["date_in_stock"] != "" || len(notes) != 2 {
		t.Errorf("%v, %v", got, notes)
	}
}

func TestVINs(t *testing.T) {
	got, notes, fault := mapWith(t, Options{}, "VIN=1FTFW1E85NFA10001", "Price=1")
	if fault != nil || got["price"] != "1.00" || len(notes) != 1 || !strings.Contains(notes[0].Reason, "ought to be 4") {
		t.Errorf("wrong check digit: %v, %v", notes, fault)
	}
	if _, notes, fault := mapWith(t, Options{}, "VIN=WVWZZZ1KZAW000001", "Price=1"); fault != nil || len(notes) > 0 {
		t.Errorf("no check digit in Europe: %v, %v", notes, fault)
	}
	if _, notes, fault := mapWith(t, Options{}, "Price=1", "Fahrzeug=WVWZZZ1KZAW000001"); fault != nil || len(notes) > 0 {
		t.Errorf("found by its value: %v, %v", notes, fault)
	}
	if _, notes, fault := mapWith(t, Options{}, "VIN=yes", "Ref=1FTFW1E84NFA10001"); fault != nil || len(notes) > 0 {
		t.Errorf("named VIN, but another holds it: %v, %v", notes, fault)
	}
}

func TestValidateOwn(t *testing.T) {
	text := func(s string) *string { return &s }
	if faults := ValidateOwn(map[string]*string{"A": text("price"), "B": text("vin"), "C": text("custom.lot row"), "D": text(""), "E": nil, "F": text("price")}); faults != nil {
		t.Error(faults)
	}
	long := strings.Repeat("x", 201)
	for _, tt := range []struct {
		own     map[string]*string
		pointer string
		detail  string
	}{
		{map[string]*string{"Price": text("prize")}, "#/mappings/Price", "did you mean price"},
		{map[string]*string{"Price": text("Price")}, "#/mappings/Price", "did you mean price"},
		{map[string]*string{"Price": text("internetprice")}, "#/mappings/Price", "did you mean internet_price"},
		{map[string]*string{"a/b c": text("zzz")}, "#/mappings/a~1b%20c", "is no field"},
		{map[string]*string{"A": text("dealership_id")}, "#/mappings/A", "source_dealer_code"},
		{map[string]*string{"A": text("days_on_lot")}, "#/mappings/A", "is computed"},
		{map[string]*string{"A": text("vin_status")}, "#/mappings/A", "is computed"},
		{map[string]*string{"A": text("custom")}, "#/mappings/A", "custom.<name>"},
		{map[string]*string{"A": text("custom.")}, "#/mappings/A", "must be followed by a name"},
		{map[string]*string{"A": text("custom. x")}, "#/mappings/A", "must be followed by a name"},
		{map[string]*string{"A": text("custom." + long)}, "#/mappings/A", "at most 200"},
		{map[string]*string{long: text("price")}, "#/mappings/" + long, "200 characters"},
		{map[string]*string{"#": text("price"), "": nil}, "#/mappings/", "letter or digit"},
		{map[string]*string{"Stock_No": nil, "stock no": nil}, "#/mappings/stock%20no", `same column as "Stock_No"`},
	} {
		faults := ValidateOwn(tt.own)
		if len(faults) == 0 || faults[0].Pointer != tt.pointer || !strings.Contains(faults[0].Detail, tt.detail) {
			t.Errorf("%v: %v", tt.own, faults)
		}
	}
	many, names := map[string]*string{}, map[string]*string{}
	for i := range 1001 {
		many[fmt.Sprint("c", i)] = text("price")
		if i < 201 {
			names[fmt.Sprint("c", i)] = text(fmt.Sprint("custom.", i))
		}
	}
	if len(ValidateOwn(many)) != 1 || len(ValidateOwn(names)) != 1 {
		t.Errorf("%v; %v", ValidateOwn(many), ValidateOwn(names))
	}
}

func TestAmend(t *testing.T) {
	own := map[string]string{"Price": "msrp", "Stock_No": "stock_number", "Memo": ""}
	changed := "custom.memo"
	got := Amend(own, map[string]*string{"PRICE": nil, "stock no": &changed, "Gone": nil})
	if d := cmp.Diff(map[string]string{"stock no": "custom.memo", "Memo": ""}, got); d != "" {
		t.Error(d)
	}
	if len(own) != 3 || own["Price"] != "msrp" {
		t.Errorf("the mapping it was made of has changed: %v", own)
	}
}

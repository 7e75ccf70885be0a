package vehicle

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"carfluence/internal/money"
)

var testNow = time.Date(2025, 11, 23, 12, 0, 0, 0, time.UTC)

func TestCleanReadsWhatSourcesWrite(t *testing.T) {
	c := Cleaner{Now: testNow}
	for _, row := range []struct {
		field     Field
		raw, want string
		warned    bool
	}{
		{Price, "32999", "32999.00", false}, {Price, "$69,998", "69998.00", false}, {Price, "30597.00", "30597.00", false}, {Price, "$23,995 / 98%", "23995.00", false},
		{Price, "USD 1,234,567.5", "1234567.50", false}, {Price, "0", "", false}, {Price, "-1", "", false}, {Price, "-250", "", true}, {Price, "(250)", "", true},
		{Price, "Call for price", "", false}, {Price, "please ask", "", true}, {Price, "52615.0", "52615.00", false}, {Price, "52615.337", "52615.34", true},
		{Price, "23.995", "", true}, {Price, "12.345,00", "", true}, {Price, "12,5", "", true}, {Price, "99999999999999999999", "", true}, {Price, ".50", "0.50", false}, {Price, "28999.9999", "29000.00", true}, {Price, "10,499.00 USD", "10499.00", false}, {Price, "12.345.678,00", "", true},
		{Price, "$23 995", "23995.00", false}, {Price, "12'345.50", "12345.50", false}, {Price, "23k", "", true}, {Price, "Call 800-555-0100", "", true}, {Price, "(800) 555 0100", "", true}, {Price, "Call us: 555", "", true}, {PhotoCount, "https://a.example/7.jpg", "", true}, {Price, "$1.2 million", "", true}, {Price, "12 34", "12.00", false},
		{Mileage, "65000", "65000", false}, {Mileage, "55,738 mi", "55738", false}, {Mileage, "172250 km", "172250", false}, {Mileage, "0", "0", false},
		{Mileage, "1000000", "", true}, {Mileage, "TMU", "", true}, {Mileage, "12345.0", "12345", false}, {Mileage, "12345.6", "12345", true}, {Mileage, "unknown", "", false},
		{Price, "$23 995", "23995.00", false}, {Price, "1 234 567,50", "", true}, {Price, "1 234 567.50", "1234567.50", false}, {Price, "23\u00a0995", "23995.00", false}, {Price, "23\u2009995", "23995.00", false}, {Price, "23\u202f995 $", "23995.00", false}, {Price, "23'995", "23995.00", false}, {Price, "23’995.–", "23995.00", false},
		{Price, "999,999,999.99", "999999999.99", false}, {Price, "1,000,000,000", "", true}, {Cost, "1000000000.00", "", true}, {Price, "Call 2105551234", "", true}, {Price, "Call 210-555-1234", "", true}, {Price, "0.01", "0.01", false}, {Price, "0.004", "", true}, {Price, "20000-25000", "20000.00", false},
		{Price, "$23 995 / 98%", "23995.00", false}, {Price, "20000 100", "20000.00", false}, {Price, "210 555 1234", "", true}, {Price, "999 98", "999.00", false}, {Price, "23 995,000", "", true}, {Price, "-23 995", "", true}, {Price, "$24K", "", true}, {Price, "23.9 k", "", true}, {Price, "1200 kg", "1200.00", false},
		{Mileage, "45 210 km", "45210", false}, {Mileage, "45’210", "45210", false}, {Mileage, "45K", "", true}, {Mileage, "45k mi", "", true}, {Mileage, "45 k", "", true}, {Mileage, "45km", "45", false}, {Mileage, "45.210", "", true}, {Mileage, "45.210 km", "", true}, {Mileage, "0.000", "0", false}, {Mileage, "1234.567", "1234", true}, {Doors, "4.000", "4", false}, {Year, "2.021", "", true},
		{Year, "2021", "2021", false}, {Year, "21", "2021", true}, {Year, "98", "1998", true}, {Year, "0", "", false}, {Year, "2028", "", true}, {Year, "2027", "2027", false}, {Year, "1850", "", true},
		{Doors, "4dr", "4", false}, {Cylinders, "V6", "6", false}, {Cylinders, "V-8", "8", false}, {Cylinders, "I-4", "4", false}, {Cylinders, "Inline - 6", "6", false}, {Cylinders, "-4", "", true}, {Doors, "x-4", "", true}, {Cylinders, "Electric", "", true}, {CityMPG, "0", "", false}, {HighwayMPG, "32", "32", false},
		{EngineDisplacement, "2.40", "2.4", false}, {EngineDisplacement, "2.5 L", "2.5", false}, {EngineDisplacement, "1998 cc", "2", false}, {EngineDisplacement, "0", "", false}, {EngineDisplacement, "350", "", true},
		{Condition, "N", ConditionNew, false}, {Condition, "Pre-Owned", ConditionUsed, false}, {Condition, "preowned", ConditionUsed, false}, {Condition, "CPO", ConditionUsed, false},
		{Condition, "Certified Pre-Owned", ConditionUsed, false}, {Condition, "Demo", ConditionUsed, false}, {Condition, "true", ConditionNew, false}, {Condition, "0", ConditionUsed, false}, {Condition, "2 days left", "", true},
		{Certified, "", False, false}, {Certified, "No", False, false}, {Certified, "X", True, false}, {Certified, "FordPass Gold", True, false},
		{Disposition, "R", "retail", false}, {Disposition, "CO VEH", "company", false}, {Disposition, "?", "", true},
		{Status, "IN-STOCK", StatusActive, false}, {Status, "Sold", StatusSold, false}, {Status, "WITHDRAWN", StatusSold, false}, {Status, "At dealer", "", true},
		{Drivetrain, "Four Wheel Drive", "4wd", false}, {Drivetrain, "4x4", "4wd", false}, {Drivetrain, "Front-Wheel Drive", "fwd", false}, {Drivetrain, "xDrive", "awd", false}, {Drivetrain, "All Wheel Drive", "awd", false}, {Drivetrain, "RWD", "rwd", false}, {Drivetrain, "4x2", "2wd", false}, {Drivetrain, "Tracks", "", true},
		{FuelType, "Gasoline Fuel", "gasoline", false}, {FuelType, "Plug-In Hybrid", "plugin_hybrid", false}, {FuelType, "Gas/Electric Hybrid", "hybrid", false}, {FuelType, "Flex Fuel Capability", "flex", false}, {FuelType, "BEV", "electric", false}, {FuelType, "Premium Unleaded", "gasoline", false}, {FuelType, "Liquefied Petroleum Gas", "other", false}, {FuelType, "Propane Gas", "other", false}, {FuelType, "LPG", "other", false}, {FuelType, "Natural Gas", "cng", false}, {FuelType, "Other", "other", false}, {FuelType, "Coal", "", true}, {BodyStyle, "Car", "Other", true}, {BodyStyle, "4 Door Car", "Sedan", false},
		{TransmissionType, "8-Speed Automatic with Tiptronic", "automatic", false}, {TransmissionType, "CVT with Xtronic", "cvt", false}, {TransmissionType, "7-Speed DSG", "dual_clutch", false}, {TransmissionType, "8 Speed Paddle Shift with Automatic Modes", "automatic", false}, {TransmissionType, "6-Speed Manual", "manual", false}, {TransmissionType, "dual_clutch", "dual_clutch", false},
		{Make, "Chevy", "Chevrolet", false}, {Make, "VW", "Volkswagen", false}, {Make, "ram", "RAM", false}, {Make, "Infiniti", "INFINITI", false}, {Make, "MERCEDES BENZ", "Mercedes-Benz", false}, {Make, "Heartland", "Heartland", false},
		{DateInStock, "05/19/2021", "2021-05-19", false}, {DateInStock, "2021-05-19T10:11:12Z", "2021-05-19", false}, {DateInStock, "20210519", "2021-05-19", false}, {DateInStock, "1621382400", "2021-05-19", false}, {DateInStock, "1621382400000", "2021-05-19", false},
		{DateInStock, "2021-5-9", "2021-05-09", false}, {DateInStock, "05-19-2021", "2021-05-19", false}, {PhotosUpdatedAt, "2021-05-19T10:11:12.000+0200", "2021-05-19T08:11:12Z", false}, {DateInStock, "01/01/0001 12:00:00 AM", "", true},
		{DateInStock, "19/05/2021", "", true}, {DateInStock, "02/30/2021", "", true}, {DateInStock, "soon", "", true}, {DateInStock, "01/01/2030", "2030-01-01", true},
		{PhotosUpdatedAt, "4/27/2017 7:19:50 AM", "2017-04-27T07:19:50Z", false}, {PhotosUpdatedAt, "2017-04-27T07:19:50+02:00", "2017-04-27T05:19:50Z", false},
		{Model, "  F-150 \u00a0 XL\t", "F-150 XL", false}, {Model, "N/A", "", false}, {ExteriorColor, "Blueprint\u200b Metallic", "Blueprint Metallic", false}, {ExteriorColor, "-1", "", false},
		{Features, "Bluetooth|Moonroof| |Bluetooth", `["Bluetooth","Moonroof"]`, false}, {OptionList, `Comfort@Keyless entry, power~Exterior@18" wheels`, `["Keyless entry, power","18\" wheels"]`, false}, {Features, "ABS, Alarm", `["ABS","Alarm"]`, false}, {Features, "", "", false},
		{Photos, "http://a.example/1.jpg|http://a.example/2.jpg|http://a.example/1.jpg", `["http://a.example/1.jpg","http://a.example/2.jpg"]`, false},
		{Photos, "https://a.example/1.jpg,https://a.example/2.jpg?a=1,2", `["https://a.example/1.jpg","https://a.example/2.jpg?a=1,2"]`, false}, {Photos, "{https://a.example/1.jpg,https://a.example/2.jpg}", `["https://a.example/1.jpg","https://a.example/2.jpg"]`, false}, {Photos, "12", "", true},
		{Photos, "https://a.example/fetch/https://b.example/1.jpg, https://a.example/?src=http://b.example/2.jpg;https://a.example/3.jpg", `["https://a.example/fetch/https://b.example/1.jpg","https://a.example/?src=http://b.example/2.jpg","https://a.example/3.jpg"]`, false}, {Photos, "http://a.example/1.jpghttp://a.example/2.jpg", `["http://a.example/1.jpg","http://a.example/2.jpg"]`, false},
		{VDPURL, "https://dealer.example/car", "https://dealer.example/car", false}, {VDPURL, "javascript:alert(1)", "", true}, {VDPURL, "www.dealer.example", "", true},
		{Photos, "ftp://a.example/1.jpg", "", true}, {Photos, "http://a.example/1,2.jpg http://a.example/2.jpg", `["http://a.example/1,2.jpg","http://a.example/2.jpg"]`, false}, {DateInStock, "4/27/17", "2017-04-27", false},
		{Description, "One  owner.\r\n\r\nCall us. ", "One owner.\n\nCall us.", false},
		{SourceDealerCode, "00412", "00412", false}, {StockNumber, strings.Repeat("9", 41), strings.Repeat("9", 40), true},
		{Custom, `{"b":"2","a":"1"}`, `{"a":"1","b":"2"}`, false}, {Custom, `[1]`, "", true},
	} {
		got, warning := c.Clean(row.field, row.raw)
		if got != row.want || (warning != "") != row.warned {
			t.Errorf("%s %q became %q with warning %q; want %q, warned %v", row.field, row.raw, got, warning, row.want, row.warned)
		}
	}
}

func TestNotationIsASettingOfTheSource(t *testing.T) {
	c := Cleaner{Now: testNow, DayFirst: true, CommaDecimal: true}
	for _, row := range []struct {
		field     Field
		raw, want string
	}{
		{Price, "12.345,50", "12345.50"}, {Price, "12.345,00 €", "12345.00"}, {Price, "12 345,50", "12345.50"}, {Price, "23.995", "23995.00"}, {Price, "12345,5", "12345.50"},
		{EngineDisplacement, "2,5 L", "2.5"}, {Mileage, "123.456 km", "123456"},
		{DateInStock, "28/08/2021", "2021-08-28"}, {DateInStock, "3/4/2021", "2021-04-03"}, {DateInStock, "28.8.2021", "2021-08-28"}, {DateInStock, "28-08-2021", "2021-08-28"}, {DateInStock, "2021-08-28", "2021-08-28"},
	} {
		if got, warning := c.Clean(row.field, row.raw); got != row.want || warning != "" {
			t.Errorf("%s %q became %q, %q; want %q", row.field, row.raw, got, warning, row.want)
		}
	}
}

// The 29 spellings of one dealer group's file, and those of the trade's table.
func TestBodyStyles(t *testing.T) {
	for raw, want := range map[string]string{
		"Sport Utility": "SUV", "4D Sport Utility": "SUV", "SUV": "SUV", "Sports Activity Vehicle": "SUV", "4D Crew Cab": "Truck", "Crew Cab Pickup": "Truck", "Pickup Crew Cab": "Truck",
		"4D SuperCrew": "Truck", "4D CrewMax": "Truck", "4D Extended Cab": "Truck", "2D Standard Cab": "Truck", "Mega Cab": "Truck", "4D Double Cab": "Truck", "4dr Car": "Sedan", "4D Sedan": "Sedan",
		"Sedan": "Sedan", "2dr Car": "Coupe", "2D Coupe": "Coupe", "Convertible": "Convertible", "Cabriolet": "Convertible", "Hatchback": "Hatchback", "4D Hatchback": "Hatchback", "Mini-van, Passenger": "Minivan",
		"4D Passenger Van": "Van", "Minivan": "Minivan", "Station Wagon": "Wagon", "4D Wagon": "Wagon", "Cargo Van": "Van", "Crossover": "Crossover", "Estate": "Wagon", "Saloon": "Sedan", "Boat": "Other",
	} {
		if got, _ := (Cleaner{Now: testNow}).Clean(BodyStyle, raw); got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
}

func TestTransmissions(t *testing.T) {
	for raw, want := range map[string][2]string{
		"Automatic": {"automatic", ""}, "8-Speed Automatic": {"automatic", "8"}, "TorqShift 6-Speed Automatic with Overdrive": {"automatic", "6"}, "9-Speed 948TE Automatic": {"automatic", "9"},
		"Allison 1000 6-Speed Automatic": {"automatic", "6"}, "Auto(A8)": {"automatic", "8"}, "10 Speed Automatic": {"automatic", "10"}, "6 spd manual": {"manual", "6"}, "Variable": {"cvt", ""}, "IVT": {"cvt", ""},
		"Single-Speed": {"single_speed", ""}, "7-Speed PDK": {"dual_clutch", "7"}, "Hydromatic": {"", ""}, "": {"", ""},
	} {
		kind, gears := transmissionOf(strings.ToLower(raw))
		if kind != want[0] || gears != want[1] {
			t.Errorf("%q: %q with %q gears, want %q", raw, kind, gears, want)
		}
	}
}

func TestSetTellsWhatAValueImplies(t *testing.T) {
	for _, row := range []struct {
		what  string
		cells []string // field, raw, …
		want  map[string]string
	}{
		{"certified by condition", []string{"condition", "CPO"}, map[string]string{"condition": "used", "certified": "true"}},
		{"beside an empty column", []string{"condition", "CPO", "certified", ""}, map[string]string{"certified": "true"}},
		{"in either order", []string{"certified", "", "condition", "CPO"}, map[string]string{"certified": "true"}},
		{"but not against a no", []string{"condition", "CPO", "certified", "No"}, map[string]string{"certified": "false"}},
		{"a no before", []string{"certified", "No", "condition", "CPO"}, map[string]string{"certified": "false"}},
		{"a programme", []string{"certified", "Honda HPD"}, map[string]string{"certified": "true", "certified_program": "Honda HPD"}},
		{"a loaner", []string{"condition", "Demo"}, map[string]string{"condition": "used", "disposition": "loaner"}},
		{"kilometres", []string{"mileage", "172250 km"}, map[string]string{"mileage": "172250", "mileage_unit": "km"}},
		{"gears", []string{"transmission", "8-Speed Automatic"}, map[string]string{"transmission_type": "automatic", "gears": "8"}},
		{"gears of their own", []string{"gears", "9", "transmission", "8-Speed Automatic"}, map[string]string{"gears": "9"}},
		{"photos are counted", []string{"photos", "http://a.example/1|http://a.example/2"}, map[string]string{"photo_count": "2"}},
		{"a passenger van of a minivan", []string{"model", "Grand Caravan SE", "body_style", "4D Passenger Van"}, map[string]string{"body_style": "Minivan"}},
		{"a passenger van of another model", []string{"model", "Transit-350", "body_style", "4D Passenger Van"}, map[string]string{"body_style": "Van"}},
		{"a cargo van of a minivan", []string{"model", "Grand Caravan", "body_style", "Cargo Van"}, map[string]string{"body_style": "Van"}},
		{"a 4x2 car", []string{"body_style", "4D Sedan", "drivetrain", "4x2"}, map[string]string{"drivetrain": "fwd"}},
		{"a 4x2 truck", []string{"body_style", "Crew Cab", "drivetrain", "4x2"}, map[string]string{"drivetrain": "2wd"}},
		{"a 4x2 of no body", []string{"drivetrain", "4x2"}, map[string]string{"drivetrain": "2wd"}},
		{"a 2wd car", []string{"body_style", "Sedan", "drivetrain", "2WD"}, map[string]string{"drivetrain": "2wd"}},
		{"no status from an empty cell", []string{"status", ""}, map[string]string{}},
	} {
		var ch Change
		for i := 0; i < len(row.cells); i += 2 {
			f, _ := FieldNamed(row.cells[i])
			if w := (Cleaner{Now: testNow}).Set(&ch, f, row.cells[i+1]); w != "" {
				t.Errorf("%s: warned %q", row.what, w)
			}
		}
		for name, want := range row.want {
			f, _ := FieldNamed(name)
			if !ch.Present.Has(f) || ch.Values[f] != want {
				t.Errorf("%s: %s is %q, present %v; want %q", row.what, name, ch.Values[f], ch.Present.Has(f), want)
			}
		}
		if ch.Present.Has(Status) {
			t.Errorf("%s: a status appeared", row.what)
		}
	}
}

func TestOrderOfColumnsDoesNotMatter(t *testing.T) {
	cells := []struct {
		f   Field
		raw string
	}{{Mileage, "172250 km"}, {MileageUnit, ""}, {Transmission, "8-Speed Automatic"}, {Gears, ""}, {Condition, "CPO"}, {Certified, ""}, {Photos, "http://a.example/1,http://a.example/2"}}
	want := map[Field]string{Mileage: "172250", MileageUnit: "km", TransmissionType: "automatic", Gears: "8", Condition: ConditionUsed, Certified: True, PhotoCount: "2"}
	for _, backward := range []bool{false, true} {
		var ch Change
		for i := range cells {
			if backward {
				i = len(cells) - 1 - i
			}
			Cleaner{Now: testNow}.Set(&ch, cells[i].f, cells[i].raw)
		}
		for f, w := range want {
			if ch.Values[f] != w || !ch.Present.Has(f) {
				t.Errorf("backward %v, %s: %q, want %q", backward, f, ch.Values[f], w)
			}
		}
	}
}

// What comes out is canonical whatever goes in: within limits, valid UTF-8, and the same when cleaned again.
func TestCleanIsCanonical(t *testing.T) {
	c := Cleaner{Now: testNow}
	rapid.Check(t, func(t *rapid.T) {
		f := Field(rapid.IntRange(0, int(NumFields)-1).Draw(t, "field"))
		raw := rapid.OneOf(rapid.String(), rapid.StringMatching(`[-$( ]{0,2}[0-9]{1,11}[.,/ '’]?[0-9]{0,4} ?(k|km|mi|L|%)?`), rapid.StringMatching(`(https?://[a-z]{1,4}\.example/[a-z,|]{0,5}[,| ]){0,3}`), rapid.SampledFrom(append([]string{"-"}, fields[f].words...))).Draw(t, "raw")
		got, _ := c.Clean(f, raw)
		if !utf8.ValidString(got) {
			t.Fatalf("%s %q became %q", f, raw, got)
		}
		if got != "" {
			checkCanonical(t, f, got)
		}
		if again, warning := c.Clean(f, got); again != got && f != Certified {
			t.Fatalf("%s %q became %q, then %q (%s)", f, raw, got, again, warning)
		}
	})
}

func checkCanonical(t *rapid.T, f Field, got string) {
	var v any
	switch fields[f].kind {
	case Int, Bool, Decimal, List, Map:
		if err := json.Unmarshal([]byte(got), &v); err != nil {
			t.Fatalf("%s: %q is no JSON", f, got)
		}
	case Enum:
		if !f.hasWord(got) {
			t.Fatalf("%s: %q is no word of its list", f, got)
		}
	case Money:
		if amount, err := money.Parse(got); err != nil || amount.Cents() < fields[f].low || amount.Cents() > f.top() {
			t.Fatalf("%s: %q is out of range", f, got)
		}
	case Text:
		if utf8.RuneCountInString(got) > f.limit() || got != strings.TrimSpace(got) {
			t.Fatalf("%s: %q breaks its limits", f, got)
		}
	}
}

// The rows that changed between two files of one group, two days apart, and how many of them mean a change.
func TestTransmissionsOfTwoDays(t *testing.T) {
	read := func(path string) map[string]string {
		f, err := os.Open(path)
		if err != nil {
			t.Skipf("LEFT OUT: feeds not present: %v", err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, row := range rows[1:] {
			out[row[0]] = row[8]
		}
		return out
	}
	before, after := read("../../../shared/feeds/ancira-2021-08-28.csv"), read("../../../shared/feeds/ancira-2021-08-30.csv")
	texts, meanings := 0, 0
	for vin, old := range before {
		now, still := after[vin]
		if !still || old == now {
			continue
		}
		texts++
		if !Transmission.Same(old, now) {
			meanings++
		}
	}
	if texts != 370 || meanings != 51 {
		t.Errorf("%d of %d changed texts mean a change, want 51 of 370", meanings, texts)
	}
}

func TestFieldTable(t *testing.T) {
	for f := range NumFields {
		s := fields[f]
		if s.name == "" || s.name != strings.ToLower(s.name) {
			t.Errorf("field %d has the name %q", f, s.name)
		}
		if g, ok := FieldNamed(s.name); !ok || g != f {
			t.Errorf("%s is found as field %d", s.name, g)
		}
		if s.example != "" && !json.Valid([]byte(s.example)) {
			t.Errorf("%s: the example is no JSON", f)
		}
		if (s.kind == Enum) != (len(s.words) > 0) || (s.kind == List || s.kind == Map) != (s.items > 0) {
			t.Errorf("%s: words or items don't fit its kind", f)
		}
	}
	var s Fields
	for f := range NumFields {
		s.Add(f)
	}
	if len(s.Names()) != int(NumFields) || FieldsNamed(strings.Join(s.Names(), ",")) != s {
		t.Error("a set does not survive its names")
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"$23,995 / 98%", "172250 km", "1621382400000", "Auto(A8)", `{"a":"b"}`, "http://a.example/1|", "\xff\u200b"} {
		f.Add(uint8(0), s)
	}
	f.Fuzz(func(t *testing.T, n uint8, raw string) {
		field := Field(n) % NumFields
		var ch Change
		_ = Cleaner{Now: testNow}.Set(&ch, field, raw)
		if got := ch.Values[field]; !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Fatalf("%s %q became %q", field, raw, got)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	cells := []struct {
		f   Field
		raw string
	}{{StockNumber, "M106508"}, {Condition, "U"}, {Year, "2015"}, {Make, "Mercedes-Benz"}, {Model, "SLK"}, {BodyStyle, "Convertible"}, {Transmission, "7-Speed Automatic"}, {Trim, "SLK 250"},
		{Mileage, "22,532"}, {ExteriorColor, "White"}, {InteriorColor, "Black"}, {Price, "30998"}, {MSRP, "33475"}, {DateInStock, "05/19/2021"}, {Certified, ""}, {CityMPG, "22"}, {HighwayMPG, "32"},
		{Photos, "http://a.example/1.jpg|http://a.example/2.jpg"}, {Drivetrain, "RWD"}, {FuelType, "Gasoline Fuel"}}
	for name, c := range map[string]Cleaner{"each": {Now: testNow}, "remembering": Cleaner{Now: testNow}.Remembering()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var ch Change
				for _, cell := range cells {
					_ = c.Set(&ch, cell.f, cell.raw)
				}
			}
		})
	}
}

func TestChangeIsWrittenAsInAVehicle(t *testing.T) {
	ch := Change{VIN: "1FTFW1E84NFA10001"}
	for f, raw := range map[Field]string{Year: "2022", Price: "$1", Model: `F "150"`, ExteriorColor: "", Photos: ""} {
		_ = Cleaner{Now: testNow}.Set(&ch, f, raw)
	}
	want := `{"vin":"1FTFW1E84NFA10001","year":2022,"model":"F \"150\"","exterior_color":null,"price":"1.00","photos":[]}`
	if got := string(ch.AppendJSON(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

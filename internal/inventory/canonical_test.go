package inventory

import (
	"strings"
	"testing"
	"time"
)

var cleaner = Cleaner{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}

func TestCleanForgivesFeeds(t *testing.T) {
	const warn = "!" // a warning is expected, after the value
	for _, c := range []struct {
		f         Field
		raw, want string
	}{
		{Price, "$69,998", "69998.00"}, {Price, "30597.00", "30597.00"}, {Price, "10,499.00 USD", "10499.00"}, {Price, "$23,995 / 98%", "23995.00"},
		{Price, "0", ""}, {Price, "-1", ""}, {Price, "Call for price", ""}, {Price, "", ""}, {Price, "-500", "" + warn}, {Price, "12.345.678,00", "" + warn},
		{Price, "28999.9999", "29000.00" + warn}, {Price, "N/A", ""}, {Price, "(500)", "" + warn}, {Price, ".50", "0.50"}, {Price, "99999999999999", "" + warn},
		{Mileage, "55,738 mi", "55738"}, {Mileage, "172250 km", "172250"}, {Mileage, "0", "0"}, {Mileage, "1000001", "" + warn}, {Mileage, "12.0", "12"},
		{Year, "2017", "2017"}, {Year, "21", "2021" + warn}, {Year, "0", ""}, {Year, "1899", "" + warn}, {Year, "2029", "" + warn}, {Cylinders, "V6", "6"},
		{CityMPG, "0", ""}, {Doors, "4D", "4"},
		{EngineDisplacement, "2.40", "2.4"}, {EngineDisplacement, "2.5 L", "2.5"}, {EngineDisplacement, "1998cc", "2"}, {EngineDisplacement, "350", "" + warn},
		{Condition, "N", "new"}, {Condition, "Pre-Owned", "used"}, {Condition, "CPO", "used"}, {Condition, "Certified Pre-Owned", "used"}, {Condition, "car_truck", "" + warn},
		{Certified, "", "false"}, {Certified, "X", "true"}, {Certified, "Honda Certified", "true"}, {Certified, "No", "false"},
		{BodyStyle, "4D Sport Utility", "SUV"}, {BodyStyle, "Sports Activity Vehicle", "SUV"}, {BodyStyle, "4D SuperCrew", "Truck"}, {BodyStyle, "4dr Car", "Sedan"},
		{BodyStyle, "2dr Car", "Coupe"}, {BodyStyle, "Mini-van, Passenger", "Minivan"}, {BodyStyle, "Cargo Van", "Van"}, {BodyStyle, "suv", "SUV"}, {BodyStyle, "blob", "Other" + warn},
		{BodyStyle, "4D CrewMax", "Truck"}, {BodyStyle, "Station Wagon", "Wagon"}, {BodyStyle, "Crossover", "Crossover"}, {BodyStyle, "Other", "Other"},
		{Drivetrain, "4x4", "4wd"}, {Drivetrain, "xDrive", "awd"}, {Drivetrain, "Front Wheel Drive", "fwd"}, {Drivetrain, "2WD", "2wd"}, {Drivetrain, "hover", "" + warn},
		{FuelType, "Gas", "gasoline"}, {FuelType, "Plug-in Hybrid", "plugin_hybrid"}, {FuelType, "Gas/Electric Hybrid", "hybrid"}, {FuelType, "E85", "flex"},
		{Status, "Available", "active"}, {Status, "Sold", "sold"}, {Disposition, "R", "retail"}, {Disposition, "CO VEH", "company"},
		{DateInStock, "04/26/2017", "2017-04-26"}, {DateInStock, "2021-07-24T00:00:00Z", "2021-07-24"}, {DateInStock, "20210724", "2021-07-24"},
		{DateInStock, "1627084800", "2021-07-24"}, {DateInStock, "1627084800000", "2021-07-24"}, {DateInStock, "02/30/2021", "" + warn}, {DateInStock, "soon", "" + warn},
		{DateInStock, "31/12/2020", "" + warn}, {DateInStock, "4/27/17", "2017-04-27"}, {DateInStock, "2031-01-01", "2031-01-01" + warn},
		{PhotosUpdatedAt, "4/27/2017 7:19:50 AM", "2017-04-27T07:19:50Z"}, {PhotosUpdatedAt, "2021-07-24T10:00:00-05:00", "2021-07-24T15:00:00Z"},
		{Photos, "http://a/1.jpg|http://a/2.jpg|http://a/1.jpg", `["http://a/1.jpg","http://a/2.jpg"]`},
		{Photos, "https://a/1,2.jpg,https://a/2.jpg", `["https://a/1,2.jpg","https://a/2.jpg"]`}, {Photos, "{http://a/1,http://a/2}", `["http://a/1","http://a/2"]`},
		{Photos, "ftp://a/1.jpg", "" + warn}, {Photos, "http://a/1.jpg http://a/2.jpg", `["http://a/1.jpg","http://a/2.jpg"]`},
		{Options, "Safety@ABS~Comfort@Seats, heated", `["ABS","Seats, heated"]`}, {Features, "A|B, C|A", `["A","B, C"]`}, {Options, "a, b", `["a","b"]`},
		{ExteriorColor, " Pearl\u00a0 White\u200b ", "Pearl White"}, {Make, "CHEVROLET", "Chevrolet"}, {Make, "VW", "Volkswagen"}, {Make, "Zastava", "Zastava"}, {Model, "Unknown", ""},
		{Description, "one \r\n  two\x00", "one\ntwo"}, {StockNumber, strings.Repeat("é", 41), strings.Repeat("é", 40) + warn},
		{VDPURL, "www.a.com", "" + warn}, {VDPURL, "https://a.com/x", "https://a.com/x"}, {Custom, `{"b":"1","a":"x"}`, `{"a":"x","b":"1"}`},
	} {
		got, warning := cleaner.Clean(c.f, c.raw)
		if warning != "" {
			got += warn
		}
		if got != c.want {
			t.Errorf("%s %q: %q (%s), want %q", c.f, c.raw, got, warning, c.want)
		}
	}
}

func TestTransmissionText(t *testing.T) {
	for text, want := range map[string]string{
		"8-Speed Automatic": "automatic 8", "automatic": "automatic ", "TorqShift 6-Speed Automatic": "automatic 6", "Variable": "cvt ", "CVT with Xtronic": "cvt ",
		"6-Speed Manual": "manual 6", "8 Speed Paddle Shift with Automatic Modes": "automatic 8", "Auto(A8)": "automatic 8", "Automatic (A8)": "automatic 8",
		"7-Speed PowerShift": "dual_clutch 7", "9-Speed 948TE Automatic": "automatic 9", "IVT": "cvt ", "?": " ",
	} {
		kind, gears := transmissionOf(strings.ToLower(text))
		if kind+" "+gears != want {
			t.Errorf("%q: %s %s, want %s", text, kind, gears, want)
		}
	}
}

func TestColumnsTellOfOtherFields(t *testing.T) {
	type cell struct {
		f   Field
		raw string
	}
	cells := []cell{{Mileage, "172250 km"}, {MileageUnit, ""}, {Transmission, "8-Speed Automatic"}, {Condition, "CPO"}, {Certified, ""}, {Photos, "http://a/1,http://a/2"}}
	for name, order := range map[string]func(i int) int{"forward": func(i int) int { return i }, "backward": func(i int) int { return len(cells) - 1 - i }} {
		var c Change
		for i := range cells {
			cell := cells[order(i)]
			cleaner.Set(&c, cell.f, cell.raw)
		}
		for f, want := range map[Field]string{Mileage: "172250", MileageUnit: "km", TransmissionType: "automatic", Gears: "8", Condition: "used", Certified: "true", PhotoCount: "2"} {
			if c.Values[f] != want || !c.Present.Has(f) {
				t.Errorf("%s, %s: %q, want %q", name, f, c.Values[f], want)
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "$1,234.50", "4/27/2017 7:19:50 AM", "http://a|http://b", "a@b~c", `{"a":1}`, "\xff\u00a0", "172250 km"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for field := range NumFields {
			once, _ := cleaner.Clean(field, raw)
			if once == "" || once == False {
				continue
			}
			if again, _ := cleaner.Clean(field, once); field.Kind() != List && field.Kind() != Map && again != once {
				t.Errorf("%s %q: %q, again %q", field, raw, once, again)
			}
		}
	})
}

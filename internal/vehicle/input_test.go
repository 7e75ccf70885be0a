package vehicle

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"carfluence/internal/errs"
)

const goodVIN = "1FTEW1EF8HFA85881"

func readInput(t testing.TB, body string) (Change, []errs.Fault) {
	t.Helper()
	c, err := Read([]byte(body), testNow)
	return c, faultsIn(t, err)
}

func readPatch(t testing.TB, body string) (Change, []errs.Fault) {
	t.Helper()
	c, err := ReadPatch([]byte(body), goodVIN, testNow)
	return c, faultsIn(t, err)
}

func faultsIn(t testing.TB, err error) []errs.Fault {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.KindInvalid || len(e.Faults) == 0 {
		t.Fatalf("not an invalid with faults: %v", err)
	}
	return e.Faults
}

func TestInputIsReadExactly(t *testing.T) {
	for member, want := range map[string]string{
		`"price":"32999.00"`: "32999.00", `"price":32999`: "32999.00", `"price":32999.10`: "32999.10", `"price":0.29`: "0.29", `"price":"0.29"`: "0.29", `"price":3.2999e4`: "32999.00", `"price":1.100`: "1.10",
		`"year":2017`: "2017", `"year":2017.0`: "2017", `"year":2.017e3`: "2017", `"mileage":0`: "0", `"engine_displacement_l":2.50`: "2.5", `"engine_displacement_l":2`: "2",
		`"certified":false`: "false", `"certified":true`: "true", `"body_style":"SUV"`: "SUV", `"date_in_stock":"2024-02-29"`: "2024-02-29", `"photos_updated_at":"2021-08-28T10:00:00.5+02:00"`: "2021-08-28T08:00:00Z",
		`"make":"  Land   Rover "`: "Land Rover", `"model":""`: "", `"trim":null`: "", `"photos":[]`: "", `"photos":["https://a.example/1.jpg"]`: `["https://a.example/1.jpg"]`, `"tags":null`: "", `"custom":{"b":"2","a":"1"}`: `{"a":"1","b":"2"}`,
		`"dealership_id":"0192F0C4-8B7E-7A11-9D7B-3A0000000001"`: "0192f0c4-8b7e-7a11-9d7b-3a0000000001", `"description":"a\r\n b\u0000"`: "a\nb", `"stock_number":"00412"`: "00412", `"vdp_url":"https://a.example/x?y=1"`: "https://a.example/x?y=1",
	} {
		c, faults := readInput(t, `{"vin":"`+goodVIN+`",`+member+`}`)
		name := strings.Split(member, `"`)[1]
		f, _ := FieldNamed(name)
		if len(faults) > 0 || !c.Present.Has(f) || c.Values[f] != want || c.VIN != goodVIN {
			t.Errorf("%s was read as %q (present %v), %v; want %q", member, c.Values[f], c.Present.Has(f), faults, want)
		}
	}
}

func TestInputNamesEveryFault(t *testing.T) {
	for body, want := range map[string]string{
		`{"vin":"1FTEW1EF8HFA8588","year":2017}`:        "#/vin",
		`{"vin":"1FTEW1EF8HFA8588O","year":2017}`:       "#/vin",
		`{"vin":"11111111111111111","year":2017}`:       "#/vin",
		`{"vin":17,"year":2017}`:                        "#/vin",
		`{"vin":null,"year":2017}`:                      "#/vin",
		`{"year":2017}`:                                 "#/vin",
		`{}`:                                            "#/vin",
		`{"vin":"` + goodVIN + `"}`:                     "#",
		`[]`:                                            "#",
		`null`:                                          "#",
		`"x"`:                                           "#",
		`{"vin":"` + goodVIN + `","Price":"1"}`:         "#/Price",
		`{"vin":"` + goodVIN + `","a/b~c":1}`:           "#/a~1b~0c",
		`{"vin":"` + goodVIN + `","é x":1}`:             "#/%C3%A9%20x",
		`{"vin":"` + goodVIN + `","vin_status":1}`:      "#/vin_status",
		`{"vin":"` + goodVIN + `","price":"32999.001"}`: "#/price", `{"vin":"` + goodVIN + `","price":32999.001}`: "#/price", `{"vin":"` + goodVIN + `","price":"$5"}`: "#/price", `{"vin":"` + goodVIN + `","price":-1}`: "#/price",
		`{"vin":"` + goodVIN + `","price":"1e3"}`: "#/price", `{"vin":"` + goodVIN + `","price":0}`: "#/price", `{"vin":"` + goodVIN + `","price":1000000000}`: "#/price", `{"vin":"` + goodVIN + `","price":true}`: "#/price", `{"vin":"` + goodVIN + `","price":[]}`: "#/price", `{"vin":"` + goodVIN + `","price":""}`: "#/price",
		`{"vin":"` + goodVIN + `","year":"2017"}`: "#/year", `{"vin":"` + goodVIN + `","year":2017.5}`: "#/year", `{"vin":"` + goodVIN + `","year":1899}`: "#/year", `{"vin":"` + goodVIN + `","year":2028}`: "#/year", `{"vin":"` + goodVIN + `","year":1e30}`: "#/year",
		`{"vin":"` + goodVIN + `","mileage":-1}`: "#/mileage", `{"vin":"` + goodVIN + `","mileage":1000000}`: "#/mileage", `{"vin":"` + goodVIN + `","condition":"New"}`: "#/condition", `{"vin":"` + goodVIN + `","status":null}`: "#/status", `{"vin":"` + goodVIN + `","status":"gone"}`: "#/status",
		`{"vin":"` + goodVIN + `","certified":"true"}`: "#/certified", `{"vin":"` + goodVIN + `","date_in_stock":"2023-02-29"}`: "#/date_in_stock", `{"vin":"` + goodVIN + `","make":["Ford"]}`: "#/make", `{"vin":"` + goodVIN + `","make":5}`: "#/make",
		`{"vin":"` + goodVIN + `","stock_number":"` + strings.Repeat("é", 41) + `"}`: "#/stock_number", `{"vin":"` + goodVIN + `","engine_displacement_l":10}`: "#/engine_displacement_l", `{"vin":"` + goodVIN + `","engine_displacement_l":"2"}`: "#/engine_displacement_l",
		`{"vin":"` + goodVIN + `","photos":["https://a.example/1","x",7]}`: "#/photos/1 #/photos/2", `{"vin":"` + goodVIN + `","photos":"https://a.example"}`: "#/photos", `{"vin":"` + goodVIN + `","tags":[""]}`: "#/tags/0", `{"vin":"` + goodVIN + `","tags":{}}`: "#/tags",
		`{"vin":"` + goodVIN + `","custom":{"a":1,"b/c":null}}`: "#/custom/a #/custom/b~1c", `{"vin":"` + goodVIN + `","custom":[]}`: "#/custom", `{"vin":"` + goodVIN + `","dealership_id":"7"}`: "#/dealership_id", `{"vin":"` + goodVIN + `","vdp_url":"javascript:alert(1)"}`: "#/vdp_url",
		`{"vin":"x","year":1,"price":"a","nonsense":1,"tags":[1]}`: "#/vin #/year #/price #/nonsense #/tags/0",
	} {
		_, faults := readInput(t, body)
		var got []string
		for _, f := range faults {
			got = append(got, f.Pointer)
			if f.Detail == "" || f.Parameter != "" {
				t.Errorf("%s: %+v", body, f)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: faults at %q, want %q", body, got, want)
		}
	}
}

func TestAmountsOutOfRangeAreToldTheFieldsOwn(t *testing.T) {
	for _, amount := range []string{"-1", "0", "1000000000", `"99999999999999999999"`, "1e99", "1e400"} {
		_, faults := readInput(t, `{"vin":"`+goodVIN+`","price":`+amount+`}`)
		if len(faults) != 1 || !strings.Contains(faults[0].Detail, "between 0.01 and 999999999.99") {
			t.Errorf("%s: %v", amount, faults)
		}
	}
}

func TestPatchBody(t *testing.T) {
	c, faults := readPatch(t, `{"price":null,"make":"Ford"}`)
	if len(faults) > 0 || c.VIN != goodVIN || !c.Present.Has(Price) || c.Values[Price] != "" || c.Values[Make] != "Ford" || c.Present.Has(Model) {
		t.Errorf("%+v %v", c, faults)
	}
	if _, faults = readPatch(t, `{}`); len(faults) > 0 {
		t.Errorf("an empty patch changes nothing, yet: %v", faults)
	}
	if _, faults = readPatch(t, `{"vin":"`+strings.ToLower(goodVIN)+`"}`); len(faults) > 0 {
		t.Errorf("the VIN itself: %v", faults)
	}
	if _, faults = readPatch(t, `{"vin":"1HGCM82633A004352"}`); len(faults) != 1 || faults[0].Pointer != "#/vin" {
		t.Errorf("another VIN: %v", faults)
	}
}

func TestPatchReachesIntoCustom(t *testing.T) {
	for patch, want := range map[string]string{
		`{"custom":{"a":null,"c":"3"}}`: `{"b":"2","c":"3"}`, `{"custom":{"a":"9"}}`: `{"a":"9","b":"2"}`, `{"custom":{}}`: `{"a":"1","b":"2"}`, `{"custom":null}`: ``, `{"custom":{"a":null,"b":null}}`: ``, `{"make":"Ford"}`: ``,
	} {
		c, faults := readPatch(t, patch)
		stored := Values{Custom: `{"a":"1","b":"2"}`}
		c.Onto(&stored)
		if len(faults) > 0 || c.Values[Custom] != want {
			t.Errorf("%s: %q %v, want %q", patch, c.Values[Custom], faults, want)
		}
	}
}

// What the table says is accepted is, and is read to what it says.
func TestEveryCanonicalValueIsAccepted(t *testing.T) {
	c := Cleaner{Now: testNow}
	rapid.Check(t, func(t *rapid.T) {
		f := Field(rapid.IntRange(0, int(NumFields)-1).Draw(t, "field"))
		raw := rapid.OneOf(rapid.StringMatching(`[A-Za-z]{1,5} [0-9]{0,3}`), rapid.StringMatching(`[1-9][0-9]{0,4}`), rapid.SampledFrom(append([]string{"2021-08-28", "https://a.example/1", "0192f0c4-8b7e-7a11-9d7b-3a0000000001", `{"a":"\""}`}, fields[f].words...))).Draw(t, "raw")
		value, _ := c.Clean(f, raw)
		if value == "" || fields[f].kind == ID && len(value) != 36 {
			return
		}
		body := `{"vin":"` + goodVIN + `","` + f.String() + `":` + string(AppendValue(nil, f, value)) + `}`
		change, err := Read([]byte(body), testNow)
		if err != nil || change.Values[f] != value {
			t.Fatalf("%s was read as %q: %v", body, change.Values[f], err)
		}
	})
}

func TestSchemaNamesEveryField(t *testing.T) {
	for _, schema := range []map[string]any{Schema(), PatchSchema()} {
		raw, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Type       string
			Properties map[string]map[string]any
			Closed     any `json:"additionalProperties"`
		}
		if err := json.Unmarshal(raw, &s); err != nil || s.Type != "object" || s.Closed != false || len(s.Properties) != int(NumFields)+1 {
			t.Fatalf("%s: %v", raw, err)
		}
		for name, p := range s.Properties {
			if p["type"] == nil && p["anyOf"] == nil {
				t.Errorf("%s has no type: %v", name, p)
			}
		}
		if want := []any{"integer", "null"}; !reflect.DeepEqual(s.Properties["year"]["type"], want) {
			t.Errorf("year: %v", s.Properties["year"])
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"vin":"` + goodVIN + `","price":1}`, `{"custom":{"a":null}}`, `[1`, `{"a":1,"a":2}`, `{"photos":["x"]}`, `{"year":1e999}`, `{"price":"` + strings.Repeat("9", 99) + `"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c, err := Read([]byte(body), testNow)
		if _, patchErr := ReadPatch([]byte(body), goodVIN, testNow); err == nil && patchErr != nil && c.VIN == goodVIN {
			t.Fatalf("%q is a vehicle but no patch: %v", body, patchErr)
		}
		if err != nil {
			return
		}
		for field := range NumFields {
			if value := c.Values[field]; value != "" && !json.Valid(AppendValue(nil, field, value)) {
				t.Fatalf("%q: %s became %q", body, field, value)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	body := []byte(`{"vin":"` + goodVIN + `","stock_number":"FA85881","year":2017,"make":"Ford","model":"F-150","trim":"Platinum","price":"35997.00","mileage":107031,"condition":"used","photos":["https://a.example/1.jpg"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(body, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

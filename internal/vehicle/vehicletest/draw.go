// Package vehicletest draws values and changes of vehicles for property tests.
package vehicletest

import (
	"pgregory.net/rapid"

	"carfluence/internal/vehicle"
)

// texts are canonical ones of each kind, some equal by meaning.
var texts = map[vehicle.Kind][]string{
	vehicle.Int: {"", "1999", "2000", "2001"}, vehicle.Money: {"", "0.01", "30000.00", "29000.00"}, vehicle.Decimal: {"", "2.4", "3"}, vehicle.Bool: {"", "true", "false"},
	vehicle.List: {"", `["a"]`, `["a","b \"c\""]`}, vehicle.Date: {"", "2026-11-01", "2026-11-20"}, vehicle.Time: {"", "2026-11-01T00:00:00Z"}, vehicle.URL: {"", "http://a", "http://b"},
	vehicle.Map: {"", `{"a":"1"}`, `{"a":"1","b\n":"2"}`}, vehicle.Text: {"", "Ford", "FORD", "Ruby  Red", "ruby red", "8-Speed Automatic", "automatic", "ctrl\x01é\U0001f697", `"q"\`},
	vehicle.ID: {""}, // dealerships exist or not; tested elsewhere
}

// Value draws a canonical text of a field, "" among them.
func Value(t *rapid.T, f vehicle.Field) string {
	if f.Kind() != vehicle.Enum {
		return rapid.SampledFrom(texts[f.Kind()]).Draw(t, f.String())
	}
	word, _ := rapid.SampledFrom(f.Schema()["enum"].([]any)).Draw(t, f.String()).(string) // null among them
	return word
}

// Change draws a change of a vehicle, as the API or a feed makes it.
func Change(t *rapid.T, vin string) vehicle.Change {
	c := vehicle.Change{VIN: vin}
	if rapid.Bool().Draw(t, "of a feed") { // whose texts say more than their own field
		f := rapid.SampledFrom([]vehicle.Field{vehicle.Condition, vehicle.Transmission, vehicle.Certified}).Draw(t, "text")
		raw := rapid.SampledFrom([]string{"CPO", "U", "N", "Demo", "6-Speed Manual", "Geartronic", "No", ""}).Draw(t, "raw")
		_ = vehicle.Cleaner{}.Set(&c, f, raw)
	}
	for _, f := range rapid.SliceOfN(rapid.Uint8Range(0, uint8(vehicle.NumFields)-1), 1, 8).Draw(t, "fields") {
		c.Put(vehicle.Field(f), Value(t, vehicle.Field(f)))
	}
	return c
}

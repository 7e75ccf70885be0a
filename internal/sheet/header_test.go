package sheet

import "testing"

func TestHeaderKey(t *testing.T) {
	for in, want := range map[string]string{
		"Stock #":                "stock number",
		"Stock#":                 "stocknumber",
		"vin_num":                "vin num",
		"New/Used":               "newused",
		"ModelNumber":            "modelnumber",
		"Vehicle  Id":            "vehicle id",
		"Exterior\nColor":        "exterior color",
		" Price / % Mkt ":        "price mkt",
		"\ufeffVIN":              "vin",
		"image[0].url":           "image0url",
		"list (new)":             "list new",
		"_":                      "",
		"e-price":                "eprice",
		"Vehicle_VIN_Number":     "vehicle vin number",
		"on_lot_since":           "on lot since",
		"Dealer Name":            "dealer name",
		"Größe":                  "größe",
		"Total Dealer   Rebate ": "total dealer rebate",
	} {
		if got := HeaderKey(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestLayoutsHaveTheirColumns(t *testing.T) {
	for i, n := range []int{34, 35, 43, 44} {
		if got := len(layouts[i].header); got != n {
			t.Errorf("%s has %d columns", layouts[i].name, got)
		}
		if h := layouts[i].header[layouts[i].vin]; h != "VIN" {
			t.Errorf("%s: %q where the VIN should be", layouts[i].name, h)
		}
	}
}

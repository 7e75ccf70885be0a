package feed

import (
	"fmt"
	"strings"
	"testing"

	"carfluence/internal/mapping"
	"carfluence/internal/vin"
)

// BenchmarkFile is an integration's file from received to completed, on either engine: the first load, the same rows but one in
// other bytes, and one row in twenty changed.
func BenchmarkFile(b *testing.B) {
	const rows = 100_000
	first, same, changed := plainFile(rows, rows), plainFile(rows, rows-1), plainFile(rows, 20)
	for _, c := range []struct {
		name  string
		files []string // all but the last are loaded before
	}{{"first", []string{first}}, {"unchanged", []string{first, same}}, {"changed", []string{first, changed}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w := openFeeds(b)
				w.t = w.t.Patient()
				in := w.integration(mapping.TypeCustom)
				for i, file := range c.files {
					if i == len(c.files)-1 {
						b.StartTimer()
					}
					if r := w.drop(in, "stock.csv", file); r.Counts.Total != rows {
						b.Fatalf("%+v", r)
					}
				}
			}
			rowsPerSecond(b, rows)
		})
	}
}

// plainFile is a file of n vehicles with few columns. Every step-th, but the first, is dearer.
func plainFile(n, step int) string {
	models := []struct{ wmi, make, model, trim, body string }{
		{"1FT", "Ford", "F-150", "XLT", "Truck"}, {"4T1", "Toyota", "Camry", "SE", "Sedan"}, {"5J6", "Honda", "CR-V", "EX-L", "SUV"},
		{"1G1", "Chevrolet", "Malibu", "LT", "Sedan"}, {"KM8", "Hyundai", "Tucson", "SEL", "SUV"}, {"WBA", "BMW", "330i", "xDrive", "Sedan"},
	}
	colours := []string{"Black", "White", "Silver", "Blue", "Red", "Gray"}
	var b strings.Builder
	b.WriteString("VIN,Stock #,New/Used,Year,Make,Model,Series,Body,Odometer,Colour,Interior Color,Transmission,Drivetrain Desc,Fuel,Price,MSRP,Inventory Date,Description\n")
	for i := range n {
		m := models[i%len(models)]
		text := []byte(fmt.Sprintf("%sAB1CD0L%07d", m.wmi, i))
		text[8] = vin.CheckDigit(string(text))
		price := 15000 + i*37%45000
		if i > 0 && i%step == 0 {
			price += 111
		}
		fmt.Fprintf(&b, "%s,S%06d,%s,%d,%s,%s,%s,%s,%d,%s,%s,8-Speed Automatic,AWD,Gasoline,%d,%d,%02d/%02d/2026,\"%s %s, one owner, clean.\"\n",
			text, i, []string{"N", "U"}[i%2], 2018+i%9, m.make, m.model, m.trim, m.body, i*131%120000, colours[i%6], colours[i%3], price, price+2500, 1+i%9, 1+i%28, m.make, m.model)
	}
	return b.String()
}

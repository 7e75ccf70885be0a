package feed

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/mapping"
	"carfluence/internal/vehicle"
)

// largeFile is a file of n vehicles in the 34-column layout.
func largeFile(n, price int) string {
	var b strings.Builder
	b.WriteString("DealerId,Stock #,VIN,New/Used,Year,Make,Model,Model Code,Body,Transmission,Series,Series Detail," +
		"Door Count,Odometer,Engine Cylinder Ct,Engine Displacement,Drivetrain Desc,Colour,Interior Color,Price,MSRP," +
		"Inventory Date,Certified,Description,Features,City MPG,Highway MPG,Photo Count,Photos,Photos Last Modified Date," +
		"Dealer Name,Engine,Fuel,Age\n")
	vins := manyVINs(n)
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { vins[i], vins[j] = vins[j], vins[i] }) // as feeds come: in no order
	for i, vin := range vins {
		fmt.Fprintf(&b, `"MP1","S%d","%s","U","2022","Ford","F-150","","4D SuperCrew","10-Speed Automatic","XLT","","4","%d","6","3.50","4WD","Oxford White","Black","%d","56200","03/15/2022","Yes","Fine truck, well kept, one owner.","ABS|Backup Camera|Tow Package","17","24","2","https://photos.example.com/%s/1.jpg|https://photos.example.com/%s/2.jpg","4/27/2022 7:19:50 AM","Store %d","3.5L V6","Gasoline","12"`+"\n",
			i, vin, 1000+i, price+i%1000, vin, vin, i%9)
	}
	return b.String()
}

func rowsPerSecond(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// Import of new vehicles with history, end to end.
func BenchmarkImportNew(b *testing.B) {
	const rows = 100_000
	text := largeFile(rows, 20_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		b.StopTimer()
		f := newFixture(b)
		b.StartTimer()
		if r := f.load(b, Import{File: "a.csv", By: audit.System("bench"), Open: opener(text)}); r.Created != rows {
			b.Fatal(numbers(r))
		}
	}
	rowsPerSecond(b, rows)
}

// The same file again.
func BenchmarkImportUnchanged(b *testing.B) {
	const rows = 100_000
	text := largeFile(rows, 20_000)
	f := newFixture(b)
	in := Import{File: "a.csv", By: audit.System("bench"), Open: opener(text)}
	f.load(b, in)
	for b.Loop() {
		if r := f.load(b, in); r.Unchanged != rows {
			b.Fatal(numbers(r))
		}
	}
	rowsPerSecond(b, rows)
}

func opener(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

// Reading and mapping alone.
func BenchmarkMap(b *testing.B) {
	const rows = 20_000
	text := largeFile(rows, 20_000)
	clean := vehicle.Cleaner{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		rd, m, err := open(strings.NewReader(text), "a.csv", mapping.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for {
			row, err := rd.Next()
			if err != nil {
				break
			}
			m.Map(clean, row)
		}
	}
	rowsPerSecond(b, rows)
}

package feed

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"carfluence/internal/audit"
)

// largeFile is a file of n vehicles in the 34-column layout.
func largeFile(n, price int) string {
	var b strings.Builder
	b.WriteString(strings.Join(layouts[0].header, ",") + "\n")
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
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		rd, m, err := open(strings.NewReader(text), "a.csv", Options{})
		if err != nil {
			b.Fatal(err)
		}
		for {
			row, err := rd.Next()
			if err != nil {
				break
			}
			m.Map(testCleaner, row)
		}
	}
	rowsPerSecond(b, rows)
}

// Splitting alone, beside encoding/csv.
func BenchmarkScan(b *testing.B) {
	const rows = 20_000
	text := largeFile(rows, 20_000)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			s := newScanner(strings.NewReader(text), ',', false)
			for {
				if _, err := s.next(); err != nil {
					break
				}
			}
		}
	})
	b.Run("ours with charset", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			rd, err := NewReader(strings.NewReader(text), "a.csv")
			if err != nil {
				b.Fatal(err)
			}
			for {
				if _, err := rd.Next(); err != nil {
					break
				}
			}
		}
	})
	b.Run("encoding/csv", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			r := csv.NewReader(strings.NewReader(text))
			for {
				if _, err := r.Read(); errors.Is(err, io.EOF) {
					break
				}
			}
		}
	})
}

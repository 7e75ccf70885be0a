package sheet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// largeFile is a file of n rows in the 34-column layout.
func largeFile(n int) string {
	var b strings.Builder
	b.WriteString(strings.Join(layouts[0].header, ",") + "\n")
	for i := range n {
		vin := fmt.Sprintf("1FTFW1E80NF%06d", i)
		fmt.Fprintf(&b, `"MP1","S%d","%s","U","2022","Ford","F-150","","4D SuperCrew","10-Speed Automatic","XLT","","4","%d","6","3.50","4WD","Oxford White","Black","%d","56200","03/15/2022","Yes","Fine truck, well kept, one owner.","ABS|Backup Camera|Tow Package","17","24","2","https://photos.example.com/%s/1.jpg|https://photos.example.com/%s/2.jpg","4/27/2022 7:19:50 AM","Store %d","3.5L V6","Gasoline","12"`+"\n",
			i, vin, 1000+i, 20_000+i%1000, vin, vin, i%9)
	}
	return b.String()
}

// Splitting alone, beside encoding/csv.
func BenchmarkScan(b *testing.B) {
	const rows = 20_000
	text := largeFile(rows)
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

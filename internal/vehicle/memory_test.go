package vehicle

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestAMemoryChangesNothing of what is read, in whichever order fields and texts come, also when there are more than it keeps.
func TestAMemoryChangesNothing(t *testing.T) {
	raws := []string{"", " ", "N/A", "Used", "CPO", "new", "12,345", "$12.345,00", "12 Mio", "call", "2019", "19", "05/19/2021", "2021-05-19", "Ford", "FORD", "Truck", "4x2", "4WD", "gas", "7-Speed Automatic", "172250 km", "x|y", "http://a.example/1.jpg", "sold", "7-Speed Automatic\n7-Speed Automatic\n7-Speed Automatic\n7-Speed Automatic"}
	rapid.Check(t, func(t *rapid.T) {
		plain := Cleaner{Now: testNow, DayFirst: rapid.Bool().Draw(t, "day first"), CommaDecimal: rapid.Bool().Draw(t, "comma")}
		remembering := plain.Remembering()
		for range rapid.IntRange(1, 40).Draw(t, "cells") {
			f, raw := Field(rapid.IntRange(0, int(NumFields)-1).Draw(t, "field")), rapid.SampledFrom(raws).Draw(t, "raw")
			if rapid.IntRange(0, 3).Draw(t, "other") == 0 {
				raw = rapid.String().Draw(t, "text")
			}
			if rapid.IntRange(0, 20).Draw(t, "many") == 0 {
				for i := range memoryTexts {
					_, _ = remembering.Clean(f, fmt.Sprint(raw, i))
				}
			}
			var is, want Change
			told, wantTold := remembering.Set(&is, f, raw), plain.Set(&want, f, raw)
			if is != want || told != wantTold {
				t.Fatalf("%s %q is read as %+v %q, without a memory as %+v %q", f, raw, is.Values[f], told, want.Values[f], wantTold)
			}
		}
	})
}

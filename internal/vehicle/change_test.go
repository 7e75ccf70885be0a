package vehicle_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	. "carfluence/internal/vehicle"
	"carfluence/internal/vehicle/vehicletest"
)

func TestMergeTouchesOnlyWhatAChangeSays(t *testing.T) {
	const truck = "1FTEW1EF8HFA85881"
	rapid.Check(t, func(t *rapid.T) {
		var v Values
		v[Status] = StatusActive
		first := vehicletest.Change(t, truck)
		v.Merge(&first, true)
		before, c := v, vehicletest.Change(t, truck)
		exact := rapid.Bool().Draw(t, "exact")
		changed := v.Merge(&c, exact)
		for f := range NumFields {
			follows := (f == Gears || f == TransmissionType) && changed.Has(Transmission) || f == Gears && changed.Has(TransmissionType) || f == PhotoCount && changed.Has(Photos) ||
				f == CertifiedProgram && changed.Has(Certified) || c.Denied().Has(f) && (before[f] == True || before[f] == "loaner")
			switch {
			case (v[f] != before[f]) != changed.Has(f):
				t.Fatalf("%s: %q, before %q, changed %v", f, v[f], before[f], changed.Has(f))
			case changed.Has(f) && !follows && (!c.Present.Has(f) || v[f] != c.Values[f]):
				t.Fatalf("%s became %q", f, v[f])
			case exact && c.Present.Has(f) && v[f] != c.Values[f] && f != Status:
				t.Fatalf("%s stayed %q", f, v[f])
			}
		}
		if again := v.Merge(&c, exact); !again.Empty() {
			t.Fatalf("the same change again changes %v", again.Names())
		}
		undone := v
		if err := undone.Undo(string(AppendChanges(nil, changed, &before, &v))); err != nil || undone != before {
			t.Fatalf("undone: %v %s", err, cmp.Diff(before, undone))
		}
		var read Values
		if record := string(v.AppendJSON(nil)); !json.Valid([]byte(record)) || read.ReadJSON(record) != nil || read != v {
			t.Fatalf("record %s: %s", record, cmp.Diff(v, read))
		}
	})
}

package mapping

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sheet"
)

func TestDrift(t *testing.T) {
	for _, tt := range []struct {
		what, before, after string
		added, removed      []string
		sentence            string
	}{
		{"the same", "VIN,Price", "VIN,Price", nil, nil, ""},
		{"other spelling", "VIN,Stock #,", "vin,STOCK  #,", nil, nil, ""},
		{"another order", "VIN,Price", "Price,VIN", nil, nil, "The file's columns stand in another order than those of the file before."},
		{"new", "VIN", "VIN,Price,Color", []string{"Price", "Color"}, nil, `The file's columns are not those of the file before; new: "Price", "Color".`},
		{"gone", "VIN,Price", "VIN", nil, []string{"Price"}, `The file's columns are not those of the file before; gone: "Price".`},
		{"renamed", "VIN,Asking Price,VIN", "Price,VIN", []string{"Price"}, []string{"Asking Price"}, `The file's columns are not those of the file before; new: "Price"; gone: "Asking Price".`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			before, after := strings.Split(tt.before, ","), strings.Split(tt.after, ",")
			added, removed, changed := drift(before, after)
			if cmp.Diff(tt.added, added) != "" || cmp.Diff(tt.removed, removed) != "" || changed != (len(added)+len(removed) > 0) {
				t.Errorf("added %q, removed %q, changed %v", added, removed, changed)
			}
			if got := DriftSentence(before, after); got != tt.sentence {
				t.Error(got)
			}
		})
	}
}

func TestDriftSentenceIsShort(t *testing.T) {
	var after []string
	for i := range 1000 {
		after = append(after, strings.Repeat("x", 500)+strconv.Itoa(i))
	}
	if s := DriftSentence(nil, after); len(s) > 3000 || !strings.Contains(s, "and 980 more") {
		t.Errorf("%d bytes: %.100s", len(s), s)
	}
}

func TestCollectedDrift(t *testing.T) {
	header := func(name string) []string {
		rd, err := sheet.NewReader(openCollected(t, name), name)
		if err != nil {
			t.Fatal(err)
		}
		return rd.Header
	}
	added, removed, changed := drift(header("toyota-mirai-2023-04-27-oldschema.csv"), header("toyota-mirai-2023-07-10.csv"))
	if d := cmp.Diff([]string{"Dealer Website", "Image"}, removed); d != "" || len(added) > 0 || !changed {
		t.Errorf("added %q, removed %q", added, removed)
	}
}

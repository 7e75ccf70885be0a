package vehicle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestReadText(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		field      Field
		text, want string
		detail     string // a part of it
	}{
		{field: Price, text: "1000", want: "1000.00"}, {field: Price, text: "0.5", want: "0.50"}, {field: Price, text: "32999.00", want: "32999.00"},
		{field: Price, text: "0", detail: "between 0.01 and 999999999.99"}, {field: Price, text: "1e3", detail: "must be an amount"},
		{field: Price, text: "$5", detail: "must be"}, {field: Price, text: "1,000", detail: "must be"}, {field: Price, text: "1.005", detail: "two decimal places"},
		{field: Price, text: "1000000000", detail: "between"}, {field: Price, text: "-1", detail: "between"}, {field: Price, text: `"5"`, detail: "must be"},
		{field: Price, text: "", want: ""}, {field: MiscPrice1, text: "0", want: "0.00"},
		{field: Year, text: "2028", want: "2028"}, {field: Year, text: "2029", detail: "between 1900 and 2028"}, {field: Year, text: "2021.0", want: "2021"},
		{field: Year, text: "2e3", detail: "whole number"}, {field: Year, text: "x", detail: "whole number"}, {field: Mileage, text: "1.5", detail: "whole number"},
		{field: EngineDisplacement, text: "2.50", want: "2.5"}, {field: EngineDisplacement, text: "0.2", detail: "between 0.3 and 9.9"}, {field: EngineDisplacement, text: "2.505", detail: "two decimals"},
		{field: Certified, text: "true", want: "true"}, {field: Certified, text: "yes", detail: "true or false"},
		{field: Condition, text: "used", want: "used"}, {field: Condition, text: "Used", detail: "must be one of new, used"},
		{field: Status, text: "", detail: "can't be emptied; must be one of active, sold"}, {field: Status, text: "sold", want: "sold"},
		{field: Tags, text: "luxury, premium", want: `["luxury","premium"]`}, {field: Tags, text: "a,,b", detail: "item 2 must not be empty"}, {field: Tags, text: `a"b`, want: `["a\"b"]`},
		{field: Tags, text: strings.Repeat("x,", 50) + "x", detail: "more than 50"}, {field: Tags, text: strings.Repeat("x", 101), detail: "item 1 must not be longer than 100"},
		{field: Photos, text: "https://a.example/1, https://a.example/2", want: `["https://a.example/1","https://a.example/2"]`}, {field: Photos, text: "1.jpg", detail: "item 1 must be an http"},
		{field: DateInStock, text: "2021-08-28", want: "2021-08-28"}, {field: DateInStock, text: "28/08/2021", detail: "must be a date"},
		{field: PhotosUpdatedAt, text: "2021-08-28T10:00:00+02:00", want: "2021-08-28T08:00:00Z"},
		{field: VDPURL, text: "ftp://a", detail: "http or https"}, {field: ExteriorColor, text: " Ruby  Red ", want: "Ruby Red"}, {field: StockNumber, text: strings.Repeat("x", 41), detail: "40 characters"},
		{field: Custom, text: "x", detail: "name one of its properties"},
	} {
		got, detail := ReadText(c.field, c.text, now)
		if got != c.want || (detail == "") != (c.detail == "") || !strings.Contains(detail, c.detail) {
			t.Errorf("%s %q: %q, %q; want %q, %q", c.field, c.text, got, detail, c.want, c.detail)
		}
	}
}

func TestBoundsAreThoseOfTexts(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for f := range NumFields {
		if k := f.Kind(); k != Int && k != Money && k != Decimal {
			continue
		}
		low, high := f.Bounds(now)
		for n, ok := range map[int64]bool{low - 1: false, low: true, high: true, high + 1: false} {
			text := f.NumberText(n)
			if got, detail := ReadText(f, text, now); (detail == "") != ok || ok && got != text {
				t.Errorf("%s %s: %q, %q", f, text, got, detail)
			}
		}
	}
}

func TestItemsAreThoseOfTheList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.String(), 0, 6).Draw(t, "list")
		for i := range list {
			list[i] = Tidy(list[i])
		}
		if got := slices.Collect(Items(ListOf(list))); !slices.Equal(got, list) {
			t.Fatalf("%q became %q", list, got)
		}
	})
	for _, damaged := range []string{"[", "]", `["`, `["a`, `["a"`, "x"} {
		for range Items(damaged) {
		}
	}
}

// Setting properties in the text is setting them in the map.
func TestWithCustomIsTheMap(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "colour", "c d", `"`, "é", "\\", "z"})
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(names, rapid.StringN(1, 5, 20)).Draw(t, "map")
		for k := range m {
			m[k] = strings.ToValidUTF8(m[k], "x")
		}
		custom := MapOf(m)
		for name, text := range m {
			if got := CustomText(custom, name); got != text {
				t.Fatalf("%s: %q reads as %q", custom, name, got)
			}
		}
		name, text := names.Draw(t, "name"), Tidy(rapid.String().Draw(t, "text"))
		if m[name] = text; text == "" {
			delete(m, name)
		}
		got, detail := WithCustom(custom, name, text)
		if want := MapOf(m); got != want || detail != "" {
			t.Fatalf("%s with %q=%q: %s, %q; want %s", custom, name, text, got, detail, want)
		}
	})
	custom := ""
	for i := range maxCustom {
		custom, _ = WithCustom(custom, fmt.Sprint("p", i), "x")
	}
	if got, detail := WithCustom(custom, "one more", "x"); got != "" || detail != "custom has 200 properties already" {
		t.Errorf("%q, %q", got, detail)
	}
	if got, detail := WithCustom(custom, "p7", "y"); CustomText(got, "p7") != "y" || detail != "" {
		t.Errorf("%q, %q", got, detail)
	}
	if text, detail := ReadCustom(strings.Repeat("x", 2001)); text != "" || !strings.Contains(detail, "2000") {
		t.Errorf("%q, %q", text, detail)
	}
}

func TestCustomIndexFindsWhatTheTextHolds(t *testing.T) {
	var x CustomIndex
	for _, n := range []int{0, 1, 3, 100, 199, 2} {
		all := map[string]string{}
		for i := range n {
			all[fmt.Sprintf("%d \"ü", i*i%7919)] = fmt.Sprintf("value \\ %d", i)
		}
		custom := MapOf(all)
		for name, want := range all {
			if got := x.Text(custom, name); got != want {
				t.Errorf("%d: %q is %q, want %q", n, name, got, want)
			}
		}
		for _, name := range []string{"", "zzz", "0"} {
			if got := x.Text(custom, name); got != "" {
				t.Errorf("%d: %q is %q", n, name, got)
			}
		}
	}
}

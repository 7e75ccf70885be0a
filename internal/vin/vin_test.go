package vin

import (
	"encoding/csv"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// thisYear is the calendar year the vectors were made for.
const thisYear = 2025

func readVectors(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			if i < len(row) {
				m[name] = row[i]
			}
		}
		out = append(out, m)
	}
	return out
}

func yearsText(years []int) string {
	var parts []string
	for _, y := range years {
		parts = append(parts, strconv.Itoa(y))
	}
	return strings.Join(parts, "|")
}

func verdict(text string) string {
	status, err := Check(text)
	switch {
	case errors.Is(err, ErrLength):
		return "length"
	case errors.Is(err, ErrAlphabet):
		return "alphabet"
	case errors.Is(err, ErrUniform):
		return "uniform"
	}
	return string(status)
}

func TestOwnVectors(t *testing.T) {
	for _, v := range readVectors(t, "testdata/vectors.csv") {
		got := Normalise(v["input"])
		if got != v["vin"] {
			t.Errorf("Normalise(%q) = %q, want %q", v["input"], got, v["vin"])
		}
		if s := verdict(got); s != v["status"] {
			t.Errorf("%s: %s, want %s", got, s, v["status"])
		}
		if v["country"] == "" {
			continue
		}
		if c := Country(got); c != v["country"] {
			t.Errorf("%s: country %q, want %q", got, c, v["country"])
		}
		y := Year(got, 0, thisYear)
		if yearsText(y.Candidates) != v["years"] || strconv.Itoa(y.Chosen) != v["chosen"] || string(y.Reason) != v["reason"] {
			t.Errorf("%s: year %+v, want %s %s %s", got, y, v["years"], v["chosen"], v["reason"])
		}
	}
}

func TestCollectedVectors(t *testing.T) {
	const path = "../../../shared/feeds/vin-vectors.csv"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("LEFT OUT: vectors not present: %v", err)
	}
	vectors := readVectors(t, path)
	if len(vectors) != 115 {
		t.Errorf("%d vectors, want 115", len(vectors))
	}
	for _, v := range vectors {
		got := Normalise(v["input"])
		if v["structure_ok"] != "true" {
			if err := structure(got); err == nil {
				t.Errorf("%q passes as a VIN", v["input"])
			}
			continue
		}
		if got != v["vin"] {
			t.Errorf("Normalise(%q) = %q, want %q", v["input"], got, v["vin"])
		}
		if v["note"] == "check digit holds but the VIN is a dummy" {
			if verdict(got) != "uniform" {
				t.Errorf("%s passes", got)
			}
			continue
		}
		collected(t, got, v)
	}
}

func collected(t *testing.T, got string, v map[string]string) {
	t.Helper()
	status, err := Check(got)
	if err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if (status == Valid) != (v["check_digit_ok"] == "true") || string(CheckDigit(got)) != v["check_digit_expected"] {
		t.Errorf("%s: %s with digit %c, want ok %s with %s", got, status, CheckDigit(got), v["check_digit_ok"], v["check_digit_expected"])
	}
	if c := Country(got); c != v["country"] {
		t.Errorf("%s: country %q, want %q", got, c, v["country"])
	}
	if got[:3] != v["wmi"] || v["wmi6"] != "" && WMI(got) != v["wmi6"] {
		t.Errorf("%s: WMI %s, want %s %s", got, WMI(got), v["wmi"], v["wmi6"])
	}
	y := Year(got, 0, thisYear)
	if yearsText(y.Candidates) != v["year_candidates"] {
		t.Errorf("%s: candidates %v, want %s", got, y.Candidates, v["year_candidates"])
	}
	if y.Reason == Position7 && strconv.Itoa(y.Chosen) != v["year_by_pos7"] {
		t.Errorf("%s: position 7 gives %d, want %s", got, y.Chosen, v["year_by_pos7"])
	}
	known, _ := strconv.Atoi(v["known_year"])
	if known == 0 {
		return
	}
	if y.Chosen != known && v["class"] != "year-rule-exception" {
		t.Errorf("%s: chose %d (%s), known to be %d", got, y.Chosen, y.Reason, known)
	}
	if y = Year(got, known, thisYear); slices.Contains(y.Candidates, known) && (y.Chosen != known || y.Reason != FeedYear) {
		t.Errorf("%s: chose %+v against the stated %d", got, y, known)
	}
}

func TestNormaliseDropsWhatFeedsSlipIn(t *testing.T) {
	for _, raw := range []string{"\u00a01HGCM82633A004352", "1HGCM82633A00\u200b4352", "\ufeff1HGCM82633A004352", "1hgcm 82633\ta004352\r\n", "1HGCM‑82633–A004352"} {
		if got := Normalise(raw); got != "1HGCM82633A004352" {
			t.Errorf("Normalise(%q) = %q", raw, got)
		}
	}
	if got := Normalise("1HGCM82633A00\xff4352"); utf8.RuneCountInString(got) != 18 {
		t.Errorf("a broken byte vanished: %q", got)
	}
}

func TestNormalVINCostsNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		v := Normalise("1FTEW1EF8HFA85881")
		if s, err := Check(v); s != Valid || err != nil {
			t.Fatal(s, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExplainNamesThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"1HGCM82633A004352": "", "1HGCM82633A00435": "has 16 characters, not 17", "": "has 0 characters, not 17",
		"1HGCM82633AO04352": "position 12 is 'O', which no VIN contains", "1HGCM82633A00435é": "position 17 is 'é', which no VIN contains",
		"11111111111111111": "consists of '1' only",
	} {
		if got := Explain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestStatedYearsOfTheFarFutureAreNotBelieved(t *testing.T) {
	const text = "WVWZZZ1KZ9W000000" // 2009 or 2039
	if y := Year(text, 2039, thisYear); y.Chosen != 2009 || y.Reason != NotFuture {
		t.Errorf("%+v", y)
	}
	if y := Year(text, 2039, 2038); y.Chosen != 2039 || y.Reason != FeedYear {
		t.Errorf("next year's model: %+v", y)
	}
	if y := Year("1F60Q5", 1976, thisYear); y.Candidates != nil || y.Chosen != 0 {
		t.Errorf("a serial has a model year: %+v", y)
	}
}

func TestSerialsBefore1981(t *testing.T) {
	for serial, ok := range map[string]bool{"1F60Q580001": true, "6F07C": true, "124": false, "3J57K9D172011": true, "1HGCM82633A004352": false, "22-37": false} {
		if s, err := CheckSerial(serial); (err == nil && s == Short) != ok {
			t.Errorf("%s: %s %v", serial, s, err)
		}
	}
}

func TestOneWrongCharacterIsSeen(t *testing.T) {
	const alphabet = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(rapid.StringOfN(rapid.SampledFrom([]rune(alphabet)), Length, Length, -1).Draw(t, "vin"))
		b[0] = '1'
		b[8] = CheckDigit(string(b))
		if structure(string(b)) != nil {
			return
		}
		if s, _ := Check(string(b)); s != Valid {
			t.Fatalf("%s: %s", b, s)
		}
		// Transliteration maps several letters to one digit, so only a change of value must be seen.
		i := rapid.IntRange(1, Length-1).Draw(t, "position")
		was := b[i]
		b[i] = alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "with")]
		if i == 8 && b[i] == was || i != 8 && value(b[i]) == value(was) {
			return
		}
		if s, _ := Check(string(b)); s != CheckDigitFailed {
			t.Fatalf("%s: %s", b, s)
		}
	})
}

func TestRegions(t *testing.T) {
	for first, want := range map[string]string{"AA": "Africa", "JT": "Asia", "LR": "Asia", "WV": "Europe", "1F": "North America", "7F": "North America", "70": "North America", "7A": "Oceania", "6F": "Oceania", "93": "South America"} {
		if got := Region(first + "000000000000000"); got != want {
			t.Errorf("%s: %s, want %s", first, got, want)
		}
	}
}

func FuzzVIN(f *testing.F) {
	for _, s := range []string{"1FTEW1EF8HFA85881", " 1hgcm-82633-a004352", "11111111111111111", "", "\xff\u200b", "1HGCM82633A00435é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v := Normalise(raw)
		if again := Normalise(v); again != v {
			t.Fatalf("Normalise(%q) = %q, then %q", raw, v, again)
		}
		status, err := Check(v)
		if (err == nil) != (Explain(v) == "") {
			t.Fatalf("Check(%q) = %v, but %q", v, err, Explain(v))
		}
		if (err == nil) != (status != "") {
			t.Fatalf("Check(%q) = %q, %v", v, status, err)
		}
		if err != nil {
			_, _ = CheckSerial(v)
			return
		}
		if len(v) != Length || WMI(v) == "" || Region(v) == "" {
			t.Fatalf("%q passes", v)
		}
		_ = Country(v)
		if y := Year(v, 0, thisYear); y.Chosen > thisYear+1 && y.Reason != NoYear {
			t.Fatalf("%s: %+v lies in the future", v, y)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if s, err := Check(Normalise("1FTEW1EF8HFA85881")); s != Valid || err != nil {
			b.Fatal(s, err)
		}
	}
}

func TestTextsAsFound(t *testing.T) {
	for raw, want := range map[string][2]bool{ // shaped, proven
		"1FTFW1E84NFA10001":      {true, true},
		" 1ftfw1e8-4nfa10001":    {true, true},
		"1FTFW1E85NFA10001":      {true, false},
		"WVWZZZ1KZAW000001":      {true, false}, // position 9 is free in Europe
		"1FTFW1E84NFA1000":       {},
		"11111111111111111":      {},
		"17 letters of text":     {},
		"":                       {},
		"1FTFW1E84NFA10001 Ford": {},
	} {
		if got := [2]bool{Shaped(raw), Proven(raw)}; got != want {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	}
}

package sheet

import (
	"strings"
	"testing"

	"carfluence/internal/errs"
)

// In Europe position 9 of a VIN is free: a first row whose check digit fails is a row all the same.
func TestFirstRowIsNoHeaderWhenItHoldsAVIN(t *testing.T) {
	europe := "WVWZZZ1KZAW000001"
	row := func(vin string) string { return "d,s," + vin + strings.Repeat(",x", 31) + "\n" }
	for text, want := range map[string]string{
		row(europe) + row("1FTFW1E84NFA10001"):                "vauto-34",
		row(europe) + row(europe):                             "vauto-34",
		row(europe):                                           "vauto-34",
		europe + ",1\n1FTFW1E84NFA10001,2\n":                  "refused",
		europe + ",1\n":                                       "refused",
		"VIN," + europe + "\n" + europe + "," + europe + "\n": "",
		"chassis," + europe + "\n":                            "",
		europe + ",VIN.\nx,y\n":                               "",
		europe + ",b\nx,y\n,z\n":                              "",
	} {
		rd, err := NewReader(strings.NewReader(text), "a.csv")
		switch {
		case want == "refused":
			if errs.CodeOf(err) != "header_missing" || !strings.Contains(err.Error(), "VIN in column 1") {
				t.Errorf("%.40q: %v", text, err)
			}
		case err != nil || rd.Format().Layout != want || rd.Format().Header != (want == ""):
			t.Errorf("%.40q: %v, want layout %q", text, err, want)
		case want != "":
			if first, err := rd.Next(); err != nil || first.Cells[2] != europe {
				t.Errorf("%.40q: first row %v %v", text, first, err)
			}
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for text, code := range map[string]string{
		"":                                  "file_empty",
		"\n \n":                             "file_empty",
		"1FTFW1E84NFA10001,2022,Ford\n":     "header_missing",
		"a,b\x00\n":                         "file_not_text",
		strings.Repeat("a,", 1001) + "b\n1": "header_unreadable",
	} {
		if _, err := NewReader(strings.NewReader(text), "a.csv"); errs.CodeOf(err) != code {
			t.Errorf("%.30q: %v, want %s", text, err, code)
		}
	}
}

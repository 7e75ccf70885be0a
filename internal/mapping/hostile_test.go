package mapping

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"carfluence/internal/errs"
	"carfluence/internal/sheet"
)

// repeated is a text over and over, n bytes of it, without holding them.
func repeated(text string, n int64) io.Reader {
	return io.LimitReader(&endless{rest: strings.Repeat(text, 1+8192/len(text))}, n)
}

// What no honest file holds costs bounded memory and has a reason.
func TestHostileFiles(t *testing.T) {
	const header, row = "VIN,Price\n", "1FTFW1E84NFA10001,1\n"
	tests := []struct {
		name   string
		file   io.Reader
		code   string // of the file's refusal
		reason string // of a row's
	}{
		{"cell of 10 MB", io.MultiReader(strings.NewReader(header+"1FTFW1E84NFA10001,"), repeated("x", 10<<20), strings.NewReader("\n"+row)), "", "longer than"},
		{"quoted cell of 10 MB", io.MultiReader(strings.NewReader(header+"1FTFW1E84NFA10001,\""), repeated("x", 10<<20), strings.NewReader("\"\n"+row)), "", "longer than"},
		{"cell of 100 MB without an end", io.MultiReader(strings.NewReader(header+row+"1FTFW1E84NFA10001,"), repeated("x", 100<<20)), "", "longer than"},
		{"a million columns", io.MultiReader(strings.NewReader("VIN"), repeated(",a", 2_000_000), strings.NewReader("\n"+row)), "header_unreadable", ""},
		{"a row of a million columns", io.MultiReader(strings.NewReader(header+"1FTFW1E84NFA10001"), repeated(",1", 2_000_000), strings.NewReader("\n"+row)), "", "more than 1000 columns"},
		{"a header of 10 MB", io.MultiReader(strings.NewReader("VIN,"), repeated("x", 10<<20), strings.NewReader("\n"+row)), "header_unreadable", ""},
		{"NUL bytes in a cell", io.MultiReader(strings.NewReader(header), repeated(row, 600<<10), strings.NewReader("\n1FTFW1E84NFA10001,\x00\n"+row)), "", "NUL byte"},
		{"NUL bytes alone", repeated("\x00", 10<<20), "file_not_text", ""},
		{"a byte over and over", repeated("\"", 10<<20), "header_unreadable", ""},
		{"blank lines alone", repeated(" \n", 10<<20), "file_empty", ""},
		{"commas alone", repeated(",", 10<<20), "header_unreadable", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			reasons, rows, err := readHostile(tt.file)
			runtime.ReadMemStats(&now)
			if now.HeapSys > before.HeapSys+64<<20 {
				t.Errorf("the heap grew by %d MB", (now.HeapSys-before.HeapSys)>>20)
			}
			if tt.code != "" {
				if errs.CodeOf(err) != tt.code {
					t.Errorf("%v, want %s", err, tt.code)
				}
				return
			}
			if err != nil || rows == 0 || !strings.Contains(strings.Join(reasons, "; "), tt.reason) {
				t.Errorf("%d rows, %.200q, %v", rows, reasons, err)
			}
		})
	}
}

func readHostile(file io.Reader) (reasons []string, rows int, err error) {
	rd, err := sheet.NewReader(file, "a.csv")
	if err != nil {
		return nil, 0, err
	}
	m, err := New(rd.Header, rd.Sample(), Options{})
	if err != nil {
		return nil, 0, err
	}
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return reasons, rows, nil
		}
		if err != nil {
			return reasons, rows, err
		}
		if _, _, fault := m.Map(testCleaner, row); fault != nil {
			reasons = append(reasons, fault.Reason)
			continue
		}
		rows++
	}
}

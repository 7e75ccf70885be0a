package sheet

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

type scanned struct {
	Line     int
	Cells    []string
	Fault    string
	Unclosed bool
}

func scanAll(t testing.TB, text string, delim byte, width int) []scanned {
	t.Helper()
	s := newScanner(strings.NewReader(text), delim, !strings.Contains(text, "\n"))
	s.width = width
	var out []scanned
	for {
		rec, err := s.next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, scanned{rec.line, rec.cells, rec.fault, rec.unclosed})
	}
}

func TestScanner(t *testing.T) {
	tests := []struct {
		name, text string
		width      int
		want       []scanned
	}{
		{"plain", "a,b\n1,2\n", 2, []scanned{{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Cells: []string{"1", "2"}}}},
		{"no line end at the end", "a,b\n1,", 2, []scanned{{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Cells: []string{"1", ""}}}},
		{"CRLF", "a,b\r\n1,2\r\n", 2, []scanned{{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Cells: []string{"1", "2"}}}},
		{"lone CR", "a,b\r1,2\r", 2, []scanned{{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Cells: []string{"1", "2"}}}},
		{"quotes and line breaks", "\"a \"\"x\"\"\",b\n\"1\n1\",2\n3,4", 2, []scanned{
			{Line: 1, Cells: []string{`a "x"`, "b"}}, {Line: 2, Cells: []string{"1\n1", "2"}}, {Line: 4, Cells: []string{"3", "4"}}}},
		{"inch signs", "a,18\" wheels,c\n\"20\" rims\",b,c\n", 3, []scanned{
			{Line: 1, Cells: []string{"a", `18" wheels`, "c"}}, {Line: 2, Cells: []string{`20" rims`, "b", "c"}}}},
		{"blanks around quotes", `"a" , "b,c"` + "\n", 2, []scanned{{Line: 1, Cells: []string{"a", "b,c"}}}},
		{"unclosed, right count: taken", "a,b\n1,\"two\n3,4\n5,6\n", 2, []scanned{
			{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Cells: []string{"1", `"two`}, Unclosed: true},
			{Line: 3, Cells: []string{"3", "4"}}, {Line: 4, Cells: []string{"5", "6"}}}},
		{"unclosed, wrong count: only that row", "a,b,c\n1,\"two, three\n\"3\",4,5\n6,7,8\n", 3, []scanned{
			{Line: 1, Cells: []string{"a", "b", "c"}}, {Line: 2, Cells: []string{"1", `"two`, " three"}, Unclosed: true},
			{Line: 3, Cells: []string{"3", "4", "5"}}, {Line: 4, Cells: []string{"6", "7", "8"}}}},
		{"cut off inside quotes", "a,b,c\n1,2,3\n4,\"fi", 3, []scanned{
			{Line: 1, Cells: []string{"a", "b", "c"}}, {Line: 2, Cells: []string{"1", "2", "3"}},
			{Line: 3, Fault: "a quotation mark opens in this row and never closes", Unclosed: true}}},
		{"NUL", "a,b\n1,\x00\n3,4\n", 2, []scanned{
			{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Fault: "a cell holds a NUL byte"}, {Line: 3, Cells: []string{"3", "4"}}}},
		{"columns", "a,b\n" + strings.Repeat(",", maxColumns) + "\n3,4\n", 2, []scanned{
			{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Fault: "the row has more than 1000 columns"}, {Line: 3, Cells: []string{"3", "4"}}}},
		{"cell", "a,b\n" + strings.Repeat("x", maxCell+1) + ",1\n3,4\n", 2, []scanned{
			{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Fault: "a cell is longer than 1048576 bytes"}, {Line: 3, Cells: []string{"3", "4"}}}},
		{"row", "a,b\n" + strings.Repeat("x", 3*maxRecord) + ",1\n3,4\n", 2, []scanned{
			{Line: 1, Cells: []string{"a", "b"}}, {Line: 2, Fault: "the row is longer than 4194304 bytes"}, {Line: 3, Cells: []string{"3", "4"}}}},
		{"quote over the whole file", "a,b\n\"x,1\n" + strings.Repeat("3,4\n", maxRecord/4+10), 2, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := scanAll(t, tt.text, ',', tt.width)
			if tt.want == nil {
				if n := strings.Count(tt.text, "\n"); len(got) != n {
					t.Errorf("%d records, want %d", len(got), n)
				}
				return
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A hostile file must cost time in proportion to its size.
func TestScannerManyUnclosedQuotes(t *testing.T) {
	got := scanAll(t, "a,b\n"+strings.Repeat("\"a\n", 2_000_000), ',', 2)
	if len(got) != 2_000_001 {
		t.Errorf("%d records", len(got))
	}
}

func TestScannerSmallReads(t *testing.T) {
	text := "a,b\r\n\"1\r\n1\",2\r\n3,\"4\"\r\n"
	s := newScanner(iotest.OneByteReader(strings.NewReader(text)), ',', false)
	s.buf = make([]byte, 1)
	var lines []int
	for {
		rec, err := s.next()
		if err != nil {
			break
		}
		lines = append(lines, rec.line)
	}
	if d := cmp.Diff([]int{1, 2, 4}, lines); d != "" {
		t.Error(d)
	}
}

// On what encoding/csv accepts strictly, both read the same cells.
func FuzzScannerAgreesWithCSV(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("\"a\"\"\",b\r\n\"1\n2\",\"\"\n")
	f.Add("x,\"y")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\r\x00") { // encoding/csv rewrites CRLF inside quotes
			t.Skip()
		}
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		var got, bare [][]string
		for _, rec := range scanAll(t, text, ',', 0) {
			if rec.Fault != "" {
				t.Fatalf("%q: %s", text, rec.Fault)
			}
			got = appendUnlessBlank(got, rec.Cells)
		}
		for _, row := range want {
			bare = appendUnlessBlank(bare, row)
		}
		if d := cmp.Diff(bare, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	})
}

// Blank lines are no records to encoding/csv and skipped above the scanner.
func appendUnlessBlank(rows [][]string, row []string) [][]string {
	if len(row) == 1 && row[0] == "" {
		return rows
	}
	return append(rows, row)
}

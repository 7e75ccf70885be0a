package mapping

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sheet"
	"carfluence/internal/vehicle"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var testCleaner = vehicle.Cleaner{Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}

// Each file of testdata and what is read from it: format, header notes, and row by row the change, the notes,
// the fault.
func TestFilesAreReadAsTheGoldenSays(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if filepath.Ext(path) == ".golden" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := describe(t, path)
			golden := path + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func describe(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	rd, err := sheet.NewReader(f, path)
	if err != nil {
		fmt.Fprintf(&b, "refused: %v\n", err)
		return b.Bytes()
	}
	m, err := New(rd.Header, rd.Sample(), Options{})
	if err != nil {
		fmt.Fprintf(&b, "refused: %v\n", err)
		return b.Bytes()
	}
	fmt.Fprintf(&b, "notes: %q\nunmapped: %q\n", m.Notes, m.Unmapped)
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		change, notes, fault := m.Map(testCleaner, row)
		describeRow(&b, row.Line, change, notes, fault)
	}
	fmt.Fprintf(&b, "format: %+v\n", rd.Format())
	return b.Bytes()
}

func describeRow(b *bytes.Buffer, line int, c vehicle.Change, notes []Problem, fault *Problem) {
	fmt.Fprintf(b, "line %d: %s\n", line, c.VIN)
	if fault != nil {
		fmt.Fprintf(b, "  refused: %s %q: %s\n", fault.Column, fault.Value, fault.Reason)
		return
	}
	var emptied, values []string
	for f := range vehicle.NumFields {
		switch {
		case c.Present.Has(f) && c.Values[f] == "":
			emptied = append(emptied, f.String())
		case c.Present.Has(f):
			values = append(values, fmt.Sprintf("  %s = %s\n", f, c.Values[f]))
		}
	}
	slices.Sort(emptied) // the order of fields is inventory's business
	slices.Sort(values)
	b.WriteString(strings.Join(values, ""))
	fmt.Fprintf(b, "  empty: %s\n", strings.Join(emptied, " "))
	for _, n := range notes {
		fmt.Fprintf(b, "  note: %s %q: %s\n", n.Column, n.Value, n.Reason)
	}
}

package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carfluence/internal/sheet"
)

// normalised are small files of each type and how they are read.
var normalised = map[string]Options{
	"vauto.csv":           {Type: TypeVAuto},
	"vauto-no-header.txt": {Type: TypeVAuto},
	"homenet.csv":         {Type: TypeHomeNet},
	"elead.csv":           {Type: TypeElead},
	"custom-dirty.txt":    {Type: TypeCustom, Own: map[string]string{"Lot Row": "custom.row"}},
	"custom-own.csv": {Type: TypeCustom, DayFirst: true, DecimalComma: true, Own: map[string]string{
		"FIN": "vin", "Marke": "make", "Modell": "model", "Preis": "price", "km": "mileage", "Farbe": "exterior_color", "EZ": "date_in_stock", "Standtage": "", "Notiz": "custom.note", "Foto": "photos",
	}},
}

// Each file as JSON lines: what is odd about it, then the change or the fault of each row with its warnings.
func TestFilesAreNormalisedAsTheGoldenSays(t *testing.T) {
	for name, o := range normalised {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata/normalised", name)
			got := normalise(t, path, o)
			golden := path + ".jsonl"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHeaderlessGivesTheSameVehicles(t *testing.T) {
	rows := func(name string) []string {
		lines := strings.Split(normalise(t, filepath.Join("testdata/normalised", name), Options{Type: TypeVAuto}), "\n")
		for i := range lines {
			_, lines[i], _ = strings.Cut(lines[i], ",") // without the number of the line
		}
		return lines[1:]
	}
	if d := cmp.Diff(rows("vauto.csv"), rows("vauto-no-header.txt")); d != "" {
		t.Error(d)
	}
}

func normalise(t *testing.T, path string, o Options) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rd, err := sheet.NewReader(f, path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(rd.Header, rd.Sample(), o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		writeLine(t, &b, m, row)
	}
	head, err := json.Marshal(map[string]any{"unmapped": m.Unmapped, "notes": m.Notes, "format": fmt.Sprintf("%+v", rd.Format())})
	if err != nil {
		t.Fatal(err)
	}
	return string(head) + "\n" + b.String()
}

func writeLine(t *testing.T, b *strings.Builder, m *Mapping, row sheet.Row) {
	t.Helper()
	change, notes, fault := m.Map(testCleaner, row)
	var warnings []string
	for _, n := range notes {
		warnings = append(warnings, n.Column+": "+n.Reason)
	}
	line := struct {
		Line     int             `json:"line"`
		Vehicle  json.RawMessage `json:"vehicle,omitempty"`
		Refused  string          `json:"refused,omitempty"`
		Skipped  string          `json:"skipped,omitempty"`
		Warnings []string        `json:"warnings,omitempty"`
	}{Line: row.Line, Warnings: warnings}
	switch {
	case fault == nil:
		line.Vehicle = change.AppendJSON(nil)
	case fault.Skipped:
		line.Skipped = fault.Reason
	default:
		line.Refused = fault.Reason
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(line); err != nil {
		t.Fatal(err)
	}
}

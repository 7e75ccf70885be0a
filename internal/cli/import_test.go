package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carfluence/internal/app"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// command runs a command line on the data folder of a test.
func command(t *testing.T, data string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), append(args, "--data", data), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// install makes an installation without a group.
func install(t *testing.T, data string) {
	t.Helper()
	s, err := app.OpenStores(t.Context(), app.Store{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const feedText = "VIN|Price|Color|Shade\n1FTFW1E84NFA10001|$20,000|Red|x\n2HGFE2F52PH500002|cheap|Blue|x\nnone|1|Blue|x\n"

func TestImportTellsWhatBecameOfTheFile(t *testing.T) {
	data := t.TempDir()
	if sqldbtest.Engine() == sqldb.PostgreSQL {
		onServer(t, sqldbtest.Empty(t))
	}
	file := writeFile(t, "stock.txt", feedText)
	for _, args := range [][]string{{"import", file}, {"migrate"}} {
		if code, _, errOut := command(t, filepath.Join(data, "mistyped"), args...); code != exitUsage || !strings.Contains(errOut, "there is no installation") {
			t.Errorf("%s in a folder that is none: %d %s", args[0], code, errOut)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "mistyped")); err == nil {
		t.Error("a mistyped folder was made")
	}
	install(t, data)
	if code, _, errOut := command(t, data, "migrate"); code != exitOK {
		t.Fatal(errOut)
	}
	if code, _, errOut := command(t, data, "import", file); code != exitFailure || !strings.Contains(errOut, "group add") {
		t.Errorf("without a group: %d %s", code, errOut)
	}
	if code, _, errOut := command(t, data, "group", "add", "Group"); code != exitOK {
		t.Fatal(errOut)
	}
	problems := filepath.Join(t.TempDir(), "problems.csv")
	code, out, errOut := command(t, data, "import", file, "--dealer", "Main Street", "--report", problems)
	if code != exitRefused {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	for _, want := range []string{"3 rows", "created    2", "refused    1", "separated by pipe", "Columns not used: Shade.", "Dealerships made (1): Main Street.", `line 4: VIN: the row has no VIN`, `Price "cheap"`} {
		if !strings.Contains(out, want) {
			t.Errorf("report lacks %q:\n%s", want, out)
		}
	}
	written, err := os.ReadFile(problems)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSpace(string(written)), "\n"); len(got) != 3 || !strings.HasPrefix(got[1], "3,warning,Price,cheap,") || !strings.HasPrefix(got[2], "4,refused,VIN,,") {
		t.Errorf("problems:\n%s", written)
	}
	if errOut != "carfluence: 1 of 3 rows refused\n" {
		t.Errorf("error stream of no terminal: %q", errOut)
	}
}

func TestImportReportsAsJSON(t *testing.T) {
	data := newFolder(t)
	command(t, data, "group", "add", "Group")
	code, out, _ := command(t, data, "import", writeFile(t, "stock.txt", feedText), "--dealer", "Main Street", "--json")
	var body reportBody
	if err := json.Unmarshal([]byte(out), &body); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if code != exitRefused || body.RowsTotal != 3 || body.RowsCreated != 2 || body.RowsRefused != 1 || len(body.Refused) != 1 || body.Refused[0].Line != 4 || body.Delimiter != "|" {
		t.Errorf("%d: %+v", code, body)
	}
}

func TestImportThatCannotBeginSaysWhy(t *testing.T) {
	data := newFolder(t)
	command(t, data, "group", "add", "Group")
	tests := []struct {
		file, text string
		code       int
	}{
		{writeFile(t, "empty.csv", ""), "empty", exitFailure},
		{writeFile(t, "rows.csv", "VIN,Price\n"), "no rows", exitFailure},
		{writeFile(t, "vins.csv", "a,b\n1,2\n"), "VIN", exitFailure},
		{filepath.Join(data, "nowhere.csv"), "no such file", exitUsage},
		{os.DevNull, "no regular file", exitUsage},
		{"-", "no regular file", exitUsage},
	}
	for _, tt := range tests {
		if code, _, errOut := command(t, data, "import", tt.file); code != tt.code || !strings.Contains(errOut, tt.text) {
			t.Errorf("%s: %d %s", filepath.Base(tt.file), code, errOut)
		}
	}
}

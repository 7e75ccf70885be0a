package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/vin"
)

// TestALargeFile imports a file and checks that memory does not grow with it: 50,000 rows in every run, a
// million in a soak.
func TestALargeFile(t *testing.T) {
	rows := rounds(50_000, 1_000_000)
	file := filepath.Join(t.TempDir(), "large.csv")
	writeLargeFeed(t, file, rows)
	data := t.TempDir()
	serve(t, data).stop() // makes the dealer group
	cmd := exec.Command(binary, "import", file, "--dealer", "Large Motors")
	cmd.Env = environment(t, data)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(begin)
	peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10 // MiB
	t.Logf("%d rows in %s: %.0f rows/s, at most %d MiB resident", rows, took.Round(time.Millisecond), float64(rows)/took.Seconds(), peak)
	if limit := int64(200 + rows/20_000); peak > limit { // a few bytes a row are kept to find VINs that come twice
		t.Errorf("the import held %d MiB, want at most %d", peak, limit)
	}
	s := serve(t, data)
	key := s.key(s.login(), 1000, "inventory:read")
	r := s.must(200, "GET", "/api/v1/inventory?limit=200&offset=1000", "", key)
	if r.json("pagination.total") != float64(rows) {
		t.Errorf("total %v, want %d", r.json("pagination.total"), rows)
	}
	r = s.must(200, "GET", "/api/v1/inventory/"+largeVIN(rows-1), "", key)
	if r.text("vehicle.stock_number") != fmt.Sprintf("S%07d", rows-1) {
		t.Errorf("the last row: %.300s", r.body)
	}
}

func largeVIN(i int) string {
	text := []byte(fmt.Sprintf("5YJAB1CD0L%07d", i))
	text[8] = vin.CheckDigit(string(text))
	return string(text)
}

func writeLargeFeed(t *testing.T, path string, rows int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "VIN,Stock #,New/Used,Year,Make,Model,Series,Body,Odometer,Colour,Price,Inventory Date")
	for i := range rows {
		fmt.Fprintf(w, "%s,S%07d,U,%d,Tesla,Model 3,Long Range,Sedan,%d,White,%d,03/14/2026\n", largeVIN(i), i, 2018+i%8, i%90000, 20000+i%30000)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

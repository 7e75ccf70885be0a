package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"carfluence/internal/auth"
	"carfluence/internal/sqldb"
	"carfluence/internal/vin"
)

func TestChoose(t *testing.T) {
	for asked, want := range map[string]string{
		"": "reads growth replicas-hot ingest startup inprocess", "startup,reads": "reads startup", "rules": "rules",
	} {
		*only = asked
		chosen, err := choose()
		var names []string
		for _, p := range chosen {
			names = append(names, p.name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("-only %q: %s %v, want %s", asked, got, err, want)
		}
	}
	*only = "reads,writes"
	if _, err := choose(); err == nil || !strings.Contains(err.Error(), "writes") {
		t.Errorf("%v", err)
	}
	*only = ""
}

func TestVehicles(t *testing.T) {
	makes := map[string]bool{}
	for _, m := range models {
		makes[m.make] = true
		if m.body == "" || m.name == "" {
			t.Errorf("%+v is not whole", m)
		}
	}
	if len(makes) != 40 || len(models) != 400 {
		t.Errorf("%d makes and %d models", len(makes), len(models))
	}
	seen, sold := map[string]bool{}, 0
	for i := range 100_000 {
		v := vinOf(i)
		if !vin.Proven(v) || seen[v] {
			t.Fatalf("vehicle %d: VIN %s", i, v)
		}
		seen[v] = true
		if isSold(i) {
			sold++
		}
		if modelOf(i) >= len(models) || priceOf(i, 0) < 5_000 {
			t.Fatalf("vehicle %d: model %d, price %d", i, modelOf(i), priceOf(i, 0))
		}
	}
	if sold < 9_000 || sold > 11_000 {
		t.Errorf("%d of 100000 are sold", sold)
	}
}

func TestKeys(t *testing.T) {
	for i := range 1000 {
		if !auth.ValidKeyText(keyText(i)) {
			t.Fatalf("%s is no key", keyText(i))
		}
	}
}

func TestPlainIndexes(t *testing.T) {
	columns := []string{"column dealer_group_id", "column vin", "column status", "column price_cents", "column document"}
	got, err := plainIndexes(onPostgres, append(columns, "CREATE INDEX vehicle_price ON stock.vehicle USING btree (dealer_group_id, price_cents DESC) WHERE (status = 'active'::text)"))
	if want := `ON feed USING btree (('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || ''), (CAST("Price" AS BIGINT) * 100) DESC) WHERE ((lower("Status")) = 'active'::text);`; err != nil || !strings.Contains(got, want) {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := plainIndexes(onSQLite, append(columns, "CREATE INDEX odd ON vehicle (dealer_group_id, document)")); err == nil || !strings.Contains(err.Error(), "document") {
		t.Errorf("an index nobody knows how to build was built: %v", err)
	}
}

// TestIndexes fails when a new index has a column of which bench doesn't know what it is in a file.
func TestIndexes(t *testing.T) {
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "stock.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context(), sqldb.Stock); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(t.Context(), indexesOnSQLite)
	lines, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (line string, err error) { return line, r.Scan(&line) })
	if err != nil {
		t.Fatal(err)
	}
	got, err := plainIndexes(onSQLite, lines)
	if n := strings.Count(got, "CREATE "); err != nil || n < 5 {
		t.Errorf("%d indexes: %v\n%s", n, err, got)
	}
}

func TestCaller(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			_, _ = w.Write(make([]byte, 100_000))
			w.(http.Flusher).Flush()
			_, _ = w.Write(make([]byte, 7))
		case "/same":
			w.Header().Set("Content-Length", "5") // of what is not sent again
			w.WriteHeader(http.StatusNotModified)
		default:
			_, _ = w.Write([]byte("short"))
		}
	}))
	defer server.Close()
	c, err := call(&process{cmd: &exec.Cmd{}, url: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp([]*caller{c})
	s := &side{auth: always("X-API-Key: k\r\n")}
	for range 3 { // what one answer leaves behind would be taken for the next
		for path, want := range map[string]int{"/chunked": 200, "/same": 304, "/": 200} {
			if err := c.ask(s, query{path: always(path), want: want}, rand.New(rand.NewPCG(0, 0))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.ask(s, query{path: always("/same")}, nil); err == nil {
		t.Error("304 passed for 200")
	}
	if n := c.in.Buffered(); n > 0 {
		t.Errorf("%d bytes are left", n)
	}
}

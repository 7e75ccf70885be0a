package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// TestPostgreSQLFullDisk fills the disk the stock's tables are on: writes are refused, all else goes on, and it recovers
// by itself.
func TestPostgreSQLFullDisk(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "TestFullDisk is its counterpart")
	disk := smallDisk(t, 64)
	c := newCluster(t)
	space := filepath.Join(disk, "space")
	if err := os.Mkdir(space, 0o700); err != nil {
		t.Fatal(err)
	}
	c.give(space)
	// The folder above belongs to the test, and is closed to PostgreSQL's user.
	if err := os.Chmod(filepath.Dir(disk), 0o755); err != nil {
		t.Fatal(err)
	}
	c.exec("CREATE TABLESPACE small LOCATION '"+space+"'", "CREATE DATABASE stock OWNER carfluence TABLESPACE small")
	s := databases{c.url("carfluence", "carfluence"), c.url("carfluence", "stock")}.serve(t, 1)[0]
	admin := s.login()
	key := s.key(admin, 1_000_000, "inventory:read", "inventory:write")
	kept, description := 0, strings.Repeat("One owner, no accidents, all records. ", 200)
	write := func() reply {
		t.Helper()
		r, err := s.call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"%d.00","description":%q}`, vinOf("6FT", kept), 10_000+kept, description), key)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.StatusCode == 201 || r.StatusCode == 200: // written before, and refused all the same
			kept++
		case r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.text("code") != "unavailable":
			t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
		}
		return r
	}
	for kept < 20 {
		if r := write(); r.StatusCode != 201 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	ballast := fill(t, disk)
	for refused := 0; refused < 20; {
		if r := write(); r.StatusCode == 503 {
			refused++
		}
		if kept > 20_000 {
			t.Fatal("20,000 vehicles fit on a full disk")
		}
	}
	t.Logf("full after %d vehicles", kept)
	for i := range 20 {
		if r := s.must(200, "GET", "/api/v1/inventory/"+vinOf("6FT", i), "", key); r.text("vehicle.price") != fmt.Sprintf("%d.00", 10_000+i) {
			t.Errorf("a record on a full disk: %s", r.body)
		}
	}
	s.must(200, "GET", "/api/v1/inventory?limit=20", "", key)
	s.must(200, "GET", "/api/v1/auth/me", "", admin)
	s.login()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it writes again", 10*time.Second, func() bool { return write().StatusCode != 503 })
	found := inventory(t, s, key)
	for n := range kept {
		if found[vinOf("6FT", n)] != fmt.Sprintf("%d.00", 10_000+n) {
			t.Fatalf("%s: %q", vinOf("6FT", n), found[vinOf("6FT", n)])
		}
	}
	if n := checkStores(t, s.data); n != len(found) {
		t.Errorf("%d rows, %d shown", n, len(found))
	}
	s.stop()
}

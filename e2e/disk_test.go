package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// smallDisk is a folder on a disk of its own of the given size in MiB.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		t.Skipf("LEFT OUT: a full disk needs a small file system, and mounting one is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill takes what is left on the disk; the file it made gives it back.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			return ballast
		}
	}
}

func TestFullDisk(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "it fills the disk of its files; TestPostgreSQLFullDisk")
	t.Parallel()
	disk := smallDisk(t, 40)
	data := filepath.Join(disk, "data")
	s := serve(t, data)
	const limit = 1_000_000
	admin := s.login()
	key := s.key(admin, limit, "inventory:read", "inventory:write", "dealers:read")
	spent := 0 // answered calls of the key that count
	call := func(method, path, body string) reply {
		t.Helper()
		r, err := s.call(method, path, body, key)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode < 500 && r.StatusCode != 304 {
			spent++
		}
		if got := r.Header.Get("X-RateLimit-Remaining"); got != strconv.Itoa(limit-spent) {
			t.Fatalf("%s %s: %d, Remaining %s after %d calls", method, path, r.StatusCode, got, spent)
		}
		return r
	}
	write := func(n int) reply {
		return call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"%d.00","description":"%0400d"}`, vinOf("6FT", n), 10_000+n, n))
	}
	kept := 0
	for ; kept < 50; kept++ {
		if r := write(kept); r.StatusCode != 201 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	ballast := fill(t, disk)

	// Writes are refused as soon as the room that SQLite had is used up; everything else goes on.
	refused := 0
	for n := kept; refused < 20; n++ {
		r := write(n)
		switch r.StatusCode {
		case 201:
			if n != kept {
				continue // written again further down
			}
			if kept++; kept > 20_000 {
				t.Fatal("20,000 vehicles fit on a full disk")
			}
		case 503:
			refused++
			if r.Header.Get("Retry-After") == "" || r.text("code") != "unavailable" {
				t.Errorf("%v %s", r.Header, r.body)
			}
			n = kept - 1
		default:
			t.Fatalf("a write on a full disk: %d %s", r.StatusCode, r.body)
		}
	}
	t.Logf("full after %d vehicles", kept)
	for i := range 50 {
		if r := call("GET", fmt.Sprintf("/api/v1/inventory?limit=1&offset=%d", i), ""); r.StatusCode != 200 {
			t.Fatalf("a read on a full disk: %d %s", r.StatusCode, r.body)
		}
		if r := call("GET", "/api/v1/inventory/"+vinOf("6FT", i), ""); r.StatusCode != 200 || r.text("vehicle.price") != fmt.Sprintf("%d.00", 10_000+i) {
			t.Fatalf("a record on a full disk: %d %s", r.StatusCode, r.body)
		}
	}
	s.must(200, "GET", "/api/v1/auth/me", "", admin)
	s.must(401, "GET", "/api/v1/inventory", "", "X-API-Key: cf_live_nonsense")
	if r, err := s.call("POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword)); err != nil || r.StatusCode != 503 && r.StatusCode != 200 {
		t.Errorf("login on a full disk: %d %s %v", r.StatusCode, r.body, err)
	}
	if r, err := s.call("POST", "/api/v1/api-keys", `{"name":"k","scopes":["admin"]}`, admin); err != nil || r.StatusCode != 503 && r.StatusCode != 201 {
		t.Errorf("a new key on a full disk: %d %s %v", r.StatusCode, r.body, err)
	}
	time.Sleep(1500 * time.Millisecond) // several settlements fail meanwhile
	if r := call("GET", "/api/v1/inventory?limit=1", ""); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if _, _, code := carfluence(t, data, "backup", filepath.Join(disk, "copy")); code != 1 {
		t.Errorf("a backup to a full disk ended with %d", code)
	}

	// It recovers by itself.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	_ = os.RemoveAll(filepath.Join(disk, "copy"))
	deadline := time.Now().Add(10 * time.Second)
	for {
		r := write(kept)
		if r.StatusCode == 201 {
			kept++
			break
		}
		if r.StatusCode != 503 || time.Now().After(deadline) {
			t.Fatalf("with room again: %d %s", r.StatusCode, r.body)
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.login()
	if r := call("GET", "/api/v1/inventory?status=all&limit=1", ""); r.json("pagination.total") != float64(kept) {
		t.Errorf("pagination says %v, %d were acknowledged", r.json("pagination.total"), kept)
	}
	s.stop()
	s = serve(t, data)
	found := inventory(t, s, s.key(s.login(), 10_000, "inventory:read"))
	if len(found) != kept {
		t.Errorf("%d vehicles after the restart, %d were acknowledged", len(found), kept)
	}
	for n := range kept {
		if found[vinOf("6FT", n)] != fmt.Sprintf("%d.00", 10_000+n) {
			t.Fatalf("%s: %q", vinOf("6FT", n), found[vinOf("6FT", n)])
		}
	}
	if r := call("GET", "/api/v1/inventory?limit=1", ""); r.StatusCode != 200 { // checks the count
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if n := checkStores(t, data); n != kept {
		t.Errorf("%d rows, want %d", n, kept)
	}
}

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackupWhileWritesGoOnCanBeRestored(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "the command copies its files; TestPostgreSQLBackupCanBeRestored is its counterpart")
	t.Parallel()
	data, copies := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	s := serve(t, data)
	admin := s.login()
	key := s.key(admin, 1_000_000, "inventory:read", "inventory:write")
	w := write(t, s, key, "2FT", 4)
	time.Sleep(500 * time.Millisecond)
	w.mu.Lock()
	before := len(w.acked)
	vins := map[string]bool{}
	for vin := range w.acked {
		vins[vin] = true
	}
	w.mu.Unlock()
	out := mustRun(t, data, "backup", copies)
	time.Sleep(100 * time.Millisecond)
	w.end()
	if before == 0 || len(w.acked) <= before {
		t.Errorf("%d writes before the backup, %d in all: it did not run beside writes", before, len(w.acked))
	}
	if !contains(out, copies) || !contains(out, "secret") {
		t.Errorf("the command does not say what it did and what it left out:\n%s", out)
	}
	list, err := os.ReadDir(copies)
	if err != nil || len(list) != 2 {
		t.Fatalf("the backup has %v, want two files: %v", list, err)
	}
	for _, f := range list {
		if info, _ := f.Info(); info.Mode().Perm() != 0o600 || !strings.HasSuffix(f.Name(), ".db") {
			t.Errorf("%s has mode %s", f.Name(), info.Mode())
		}
	}

	// A second backup into the same folder is refused and leaves the first alone.
	if _, errOut, code := carfluence(t, data, "backup", copies); code != 1 || !contains(errOut, "exists already") {
		t.Errorf("a second backup: %d %s", code, errOut)
	}
	s.stop()

	restored := t.TempDir()
	for _, f := range list {
		copyFile(t, filepath.Join(copies, f.Name()), filepath.Join(restored, f.Name()))
	}
	if _, errOut, code := carfluence(t, restored, "serve"); code != 1 || !contains(errOut, "CARFLUENCE_SECRET") || !contains(errOut, "backup") {
		t.Errorf("without the secret: %d %s", code, errOut)
	}
	if _, err := os.Stat(filepath.Join(restored, "secret")); err == nil {
		t.Fatal("a new secret was made beside an old database")
	}
	copyFile(t, filepath.Join(data, "secret"), filepath.Join(restored, "secret"))
	r := serve(t, restored)
	found := inventory(t, r, key) // the key works
	for vin := range vins {
		if found[vin] == "" {
			t.Errorf("%s was acknowledged before the backup and is not in it", vin)
		}
	}
	if len(found) > len(w.sent) {
		t.Errorf("%d vehicles, %d were sent", len(found), len(w.sent))
	}
	r.must(200, "GET", "/api/v1/auth/me", "", admin) // the session goes on
	r.login()
	if n := checkStores(t, restored); n != len(found) {
		t.Errorf("%d rows, %d shown", n, len(found))
	}
	r.stop()
}

func TestWrongSecretIsToldAtOnce(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	serve(t, data).stop()
	for _, secret := range []string{strings.Repeat("another", 10), "short"} {
		if _, errOut, code := withInput(t, data, "", []string{"CARFLUENCE_SECRET=" + secret}, "serve"); code != 1 || !contains(errOut, "secret") {
			t.Errorf("with %q: %d %s", secret, code, errOut)
		}
		if sqldbtest.Engine() != sqldb.SQLite { // which keeps it in a file, too
			continue
		}
		if err := os.WriteFile(filepath.Join(data, "secret"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errOut, code := carfluence(t, data, "serve"); code != 1 || !contains(errOut, "secret") {
			t.Errorf("with %q in its file: %d %s", secret, code, errOut)
		}
	}
}

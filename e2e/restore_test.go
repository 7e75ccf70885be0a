package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb/sqldbtest"
)

// as are the databases' URLs for another role.
func (d databases) as(t *testing.T, role string) (urls []string) {
	t.Helper()
	for _, database := range []string{d.accounts, d.stock} {
		if database == "" {
			continue
		}
		u, err := url.Parse(sqldbtest.AdminURL(database))
		if err != nil {
			t.Fatal(err)
		}
		if u.Host == "" { // on a socket the user stands in the query
			q := u.Query()
			q.Set("user", role)
			q.Set("password", role)
			u.RawQuery = q.Encode()
		} else {
			u.User = url.UserPassword(role, role)
		}
		urls = append(urls, u.String())
	}
	return urls
}

// script runs one of the scripts that operators are given.
func script(t *testing.T, name string, args ...string) (out string, err error) {
	t.Helper()
	b, err := exec.Command("../scripts/"+name, args...).CombinedOutput()
	return string(b), err
}

// backupRole makes the role that docs/postgresql.md gives to backups.
func backupRole(t *testing.T, database string) (role string) {
	t.Helper()
	conn := administer(t, database)
	role = fmt.Sprintf("carfluence_backup_%d", time.Now().UnixNano())
	if _, err := conn.Exec(t.Context(), `CREATE ROLE `+role+` LOGIN PASSWORD '`+role+`' BYPASSRLS IN ROLE pg_read_all_data`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), `DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	return role
}

func TestPostgreSQLBackupCanBeRestored(t *testing.T) {
	command(t, "pg_dump")
	t.Run("one database", func(t *testing.T) {
		backUpAndRestore(t, databases{accounts: sqldbtest.Empty(t)}, databases{accounts: sqldbtest.Empty(t)})
	})
	t.Run("two", func(t *testing.T) {
		backUpAndRestore(t, databases{sqldbtest.Empty(t), sqldbtest.Empty(t)}, databases{sqldbtest.Empty(t), sqldbtest.Empty(t)})
	})
}

func backUpAndRestore(t *testing.T, old, empty databases) {
	s := old.serve(t, 1)[0]
	admin, key := s.login(), s.feedKey()
	writer := s.key(admin, 1_000_000, "inventory:read", "inventory:write")
	source := s.source(key, s.dealer(key, "Main Street"), "Nightly")
	if r, err := source.upload("stock.csv", strings.NewReader(feedText("A", 40, 10_000, "x"))); err != nil || r.StatusCode != 202 {
		t.Fatalf("%v %s", err, r.body)
	}
	source.finished(1, time.Minute)

	role := backupRole(t, old.accounts)
	own := "carfluence_test"
	if out, err := script(t, "backup-postgres.sh", append([]string{filepath.Join(t.TempDir(), "copy")}, old.as(t, own)...)...); err == nil || !strings.Contains(out, "row-level security") {
		t.Errorf("the servers' own role: %v %s", err, out)
	}
	w := write(t, s, writer, "2FT", 4)
	var before map[string]bool
	eventually(t, "vehicles are written", time.Minute, func() bool {
		before = map[string]bool{}
		w.mu.Lock()
		defer w.mu.Unlock()
		for vin := range w.acked {
			before[vin] = true
		}
		return len(before) > 50
	})
	copies := filepath.Join(t.TempDir(), "copy")
	args := append([]string{copies}, old.as(t, role)...)
	if out, err := script(t, "backup-postgres.sh", args...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	w.end()
	if len(w.acked) <= len(before) {
		t.Error("nothing was written beside the backup")
	}
	if out, err := script(t, "backup-postgres.sh", args...); err == nil || !strings.Contains(out, "not empty") {
		t.Errorf("a second backup into the folder: %v %s", err, out)
	}
	s.stop()

	args = append([]string{copies}, empty.as(t, own)...)
	if out, err := script(t, "restore-postgres.sh", args...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := script(t, "restore-postgres.sh", args...); err == nil || !strings.Contains(out, "already") {
		t.Errorf("a second restore: %v %s", err, out)
	}
	folder := t.TempDir()
	empty.place(folder)
	if _, errOut, code := withInput(t, folder, "", []string{"CARFLUENCE_SECRET=" + strings.Repeat("another", 6)}, "serve"); code != 1 || !contains(errOut, "secret") {
		t.Errorf("with another secret: %d %s", code, errOut)
	}
	r := empty.serve(t, 1)[0]
	if strings.Contains(r.output(), "Made dealer group") {
		t.Error("the restored databases were taken for new ones")
	}
	found := inventory(t, r, writer) // the key works
	for vin := range before {
		if found[vin] == "" {
			t.Errorf("%s was acknowledged before the backup and is not in it", vin)
		}
	}
	if len(found) > len(w.sent)+40 {
		t.Errorf("%d vehicles, %d were sent", len(found), len(w.sent))
	}
	if n := checkStores(t, folder); n != len(found) {
		t.Errorf("%d rows, %d shown", n, len(found))
	}
	r.must(200, "GET", "/api/v1/auth/me", "", admin) // the session goes on
	r.login()
	restored := source.on(r) // with the host key
	restored.lists(40)
	if err := restored.dropper().put("next.csv", feedText("A", 40, 20_000, "x")); err != nil {
		t.Errorf("SFTP: %v", err)
	}
	if l := restored.finished(2, time.Minute)[0]; l.text("status") != "completed" {
		t.Errorf("a file after the restore: %v", l)
	}
	r.stop()
	checkRestored(t, empty)
}

// checkRestored looks for what a server would not show: who owns the tables, and row-level security.
func checkRestored(t *testing.T, d databases) {
	t.Helper()
	tables := 0
	for _, database := range []string{d.accounts, d.stock} {
		if database == "" {
			continue
		}
		conn, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		var n, foreign int
		err = conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)),
			count(*) FILTER (WHERE relowner <> CAST(current_user AS REGROLE)) FROM pg_class c WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('accounts', 'stock'))`).Scan(&n, &foreign)
		if err != nil || foreign > 0 {
			t.Errorf("%d tables and sequences belong to somebody else, %v", foreign, err)
		}
		tables += n
		for _, table := range []string{"accounts.api_key", "stock.vehicle"} {
			_, err := conn.Exec(t.Context(), `SELECT 1 FROM `+table)
			if err == nil || !strings.Contains(err.Error(), "no dealer group is set") && !strings.Contains(err.Error(), "does not exist") {
				t.Errorf("%s without a group: %v", table, err)
			}
		}
		_ = conn.Close(t.Context())
	}
	if tables < 20 {
		t.Errorf("%d tables are guarded", tables)
	}
}

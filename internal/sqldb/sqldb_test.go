package sqldb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

func addGroup(tx *sqldb.DB, t *testing.T, id string) error {
	_, err := tx.Exec(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ($1, $2, 0)`, id, "group "+id)
	return err
}

func groups(t *testing.T, db *sqldb.DB) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM dealer_group`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATransactionIsWholeOrAbsent(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	sentinel := errors.New("no")
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		if err := addGroup(tx, t, "a"); err != nil {
			return err
		}
		return tx.Transact(t.Context(), func(inner *sqldb.DB) error { // joins
			return errors.Join(addGroup(inner, t, "b"), sentinel)
		})
	})
	if !errors.Is(err, sentinel) || groups(t, db) != 0 {
		t.Fatalf("%v, %d rows", err, groups(t, db))
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Transact(t.Context(), func(tx *sqldb.DB) error {
			_ = addGroup(tx, t, "c")
			panic("handler")
		})
	}()
	if groups(t, db) != 0 {
		t.Fatal("a panic left a row behind")
	}
	if err := db.Transact(t.Context(), func(tx *sqldb.DB) error { return addGroup(tx, t, "d") }); err != nil || groups(t, db) != 1 {
		t.Fatalf("after a panic the store takes no writes: %v", err)
	}
}

func TestReadersSeeNothingUncommitted(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		if err := addGroup(tx, t, "a"); err != nil {
			return err
		}
		if n := groups(t, tx); n != 1 {
			t.Errorf("the transaction sees %d of its own rows", n)
		}
		if n := groups(t, db); n != 0 {
			t.Errorf("a reader sees %d rows before the commit", n)
		}
		return nil
	})
	if err != nil || groups(t, db) != 1 {
		t.Fatal(err)
	}
}

func TestAReadingConnectionCantWrite(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its reading connections are others than the writing one")
	db := sqldbtest.Open(t, sqldb.Accounts)
	rows, err := db.Query(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ('x', 'x', 0) RETURNING id`)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	if err == nil || groups(t, db) != 0 {
		t.Fatalf("a write outside a transaction went through Query: %v", err)
	}
}

func TestAStatementWithoutItsGroupIsRefused(t *testing.T) {
	tenant := sqldbtest.Open(t, sqldb.Accounts).Tenant("mine")
	for _, query := range []string{`SELECT id FROM api_key`, `SELECT id FROM api_key WHERE id = $1`, `SELECT id FROM api_key WHERE dealer_group_id = 'yours'`} {
		if _, err := tenant.Query(t.Context(), query); err == nil {
			t.Errorf("sent: %s", query)
		}
		if _, err := tenant.Exec(t.Context(), query); err == nil {
			t.Errorf("sent: %s", query)
		}
		var id string
		if err := tenant.QueryRow(t.Context(), query).Scan(&id); err == nil || errors.Is(err, sqldb.ErrNoRows) {
			t.Errorf("sent: %s", query)
		}
	}
}

func TestErrorsAreClassified(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	if err := addGroup(db, t, "a"); err != nil {
		t.Fatal(err)
	}
	if err := addGroup(db, t, "a"); !sqldb.IsUnique(err) {
		t.Errorf("the same id twice: %v", err)
	}
	_, err := db.Exec(t.Context(), `INSERT INTO membership (dealer_group_id, person_id, role, status, created_at) VALUES ('a', 'nobody', 'admin', 'active', 0)`)
	if !sqldb.IsForeignKey(err) {
		t.Errorf("an unknown person: %v", err)
	}
	_, err = db.Exec(t.Context(), `INSERT INTO authority (id, n) VALUES (2, 0)`)
	if err == nil || sqldb.IsUnique(err) || sqldb.IsForeignKey(err) || sqldb.IsFull(err) || sqldb.IsBusy(err) || errs.KindOf(err) != errs.KindInternal {
		t.Errorf("against a check: %v", err)
	}
}

func TestAFullStoreIsUnavailable(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its size can be capped")
	db := sqldbtest.Open(t, sqldb.Accounts)
	var err error
	if err := db.LimitPages(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil || !sqldb.IsFull(err); i++ {
		if i > 500 {
			t.Fatal("the store never became full")
		}
		_, err = db.Exec(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ($1, $2, 0)`, fmt.Sprint(i), fmt.Sprintf("%0900d", i))
	}
	if errs.KindOf(err) != errs.KindUnavailable {
		t.Errorf("a full store: %v", err)
	}
	_ = groups(t, db) // reads go on
	if err := db.LimitPages(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := addGroup(db, t, "room again"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestTimesKeepMicrosecondsAndNull(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	want := time.Date(2026, 11, 23, 1, 2, 3, 456789000, time.FixedZone("", 3600))
	var got, none sqldb.Time
	if err := db.QueryRow(t.Context(), `SELECT CAST($1 AS BIGINT), $2`, sqldb.At(want), sqldb.At(time.Time{})).Scan(&got, &none); err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) || got.Location() != time.UTC || !none.IsZero() {
		t.Errorf("%v %v", got, none)
	}
}

// TestStatementsAreForgottenUnderUse prepares more texts than are kept, from many goroutines.
func TestStatementsAreForgottenUnderUse(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 400 {
				var n int
				if err := db.QueryRow(t.Context(), fmt.Sprintf(`SELECT %d + $1`, g*300+i), 1).Scan(&n); err != nil || n != g*300+i+1 {
					t.Errorf("%d: %d %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestABackupIsWholeWhileWritesGoOn(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "a server has tools of its own for that")
	db := sqldbtest.Open(t, sqldb.Accounts)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := addGroup(db, t, fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	path := filepath.Join(t.TempDir(), "copy.db")
	err := db.Backup(t.Context(), path)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	copied, err := sqldb.OpenSQLite(t.Context(), path, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if err := copied.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil || groups(t, copied) > groups(t, db) {
		t.Errorf("%d rows copied of %d", groups(t, copied), groups(t, db))
	}
}

// TestTheJobLibraryKnowsItsTables fails when the library is updated without a migration to its new tables.
func TestTheJobLibraryKnowsItsTables(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	conn, err := db.Connect(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	config := &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)}
	m, err := rivermigrate.New(riversqlite.New(conn.DB), config)
	if db.Engine() == sqldb.PostgreSQL {
		m, err = rivermigrate.New(riverdatabasesql.New(conn.DB), config)
	}
	if err != nil {
		t.Fatal(err)
	}
	if res, err := m.Validate(t.Context(), nil); err != nil || !res.OK {
		t.Errorf("%+v %v", res, err)
	}
	if n, err := db.Migrate(t.Context(), sqldb.Stock); err != nil || n != 0 {
		t.Errorf("a second migration took %d steps: %v", n, err)
	}
	if db.Engine() == sqldb.PostgreSQL {
		return
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALentTransactionIsTheCallers(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	sentinel := errors.New("no")
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		return errors.Join(tx.Lend(t.Context(), "add", func(lent *sql.Tx) error {
			_, err := lent.ExecContext(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ('a', 'a', 0)`)
			return err
		}), sentinel)
	})
	if !errors.Is(err, sentinel) || groups(t, db) != 0 {
		t.Errorf("%v, %d rows", err, groups(t, db))
	}
	err = db.Lend(t.Context(), "add", func(lent *sql.Tx) error {
		_, err := lent.ExecContext(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ('a', 'a', 0)`)
		return err
	})
	if err != nil || groups(t, db) != 1 {
		t.Errorf("%v, %d rows", err, groups(t, db))
	}
}

func TestListParameters(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	for _, id := range []string{"a", `b"'\\`, "ç"} {
		if err := addGroup(db, t, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		query string
		list  sqldb.Strings
		want  int
	}{
		{`SELECT count(*) FROM dealer_group WHERE id IN (SELECT value FROM json_each($1))`, sqldb.Strings{`b"'\\`, "ç", "z"}, 2},
		{`SELECT count(*) FROM dealer_group WHERE id IN (SELECT value FROM json_each($1))`, nil, 0},
		{`SELECT count(*) FROM dealer_group WHERE id NOT IN (SELECT value FROM json_each($1)) AND name <> 'x'`, sqldb.Strings{"a"}, 2},
		{`SELECT count(*) FROM dealer_group WHERE id NOT IN (SELECT value FROM json_each($1))`, sqldb.Strings{}, 3},
	} {
		var n int
		if err := db.QueryRow(t.Context(), c.query, c.list).Scan(&n); err != nil || n != c.want {
			t.Errorf("%s %q: %d, %v", c.query, c.list, n, err)
		}
	}
}

// TestTextsSortByTheirBytes whatever the locale of the database.
func TestTextsSortByTheirBytes(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Accounts)
	want := []string{"A-1", "B", "_", "a", "a 2", "a-1", "ä"}
	for _, id := range []string{"ä", "a-1", "_", "B", "a", "a 2", "A-1"} {
		if err := addGroup(db, t, id); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := db.Query(t.Context(), `SELECT id FROM dealer_group ORDER BY id`)
	got, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) })
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v", got, err)
	}
}

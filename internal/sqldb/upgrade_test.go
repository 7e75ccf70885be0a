package sqldb_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// later are the migrations of a version to come.
func later() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)} }
	return fstest.MapFS{
		"migrations/accounts/0901_title.sql":              file(`ALTER TABLE api_key ADD COLUMN title TEXT NOT NULL DEFAULT '';`),
		"migrations/accounts/0902_gadget.sql":             file(`CREATE TABLE gadget (dealer_group_id TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (dealer_group_id, id));`),
		"migrations/accounts/0903_index_key_title.sql":    file(`CREATE INDEX api_key_title ON api_key (dealer_group_id, title);`),
		"migrations/accounts/0904_contract_drop_last.sql": file(`ALTER TABLE api_key DROP COLUMN last4;`),
	}
}

const addTitle = `UPDATE api_key SET title = 'x' WHERE dealer_group_id = $1`

func laterOn(t *testing.T, url string, more fstest.MapFS) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenLaterPostgres(t.Context(), url, sqldb.Accounts, sqldb.PostgresOptions{Wait: 1500 * time.Millisecond}, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func steps(t *testing.T, want int, migrate func(context.Context, sqldb.Store) (int, error), db *sqldb.DB) {
	t.Helper()
	if n, err := migrate(t.Context(), sqldb.Accounts); err != nil || n != want {
		t.Fatalf("%d steps, want %d: %v", n, want, err)
	}
	if pending, err := db.Pending(t.Context(), sqldb.Accounts); err != nil || pending {
		t.Fatalf("pending: %v %v", pending, err)
	}
}

// TestTwoVersionsShareADatabase from the upgrade of the first to the end of the last of the version before.
func TestTwoVersionsShareADatabase(t *testing.T) {
	url := sqldbtest.Empty(t)
	before := onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{})
	if _, err := before.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	keysOf(t, before, "a")
	after := laterOn(t, url, later())
	steps(t, 3, after.Migrate, after)
	keysOf(t, before, "b")
	if _, err := after.Tenant("b").Exec(t.Context(), addTitle); err != nil {
		t.Error(err)
	}
	if _, err := after.Exec(t.Context(), `SELECT id FROM gadget`); err == nil {
		t.Error("a new table is not guarded")
	}
	if left, err := after.Contracts(t.Context(), sqldb.Accounts); err != nil || !left {
		t.Errorf("contract steps are left: %v %v", left, err)
	}
	if _, err := after.Contract(t.Context(), sqldb.Accounts); !errors.Is(err, sqldb.ErrOlder) {
		t.Fatalf("contracted beside the version before: %v", err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	before = onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{}) // the way back
	steps(t, 0, before.Migrate, before)
	keysOf(t, before, "c")

	// While its connections are lost, a program holds nothing up; it is fenced off instead.
	sqldbtest.CutConnections(t, url)
	_ = after.Ping(t.Context())
	steps(t, 1, after.Contract, after)
	_ = before.Ping(t.Context()) // finds that they are
	if err := addGroup(before, t, "d"); errs.KindOf(err) != errs.KindUnavailable || !strings.Contains(err.Error(), "schema 904") {
		t.Errorf("the version before works on: %v", err)
	}
	if _, err := sqldb.OpenPostgres(t.Context(), url, sqldb.Accounts, sqldb.PostgresOptions{}); err == nil || errs.KindOf(err) != errs.KindInternal || !strings.Contains(err.Error(), "later version") {
		t.Errorf("the version before starts: %v", err)
	}
	if left, err := after.Contracts(t.Context(), sqldb.Accounts); err != nil || left {
		t.Errorf("contract steps are left: %v %v", left, err)
	}
}

// TestAStepThatFollowsAContract can't be taken before it.
func TestAStepThatFollowsAContract(t *testing.T) {
	url := sqldbtest.Empty(t)
	before := onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{})
	if _, err := before.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	more := later()
	more["migrations/accounts/0905_next.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE person ADD COLUMN next BIGINT;")}
	after := laterOn(t, url, more)
	if n, err := after.Migrate(t.Context(), sqldb.Accounts); n != 3 || !errors.Is(err, sqldb.ErrOlder) {
		t.Errorf("%d steps: %v", n, err)
	}
	between := laterOn(t, url, later()) // knows the contract step
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	steps(t, 2, after.Migrate, after)
	if err := between.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAnEmptyDatabaseIsMadeWhole: nobody has a version to go back to.
func TestAnEmptyDatabaseIsMadeWhole(t *testing.T) {
	db := laterOn(t, sqldbtest.Empty(t), later())
	if _, err := db.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	if left, err := db.Contracts(t.Context(), sqldb.Accounts); err != nil || left {
		t.Errorf("contract steps are left: %v %v", left, err)
	}
}

// TestAnEmbeddedStoreTakesAllSteps at once, and may be opened by the version before until one was a contract step.
func TestAnEmbeddedStoreTakesAllSteps(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "servers of two versions share a server's databases")
	place := sqldbtest.New(t)
	before := place.Open(t, sqldb.Accounts)
	all, some := later(), later()
	delete(some, "migrations/accounts/0904_contract_drop_last.sql")
	for _, c := range []struct {
		more    fstest.MapFS
		steps   int
		refused bool
	}{{some, 3, false}, {all, 1, true}} {
		db, err := sqldb.OpenLaterSQLite(t.Context(), place.Path(sqldb.Accounts), sqldb.Options{}, c.more)
		if err != nil {
			t.Fatal(err)
		}
		steps(t, c.steps, db.Migrate, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if pending, err := before.Pending(t.Context(), sqldb.Accounts); pending || (err != nil) != c.refused || c.refused && !strings.Contains(err.Error(), "later version") {
			t.Errorf("the version before, %d steps later: %v %v", c.steps, pending, err)
		}
	}
}

// TestAMigrationLetsOthersBy: one that has to wait for a long transaction does not have requests wait with it for longer than they can,
// nor does one that waits in another process hold up an index.
func TestAMigrationLetsOthersBy(t *testing.T) {
	url := sqldbtest.Empty(t)
	before := onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{Wait: 1500 * time.Millisecond})
	if _, err := before.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	keysOf(t, before, "a")
	written, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := before.Patient().Tenant("a").Transact(t.Context(), func(tx *sqldb.Tenant) error {
			_, err := tx.Exec(t.Context(), `UPDATE api_key SET name = 'm' WHERE dealer_group_id = $1`)
			close(written)
			<-release
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-written
	done := make(chan struct{})
	var migrations sync.WaitGroup
	for range 2 {
		db := laterOn(t, url, later())
		migrations.Go(func() {
			if _, err := db.Migrate(t.Context(), sqldb.Accounts); err != nil {
				t.Error(err)
			}
		})
	}
	go func() { migrations.Wait(); close(done) }()
	read := func() {
		var n int
		if err := before.Tenant("a").QueryRow(t.Context(), `SELECT count(*) FROM api_key WHERE dealer_group_id = $1`).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d keys, %v", n, err)
		}
	}
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		read()
	}
	select {
	case <-done:
		t.Error("the migration did not wait for the transaction")
	default:
	}
	close(release)
	all.Wait()
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		case <-time.After(20 * time.Millisecond):
			read()
		}
	}
	var valid bool
	if err := before.QueryRow(t.Context(), `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('api_key_title')`).Scan(&valid); err != nil || !valid {
		t.Errorf("the index is valid: %v %v", valid, err)
	}
}

// TestAnOlderProgramComesDuringAContract, when it has been seen that there is none.
func TestAnOlderProgramComesDuringAContract(t *testing.T) {
	url := sqldbtest.Empty(t)
	before := onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{})
	if _, err := before.Migrate(t.Context(), sqldb.Accounts); err != nil {
		t.Fatal(err)
	}
	keysOf(t, before, "a")
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	after := laterOn(t, url, later())
	steps(t, 3, after.Migrate, after)
	contracted := make(chan error, 1)
	err := after.Patient().Tenant("a").Transact(t.Context(), func(tx *sqldb.Tenant) error { // the step has to wait for
		if _, err := tx.Exec(t.Context(), addTitle); err != nil {
			return err
		}
		go func() {
			_, err := after.Contract(t.Context(), sqldb.Accounts)
			contracted <- err
		}()
		for waits := false; !waits; {
			if err := after.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')`).Scan(&waits); err != nil {
				return err
			}
		}
		before = onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-contracted; !errors.Is(err, sqldb.ErrOlder) {
		t.Errorf("contracted beside the version before: %v", err)
	}
	keysOf(t, before, "b")
	if left, err := after.Contracts(t.Context(), sqldb.Accounts); err != nil || !left {
		t.Errorf("contract steps are left: %v %v", left, err)
	}
}

package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// server leaves a test out that is about PostgreSQL when there is none.
func server(t *testing.T) {
	t.Helper()
	sqldbtest.Only(t, sqldb.PostgreSQL, "it needs a server")
}

func onServer(t *testing.T, url string, store sqldb.Store, o sqldb.PostgresOptions) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenPostgres(t.Context(), url, store, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const addKey = `INSERT INTO api_key (dealer_group_id, id, name, last4, scopes, rate_limit_per_hour, created_at, created_by, updated_at)
	VALUES ($1, $2, 'n', 'last', '[]', 1, 0, '', 0)`

// keysOf makes groups with a key each.
func keysOf(t *testing.T, db *sqldb.DB, groups ...string) {
	t.Helper()
	for _, g := range groups {
		if err := addGroup(db, t, g); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Tenant(g).Exec(t.Context(), addKey, "key-"+g); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheServerHoldsTheGroup sends statements without their WHERE, which the handle would not let through but for a
// comment.
func TestTheServerHoldsTheGroup(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts)
	keysOf(t, db, "a", "b")
	const all = `SELECT count(*), max(id) FROM api_key WHERE CAST($1 AS TEXT) IS NOT NULL /* dealer_group_id */`
	for _, g := range []string{"a", "b", "a", "c", ""} {
		var n int
		var id sql.NullString
		if err := db.Tenant(g).QueryRow(t.Context(), all).Scan(&n, &id); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"a": 1, "b": 1}[g]; n != want || n == 1 && id.String != "key-"+g {
			t.Errorf("group %q sees %d rows, %v", g, n, id)
		}
	}
	if _, err := db.Tenant("a").Exec(t.Context(), strings.Replace(addKey, "$1,", "'b' || substr(CAST($1 AS TEXT), 1, 0), ", 1), "smuggled"); err == nil {
		t.Error("a row of another group was written")
	}
	for _, query := range []string{`SELECT id FROM api_key`, `DELETE FROM api_key`, `UPDATE session SET ended_at = 0`, `SELECT 1 FROM quota`} {
		if _, err := db.Exec(t.Context(), query); err == nil || !strings.Contains(err.Error(), "no dealer group is set") {
			t.Errorf("without a group: %s: %v", query, err)
		}
	}
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error { // the group may change within a transaction
		for _, g := range []string{"a", "b", "a"} {
			var id string
			if err := tx.Tenant(g).QueryRow(t.Context(), `SELECT id FROM api_key WHERE CAST($1 AS TEXT) IS NOT NULL /* dealer_group_id */`).Scan(&id); err != nil || id != "key-"+g {
				t.Errorf("group %s sees %q, %v", g, id, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := db.Exec(t.Context(), `SELECT 1 FROM api_key`); err == nil {
		t.Error("the group outlived its transaction")
	}
}

// TestEveryTableOfTenantsIsGuarded by row-level security that binds the owner too, and planned alike for all groups.
func TestEveryTableOfTenantsIsGuarded(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	for _, store := range []sqldb.Store{sqldb.Accounts, sqldb.Stock} {
		db := place.Open(t, store)
		rows, err := db.Query(t.Context(), `SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
			EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'dealer_group_id'),
			EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'dealer_group_id' AND a.attstattarget = 0)
			FROM pg_class c WHERE c.relnamespace = CAST(current_schema() AS REGNAMESPACE) AND c.relkind IN ('r', 'p')`)
		n := 0
		_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
			var table string
			var forced, tenants, alike bool
			var policies int
			err := r.Scan(&table, &forced, &policies, &tenants, &alike)
			guarded := sqldb.Unguarded[table] == "" && !strings.HasPrefix(table, "river_") && !strings.HasPrefix(table, "schema_version_")
			if guarded != tenants && sqldb.Unguarded[table] == "" || guarded != forced || guarded != (policies == 1) || guarded != alike {
				t.Errorf("%s.%s: has a group %v, forced %v, %d policies", store, table, tenants, forced, policies)
			}
			if guarded {
				n++
			}
			return struct{}{}, err
		})
		if err != nil || n < 4 {
			t.Errorf("%s: %d guarded tables, %v", store, n, err)
		}
	}
}

func TestARoleAboveRowSecurityIsRefused(t *testing.T) {
	server(t)
	url := sqldbtest.AdminURL(sqldbtest.New(t).URL())
	_, err := sqldb.OpenPostgres(t.Context(), url, sqldb.Accounts, sqldb.PostgresOptions{})
	if err == nil || !strings.Contains(err.Error(), "CREATE ROLE") || !strings.Contains(err.Error(), "NOBYPASSRLS") {
		t.Errorf("%v", err)
	}
}

func TestNoErrorRepeatsThePassword(t *testing.T) {
	for _, url := range []string{"postgres://app:hunter2@127.0.0.1:1/cars", "postgres://app:hunter2@db:x/cars", "postgres://app:hunter2@%zz/cars", "mysql://app:hunter2@db/cars",
		"postgres://127.0.0.1:1/cars?user=app&password=hunter2"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := sqldb.OpenPostgres(ctx, url, sqldb.Accounts, sqldb.PostgresOptions{})
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestASlowServerGivesQuickRefusals holds the limits of a handle that people wait for, and that a patient one has none.
func TestASlowServerGivesQuickRefusals(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	db := onServer(t, place.URL(), sqldb.Accounts, sqldb.PostgresOptions{Connections: 2, Wait: 200 * time.Millisecond, Statement: 300 * time.Millisecond})
	refused := func(what string, f func() error) {
		t.Helper()
		begin := time.Now()
		err := f()
		if took := time.Since(begin); errs.KindOf(err) != errs.KindUnavailable || took > 3*time.Second {
			t.Errorf("%s: %v after %v", what, err, took)
		}
	}
	sleep := func(ctx context.Context, db *sqldb.DB) error {
		_, err := db.Exec(ctx, `SELECT pg_sleep(0.6)`)
		return err
	}
	refused("a slow statement", func() error { return sleep(t.Context(), db) })
	if err := sleep(t.Context(), db.Patient()); err != nil {
		t.Errorf("patient: %v", err)
	}
	held, release := make(chan struct{}), make(chan struct{})
	var others sync.WaitGroup
	holds := func() error {
		return db.Patient().Tenant("g").Transact(t.Context(), func(tx *sqldb.Tenant) error {
			err := tx.Lock(t.Context(), "x")
			held <- struct{}{}
			<-release
			return err
		})
	}
	others.Go(func() {
		if err := holds(); err != nil {
			t.Error(err)
		}
	})
	<-held
	takes := func(db *sqldb.DB, group string) func() error {
		return func() error {
			return db.Tenant(group).Transact(t.Context(), func(tx *sqldb.Tenant) error { return tx.Lock(t.Context(), "y", "x") })
		}
	}
	refused("a lock held elsewhere", takes(db, "g"))
	if err := takes(db, "other")(); err != nil {
		t.Errorf("another group's lock: %v", err)
	}
	others.Go(func() {
		if err := takes(db.Patient(), "g")(); err != nil {
			t.Errorf("patient: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	refused("no connection left", func() error { return addGroup(db, t, "late") })
	close(release)
	others.Wait()
}

// TestWaitsAddUp has a transaction wait for one thing after another: not for each of them as long as for one.
func TestWaitsAddUp(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	const wait, first = 2 * time.Second, 1500 * time.Millisecond
	others := onServer(t, place.URL(), sqldb.Accounts, sqldb.PostgresOptions{}).Patient().Tenant("g")
	db := onServer(t, place.URL(), sqldb.Accounts, sqldb.PostgresOptions{Connections: 1, Wait: wait})
	ctx, cancel := context.WithCancel(t.Context())
	var holders sync.WaitGroup
	defer holders.Wait()
	defer cancel()
	holds := func(in *sqldb.Tenant, lock string, d time.Duration) {
		t.Helper()
		held := make(chan error, 1)
		holders.Go(func() {
			_ = in.Transact(ctx, func(tx *sqldb.Tenant) error {
				held <- tx.Lock(ctx, lock)
				select {
				case <-time.After(d):
				case <-ctx.Done():
				}
				return nil
			})
		})
		if err := <-held; err != nil {
			t.Fatal(err)
		}
	}
	holds(others, "second", time.Minute)
	for what, in := range map[string]*sqldb.Tenant{"a lock": others, "the connection": db.Patient().Tenant("g")} {
		holds(in, "first", first)
		begun := time.Now()
		err := db.Tenant("g").Transact(t.Context(), func(tx *sqldb.Tenant) error { return tx.Lock(t.Context(), "first", "second") })
		if took := time.Since(begun); errs.KindOf(err) != errs.KindUnavailable || took < wait-shortly || took > wait+first-shortly {
			t.Errorf("%s and then a lock: %v after %v, want %v", what, err, took, wait)
		}
	}
}

// shortly is how much a wait may be off on a busy machine.
const shortly = 500 * time.Millisecond

func TestLocksThatOutlastTransactions(t *testing.T) {
	place := sqldbtest.New(t)
	a := place.Open(t, sqldb.Stock)
	first, err := a.Hold(t.Context(), "x", sqldb.Holding{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Hold(t.Context(), "x", sqldb.Holding{}); !errors.Is(err, sqldb.ErrHeld) {
		t.Errorf("held twice: %v", err)
	}
	if other, err := a.Hold(t.Context(), "y", sqldb.Holding{}); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	if err := first.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for range 50 { // free at once when released
		again, err := a.Hold(t.Context(), "z", sqldb.Holding{})
		if err != nil {
			t.Fatal(err)
		}
		again.Release()
	}
	waited := make(chan error, 1)
	go func() {
		second, err := a.Hold(t.Context(), "x", sqldb.Holding{Wait: true})
		second.Release()
		waited <- err
	}()
	first.Release()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if err := (*sqldb.Held)(nil).Check(t.Context()); err == nil {
		t.Error("nothing is held")
	}
}

func TestSharedLocks(t *testing.T) {
	server(t)
	place := sqldbtest.New(t)
	a, b := place.Open(t, sqldb.Accounts), place.Open(t, sqldb.Accounts)
	one, err := a.Hold(t.Context(), "serve", sqldb.Holding{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Hold(t.Context(), "serve", sqldb.Holding{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	one.Release()
	for name, want := range map[string]bool{"serve": true, "other": false} {
		if held, err := a.Shared(t.Context(), name); err != nil || held != want {
			t.Errorf("%s is held: %v %v", name, held, err)
		}
	}
	if _, err := a.Hold(t.Context(), "serve", sqldb.Holding{}); !errors.Is(err, sqldb.ErrHeld) {
		t.Errorf("alone beside another: %v", err)
	}
	two.Release()
	alone, err := a.Hold(t.Context(), "serve", sqldb.Holding{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	if held, err := b.Shared(t.Context(), "serve"); err != nil || held {
		t.Errorf("held by all: %v %v", held, err)
	}
	alone.Release()
}

// TestManyProcessesMigrateOnce starts from a database without tables.
func TestManyProcessesMigrateOnce(t *testing.T) {
	url := sqldbtest.Empty(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	steps := map[sqldb.Store]int{}
	for i := range 6 {
		wg.Go(func() {
			store := []sqldb.Store{sqldb.Accounts, sqldb.Stock}[i%2]
			db, err := sqldb.OpenPostgres(t.Context(), url, store, sqldb.PostgresOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			n, err := db.Migrate(t.Context(), store)
			if err != nil {
				t.Error(err)
			}
			if pending, err := db.Pending(t.Context(), store); err != nil || pending {
				t.Errorf("pending after the migration: %v %v", pending, err)
			}
			mu.Lock()
			steps[store] += n
			mu.Unlock()
		})
	}
	wg.Wait()
	if steps[sqldb.Accounts] < 2 || steps[sqldb.Stock] < 8 {
		t.Errorf("steps: %v", steps)
	}
}

// TestAMigrationGuardsAgain repeats the last steps of a database that holds rows.
func TestAMigrationGuardsAgain(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts)
	keysOf(t, db, "a", "b")
	for _, query := range []string{`ALTER TABLE quota DROP COLUMN called_in`, `ALTER TABLE change DROP COLUMN window_no`, `ALTER TABLE replica DROP COLUMN beats`,
		`DELETE FROM schema_version_accounts WHERE version_id = 3`, `ALTER TABLE quota NO FORCE ROW LEVEL SECURITY`} {
		if _, err := db.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if pending, err := db.Pending(t.Context(), sqldb.Accounts); err != nil || !pending {
		t.Errorf("%v %v", pending, err)
	}
	if n, err := db.Migrate(t.Context(), sqldb.Accounts); err != nil || n != 1 {
		t.Errorf("%d steps: %v", n, err)
	}
	if _, err := db.Exec(t.Context(), `SELECT 1 FROM quota`); err == nil {
		t.Error("quota is open")
	}
}

// TestTextPostgreSQLCantHold is the sender's fault, never ours.
func TestTextPostgreSQLCantHold(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts)
	for _, text := range []string{"a\x00b", "\xff\xfe"} {
		var n int
		err := db.QueryRow(t.Context(), `SELECT count(*) FROM dealer_group WHERE id = $1`, text).Scan(&n)
		if errs.KindOf(err) != errs.KindInvalid {
			t.Errorf("%q: %v", text, err)
		}
		if err := addGroup(db, t, text); errs.KindOf(err) != errs.KindInvalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestADeadlockIsWorthAnotherTry makes one.
func TestADeadlockIsWorthAnotherTry(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts).Patient()
	var both sync.WaitGroup
	both.Add(2)
	result := make(chan error, 2)
	for _, order := range [][]string{{"x", "y"}, {"y", "x"}} {
		go func() {
			result <- db.Transact(t.Context(), func(tx *sqldb.DB) error {
				err := tx.Lock(t.Context(), order[0])
				both.Done()
				both.Wait()
				return errors.Join(err, tx.Lock(t.Context(), order[1]))
			})
		}()
	}
	a, b := <-result, <-result
	if failed := errors.Join(a, b); failed == nil || errs.KindOf(failed) != errs.KindUnavailable || !sqldb.IsBusy(failed) || a != nil && b != nil {
		t.Errorf("%v, %v", a, b)
	}
}

// TestACommitThatIsCutSaysSo: whether it was made is not known, and "nothing was changed" might be a lie.
func TestACommitThatIsCutSaysSo(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts)
	for _, query := range []string{
		`CREATE FUNCTION cut() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON dealer_group DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()`,
	} {
		if _, err := db.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // other tests are given the database
		if _, err := db.Exec(context.Background(), `DROP FUNCTION cut() CASCADE`); err != nil {
			t.Error(err)
		}
	})
	insert := func(db *sqldb.DB) error {
		_, err := db.Exec(t.Context(), `INSERT INTO dealer_group (id, name, created_at) VALUES ('cut', 'Cut', 0)`)
		return err
	}
	for name, err := range map[string]error{"alone": insert(db), "in a transaction": db.Transact(t.Context(), insert)} {
		if errs.KindOf(err) != errs.KindUnavailable || !strings.Contains(err.Error(), "not known") {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		_, err := tx.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
		return err
	})
	if errs.KindOf(err) != errs.KindUnavailable || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("cut before its commit: %v", err)
	}
}

// TestAServerThatHangsIsLeft, wherever it stops answering: it keeps none of its own limits.
func TestAServerThatHangsIsLeft(t *testing.T) {
	server(t)
	db := onServer(t, sqldbtest.New(t).URL(), sqldb.Accounts, sqldb.PostgresOptions{Connections: 1, Wait: 200 * time.Millisecond, Statement: 200 * time.Millisecond})
	one := func(db *sqldb.DB) error { return db.QueryRow(t.Context(), `SELECT 1`).Scan(new(int)) }
	within := func(f func(tx *sqldb.DB, hang func()) error) func(hang func()) error {
		return func(hang func()) error {
			return db.Tenant("g").Transact(t.Context(), func(tx *sqldb.Tenant) error { return f(tx.DB(), hang) })
		}
	}
	for name, use := range map[string]func(hang func()) error{
		"exec": func(hang func()) error {
			hang()
			_, err := db.Exec(t.Context(), `SELECT 1`)
			return err
		},
		"query": func(hang func()) error { hang(); return one(db) },
		"ping":  func(hang func()) error { hang(); return db.Ping(t.Context()) },
		"begin": func(hang func()) error { hang(); return db.Transact(t.Context(), one) },
		"lock":  within(func(tx *sqldb.DB, hang func()) error { hang(); return tx.Lock(t.Context(), "x") }),
		"another group": within(func(tx *sqldb.DB, hang func()) error {
			hang()
			return tx.Tenant("h").QueryRow(t.Context(), `SELECT count(*) FROM api_key WHERE dealer_group_id = $1`).Scan(new(int))
		}),
		"commit": within(func(_ *sqldb.DB, hang func()) error { hang(); return nil }),
		"commit with the last statements": within(func(tx *sqldb.DB, hang func()) error {
			tx.Last(tx.Statement(nil, `SELECT 1`))
			hang()
			return nil
		}),
		"roll back": within(func(tx *sqldb.DB, hang func()) error {
			hang()
			return errs.UnavailableFor(time.Second, "The caller's own.", nil)
		}),
	} {
		var pid int
		if err := db.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		process, _ := os.FindProcess(pid)
		begin := time.Now()
		err := use(func() {
			if err := process.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
		})
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); errs.KindOf(err) != errs.KindUnavailable || took > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		for range 50 { // the connection is cut off in the background
			if err = one(db); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("%s, when it is well again: %v", name, err)
		}
	}
}

// TestALockOfAServerThatHangsIsLost, for who else would take it again elsewhere?
func TestALockOfAServerThatHangsIsLost(t *testing.T) {
	server(t)
	db := sqldbtest.Open(t, sqldb.Accounts)
	held, err := db.Hold(t.Context(), "x", sqldb.Holding{})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	var pid int
	err = db.QueryRow(t.Context(), `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	process, _ := os.FindProcess(pid)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // so that the test ends
	defer cancel()
	err = held.Check(ctx)
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Error(err)
	}
	if errs.KindOf(err) != errs.KindUnavailable || ctx.Err() != nil {
		t.Errorf("%v, and %v", err, ctx.Err())
	}
}

// TestAConnectionThatIsResetAsItCommits leaves the outcome unknown; one that there is none left of does not.
func TestAConnectionThatIsResetAsItCommits(t *testing.T) {
	server(t)
	address, reset := resetting(t, sqldbtest.New(t).URL())
	db := onServer(t, address, sqldb.Accounts, sqldb.PostgresOptions{Connections: 1, Wait: 200 * time.Millisecond})
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		err := addGroup(tx, t, "reset")
		reset.Store(true)
		return err
	})
	reset.Store(false)
	if errs.KindOf(err) != errs.KindUnavailable || !strings.Contains(err.Error(), "not known") {
		t.Errorf("%v", err)
	}
	err = db.Transact(t.Context(), func(*sqldb.DB) error { return addGroup(db, t, "none left") })
	if errs.KindOf(err) != errs.KindUnavailable || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("without a connection: %v", err)
	}
}

// resetting is a URL by way of a proxy that, once told to, lets the server have what is sent and resets the client.
func resetting(t *testing.T, url string) (through string, reset *atomic.Bool) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	network, to := pgconn.NetworkAddress(config.Host, config.Port)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	reset = new(atomic.Bool)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(client, server) }()
			go func() {
				defer server.Close()
				defer client.Close()
				for b := make([]byte, 1<<16); ; {
					n, err := client.Read(b)
					cut := reset.Load()
					if cut {
						_ = client.(*net.TCPConn).SetLinger(0)
						_ = client.Close()
					}
					if _, failed := server.Write(b[:n]); failed != nil || err != nil || cut {
						return
					}
				}
			}()
		}
	}()
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, l.Addr(), config.Database), reset
}

package sqldbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
)

// role is what the program runs as in tests: neither superuser nor BYPASSRLS.
const role = "carfluence_test"

// database is one on the server. While this process has it, a connection is open to it.
type database struct {
	name   string
	admin  *pgx.Conn // of the administrator's role
	schema string    // its versions
}

// idle are databases that tests have left. Making one takes longer than emptying one.
var idle struct {
	sync.Mutex
	list []database
}

// newDatabase is an empty database for one test.
func newDatabase(t testing.TB) string {
	t.Helper()
	d, err := takeDatabase()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.empty(); err != nil {
			t.Errorf("empty the test's database: %v", err)
			return
		}
		if d.versions() != d.schema { // the test has changed what others rely on
			d.drop(t)
			return
		}
		idle.Lock()
		idle.list = append(idle.list, d)
		idle.Unlock()
	})
	return urlOf(d.name)
}

func takeDatabase() (database, error) {
	idle.Lock()
	defer idle.Unlock()
	if n := len(idle.list); n > 0 {
		d := idle.list[n-1]
		idle.list = idle.list[:n-1]
		return d, nil
	}
	from, err := template()
	if err != nil {
		return database{}, err
	}
	for range 3 { // another process may take a new one for abandoned
		if d, err := makeDatabase(from); err == nil {
			return d, nil
		}
	}
	return makeDatabase(from)
}

func makeDatabase(from string) (d database, err error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return d, err
	}
	d.name = databases + strings.ReplaceAll(id.String(), "-", "")
	if err := administer(fmt.Sprintf(`CREATE DATABASE %s OWNER %s ENCODING 'UTF8' TEMPLATE %s`, d.name, role, from)); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if d.admin, err = pgx.Connect(ctx, AdminURL(urlOf(d.name))); err != nil {
		return d, err
	}
	d.schema = d.versions()
	return d, nil
}

// versions are the steps of migration that have been taken, "" without any.
func (d database) versions() (all string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = d.admin.QueryRow(ctx, `SELECT string_agg(version_id || ' ' || is_applied, ',' ORDER BY id) FROM (SELECT id, version_id, is_applied FROM accounts.schema_version_accounts
		UNION ALL SELECT 1000 + id, version_id, is_applied FROM stock.schema_version_stock) v`).Scan(&all)
	return all
}

func (d database) drop(t testing.TB) {
	_ = d.admin.Close(context.Background())
	if err := administer(`DROP DATABASE ` + d.name + ` WITH (FORCE)`); err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

// emptyTables leaves what the migrations left. Triggers are off, foreign keys with them.
const emptyTables = `DO $$ DECLARE name TEXT; filled BOOLEAN; BEGIN
	PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
	SET LOCAL session_replication_role = replica;
	FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname IN ('accounts', 'stock') AND tablename NOT LIKE 'schema_version_%' AND tablename <> 'river_migration' LOOP
		EXECUTE 'SELECT EXISTS (SELECT 1 FROM ' || name || ')' INTO filled;
		IF filled THEN EXECUTE 'DELETE FROM ' || name; END IF;
	END LOOP;
	INSERT INTO accounts.authority (id, n) VALUES (1, 0);
END $$`

func (d database) empty() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := d.admin.Exec(ctx, emptyTables)
	return err
}

// databases is how the names of tests' databases begin.
const databases = "carfluence_test_"

// dropAbandoned drops the databases of processes that have ended: nobody is connected to them. (DROP DATABASE finds
// that out by itself, but would keep others from connecting while it waits for them to leave.)
func dropAbandoned(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database d WHERE starts_with(datname, $1)
		AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)`, databases)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range list {
		_, _ = conn.Exec(ctx, `DROP DATABASE IF EXISTS `+name) // refused when somebody has come
	}
	return err
}

// Empty is the URL of a database without any table, dropped when the test has ended.
func Empty(t testing.TB) string {
	t.Helper()
	Only(t, sqldb.PostgreSQL, "it needs a server")
	if _, err := template(); err != nil { // and the role with it
		t.Fatal(err)
	}
	d, err := makeDatabase("template0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.drop(t) })
	return urlOf(d.name)
}

// CutConnections ends all connections to a test's database.
func CutConnections(t testing.TB, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), AdminURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = $1`, role)
	if err != nil {
		t.Fatal(err)
	}
}

// AdminURL is a database of a test as the administrator's role, which row-level security does not bind.
func AdminURL(database string) string {
	u, err := url.Parse(os.Getenv(serverVariable))
	own, ownErr := url.Parse(database)
	if err != nil || ownErr != nil {
		return ""
	}
	u.Path = own.Path
	return u.String()
}

// urlOf is a database on the server as the tests' role.
func urlOf(name string) string {
	u, err := url.Parse(os.Getenv(serverVariable))
	if err != nil {
		return ""
	}
	u.Path = "/" + name
	q := u.Query()
	q.Del("user")
	q.Del("password")
	if u.Host == "" { // on a socket the user stands in the query
		q.Set("user", role)
		q.Set("password", role)
	} else {
		u.User = url.UserPassword(role, role)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// administer runs statements, each by itself, as the administrator's role.
func administer(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, os.Getenv(serverVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", serverVariable, err)
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// template is the name of a migrated database, made by the first test on the server that needs it. The name says
// by which migrations, so a server may be kept.
var template = sync.OnceValues(func() (string, error) {
	name := "carfluence_template_" + sqldb.Fingerprint()
	return name, makeTemplate(name)
})

func makeTemplate(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, os.Getenv(serverVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", serverVariable, err)
	}
	defer conn.Close(ctx)
	// Tests of several packages come at once. The lock ends with the connection.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(7305512)`); err != nil {
		return err
	}
	if err := dropAbandoned(ctx, conn); err != nil {
		return err
	}
	var made bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&made); err != nil || made {
		return err
	}
	part := name + "_part"
	if err := administer(
		`DO $$ BEGIN CREATE ROLE `+role+` LOGIN PASSWORD '`+role+`'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
		`DROP DATABASE IF EXISTS `+part+` WITH (FORCE)`,
		`CREATE DATABASE `+part+` OWNER `+role+` ENCODING 'UTF8' TEMPLATE template0`); err != nil {
		return err
	}
	for _, store := range []sqldb.Store{sqldb.Accounts, sqldb.Stock} {
		if err := migrate(ctx, part, store); err != nil {
			return err
		}
	}
	return administer(`ALTER DATABASE ` + part + ` RENAME TO ` + name)
}

func migrate(ctx context.Context, database string, store sqldb.Store) error {
	db, err := sqldb.OpenPostgres(ctx, urlOf(database), store, sqldb.PostgresOptions{})
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Migrate(ctx, store)
	return err
}

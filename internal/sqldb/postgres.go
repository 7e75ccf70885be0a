package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgresOptions bound what one store may take of a server, so that a slow database gives quick refusals and no
// pile-up; zero values are filled in. A Patient handle waits without a limit.
type PostgresOptions struct {
	Connections int           // open at most; 20
	Wait        time.Duration // for a free connection and then for locks that others hold, in all; 3 s
	Statement   time.Duration // may take; 15 s
}

func (o PostgresOptions) filled() PostgresOptions {
	if o.Connections == 0 {
		o.Connections = 20
	}
	if o.Wait == 0 {
		o.Wait = 3 * time.Second
	}
	if o.Statement == 0 {
		o.Statement = 15 * time.Second
	}
	return o
}

// oldestServer is the oldest PostgreSQL the tests run on.
const oldestServer = 150000

// postgres is the one side of a store on a PostgreSQL server. The tables of a store are a schema of its name.
type postgres struct {
	pool    *pgxpool.Pool
	store   Store
	name    string // in errors
	known   int64  // the last version of the schema that this program knows
	options PostgresOptions
}

// OpenPostgres opens a store on a PostgreSQL server by its URL, "postgres://user:password@host:5432/name". Both
// stores may be in one database. It refuses a role for which row-level security would not count.
//
// The URL must lead to the server, or to a pooler in session mode: the dealer group is a setting of the session.
func OpenPostgres(ctx context.Context, url string, store Store, o PostgresOptions) (*DB, error) {
	return openPostgres(ctx, url, store, o, migrations)
}

func openPostgres(ctx context.Context, url string, store Store, o PostgresOptions, files fs.FS) (*DB, error) {
	config, err := postgresConfig(url, store)
	if err != nil {
		return nil, err
	}
	if err := ownsSessions(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("open the %s store: %w", store, err)
	}
	steps, err := stepsOf(files, store)
	if err != nil {
		return nil, err
	}
	p := &postgres{store: store, name: postgresName(config.ConnConfig), known: steps[len(steps)-1].version, options: o.filled()}
	config.MaxConns = int32(p.options.Connections)
	config.AfterConnect, config.PrepareConn = p.introduce, p.prepare
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open the %s store: %w", store, err)
	}
	side := sql.OpenDB(patience{stdlib.GetPoolConnector(p.pool), p.options.Wait})
	side.SetMaxIdleConns(0) // idle ones belong to the pool
	db := &DB{pool: &pool{write: side, read: side, name: p.name, pg: p, migrations: files}}
	if err := db.Patient().suits(ctx); err != nil {
		if old, ok := errors.AsType[*tooOld](err); ok { // said to who starts it, not to a server's clients
			err = old
		}
		return nil, errors.Join(fmt.Errorf("open the %s store: %w", store, err), db.Close())
	}
	return db, nil
}

// errURL does not repeat the URL, which may hold a password.
var errURL = errors.New("the database's URL can't be read; write it as postgres://user:password@host:5432/name, with % signs and the like of the password percent-encoded")

// CheckPostgresURL tells whether OpenPostgres could read the URL. The error does not repeat it.
func CheckPostgresURL(url string) error {
	_, err := postgresConfig(url, Accounts)
	return err
}

func postgresConfig(url string, store Store) (*pgxpool.Config, error) {
	if !IsPostgresURL(url) {
		return nil, errURL
	}
	config, err := pgxpool.ParseConfig(url)
	if file, ok := errors.AsType[*fs.PathError](err); ok { // of a certificate, key or authority; it holds no password
		return nil, fmt.Errorf("the database's URL: %w", file)
	}
	if err != nil {
		return nil, errURL
	}
	config.ConnConfig.RuntimeParams["application_name"] = "carfluence " + string(store)
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	return config, nil
}

// introduce sets a new connection up, and refuses it when the schema needs a later version of the program. A peer that is gone
// is noticed within half a minute, and what it held is free. Go keeps its side alive likewise.
//
// Each list has an index in its order. The planner takes a group for one of 200, so that to read all of it and sort seems cheap; of a large
// one that would be a hundred thousand rows for a page, or for each step of a walk. What has to be sorted still is. Compiling pays for
// none of the statements.
func (p *postgres) introduce(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('search_path', $1, false), set_config('carfluence.group', '', false), set_config('tcp_keepalives_idle', '10', false),
		set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false), set_config('enable_sort', 'off', false), set_config('jit', 'off', false)`,
		string(p.store))
	if err != nil {
		return err
	}
	return p.attend(ctx, conn)
}

// IsPostgresURL tells a PostgreSQL server's URL from other texts.
func IsPostgresURL(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// postgresName names a database in errors, without its password.
func postgresName(c *pgx.ConnConfig) string {
	return fmt.Sprintf("the database %s on %s", c.Database, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)))
}

// suits refuses a server or role on which the program would not be safe.
func (db *DB) suits(ctx context.Context) error {
	var role, encoding string
	var free bool
	var version int
	err := db.scanRow(ctx, scope{}, `SELECT rolname, rolsuper OR rolbypassrls, current_setting('server_encoding'), CAST(current_setting('server_version_num') AS INTEGER)
		FROM pg_roles WHERE rolname = current_user`, nil, &role, &free, &encoding, &version)
	switch {
	case err != nil:
		return err
	case version < oldestServer:
		return fmt.Errorf("the server is PostgreSQL %d; 15 or later is needed", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database is in %s; make it with ENCODING 'UTF8'", encoding)
	case free:
		return fmt.Errorf(`the role %q is a superuser or has BYPASSRLS, which would switch off the row-level security between dealer groups; use one that is neither:
    CREATE ROLE carfluence LOGIN PASSWORD '…' NOSUPERUSER NOBYPASSRLS;
    CREATE DATABASE carfluence OWNER carfluence ENCODING 'UTF8' TEMPLATE template0;`, role)
	}
	return nil
}

// scope is whose rows a statement may see: one dealer group's, or in tables with row-level security nobody's.
type scope struct {
	group string
	bound bool
}

// setting is the scope as row-level security reads it ("" of a group is one too: events that belong to nobody).
func (s scope) setting() string {
	if !s.bound {
		return ""
	}
	return ":" + s.group
}

// session is how a connection is set up for a statement.
type session struct {
	scope
	patient, yields bool
	lock            time.Duration // how long a lock may be waited for
}

type sessionKey struct{}

// untilKey is until when whoever acquires a connection may wait, for it and then for locks.
type untilKey struct{}

// prepare sets a connection up for who acquires it, unless it is so already.
func (p *postgres) prepare(ctx context.Context, conn *pgx.Conn) (bool, error) {
	wanted, _ := ctx.Value(sessionKey{}).(session)
	switch {
	case wanted.yields:
		wanted.lock = p.options.Wait * 2 / 3
	case wanted.patient:
		wanted.lock = 0
	default:
		wanted.lock = p.options.left(ctx)
	}
	if has, known := conn.PgConn().CustomData()["session"].(session); known && has == wanted {
		return true, nil
	}
	statement := p.options.Statement
	if wanted.patient {
		statement = 0
	}
	delete(conn.PgConn().CustomData(), "session")
	_, err := conn.Exec(ctx, `SELECT set_config('carfluence.group', $1, false), set_config('statement_timeout', $2, false), set_config('lock_timeout', $3, false)`,
		wanted.setting(), milliseconds(statement), milliseconds(wanted.lock))
	if err != nil {
		return false, err
	}
	conn.PgConn().CustomData()["session"] = wanted
	return true, nil
}

// shortWait is how long a wait may take that leaves later ones their whole time; none has less.
const shortWait = 100 * time.Millisecond

// left is what the wait for a connection has left for locks.
func (o PostgresOptions) left(ctx context.Context) time.Duration {
	until, limited := ctx.Value(untilKey{}).(time.Time)
	if left := time.Until(until); limited && left < o.Wait-shortWait {
		return max(left.Truncate(shortWait), shortWait)
	}
	return o.Wait
}

// waitsUntil is when a transaction that begins now has waited long enough.
func (db *DB) waitsUntil() time.Time {
	if db.pool.pg == nil || db.patient {
		return time.Time{}
	}
	return time.Now().Add(db.pool.pg.options.Wait)
}

// waitLess leaves the later waits of a transaction what an earlier one has left.
func (db *DB) waitLess(ctx context.Context) error {
	if db.until.IsZero() {
		return nil
	}
	ctx, done := db.limited(ctx)
	defer done()
	_, err := db.tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, milliseconds(max(time.Until(db.until), shortWait)))
	return err
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// patience bounds how long a connection is waited for.
type patience struct {
	driver.Connector
	wait time.Duration
}

// Connect implements driver.Connector.
func (c patience) Connect(ctx context.Context) (driver.Conn, error) {
	if s, _ := ctx.Value(sessionKey{}).(session); !s.patient {
		until := time.Now().Add(c.wait)
		limited, cancel := context.WithDeadline(context.WithValue(ctx, untilKey{}, until), until)
		defer cancel()
		ctx = limited
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, notSent{err}
	}
	return conn, nil
}

// notSent is why there was no connection to send a statement over.
type notSent struct{ error }

// Unwrap is for errors.Is.
func (e notSent) Unwrap() error { return e.error }

// in says which session a connection is acquired for.
func (db *DB) in(ctx context.Context, s scope) context.Context {
	if db.pool.pg == nil {
		return ctx
	}
	return context.WithValue(ctx, sessionKey{}, session{scope: s, patient: db.patient, yields: db.yields})
}

// enter lets the statements of a transaction see a group's rows from here on.
func (db *DB) enter(ctx context.Context, s scope) error {
	if db.pool.pg == nil || db.tx == nil || !s.bound || db.scope == s {
		return nil
	}
	ctx, done := db.limited(ctx)
	defer done()
	if _, err := db.tx.ExecContext(ctx, `SELECT set_config('carfluence.group', $1, true)`, s.setting()); err != nil {
		return classify("choose dealer group", err)
	}
	db.scope = s
	return nil
}

// lists are list parameters as SQLite takes them: JSON text.
var lists = regexp.MustCompile(`(NOT )?IN \(SELECT value FROM json_each\((\$\d+)\)\)`)

// dialect spells in PostgreSQL's way what the two engines do not share.
func dialect(query string) string {
	if !strings.Contains(query, "json_each") {
		return query
	}
	return lists.ReplaceAllStringFunc(query, func(in string) string {
		m := lists.FindStringSubmatch(in)
		compare := "= ANY"
		if m[1] != "" {
			compare = "<> ALL"
		}
		return compare + " (ARRAY(SELECT jsonb_array_elements_text(CAST(" + m[2] + " AS JSONB))))"
	})
}

// Codes of PostgreSQL, https://www.postgresql.org/docs/15/errcodes-appendix.html.
const (
	pgUnique      = "23505"
	pgForeignKey  = "23503"
	pgDiskFull    = "53100"
	pgReadOnly    = "25006" // as on a standby
	pgLockTimeout = "55P03"
	pgCancelled   = "57014" // also by statement_timeout
	pgDeadlock    = "40P01"
	pgSerialize   = "40001"
	pgBadText     = "22021" // NUL, or bytes that are no UTF-8
	pgBadEscape   = "22P05" // \u0000 in JSON
	pgNoPrivilege = "42501"
	pgTooMany     = "53300" // connections
)

// pgCode is the code of a PostgreSQL error, "" for others.
func pgCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// isGone tells that the server is away, going or coming, or has no connection left.
func isGone(err error) bool {
	if code := pgCode(err); code == pgTooMany || strings.HasPrefix(code, "08") {
		return true
	}
	_, refused := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return refused || network || isCut(err)
}

// isCut tells that the server, or something on the way to it, has ended a connection.
func isCut(err error) bool {
	if _, refused := errors.AsType[*pgconn.ConnectError](err); refused {
		return false
	}
	if _, network := errors.AsType[*net.OpError](err); network {
		return true
	}
	return strings.HasPrefix(pgCode(err), "57P") || errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

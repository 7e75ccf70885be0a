package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"carfluence/internal/auth"
	"carfluence/internal/sqldb"
)

// Database is the PostgreSQL server that holds the stores, where they are not embedded.
type Database struct {
	Database            string        `help:"PostgreSQL database: postgres://USER:PASSWORD@HOST:5432/NAME. Empty: SQLite inside --data." env:"CARFLUENCE_DATABASE" placeholder:"URL"`
	StockDatabase       string        `help:"A second PostgreSQL database for vehicles, feeds and jobs. Empty: they are in --database." env:"CARFLUENCE_STOCK_DATABASE" placeholder:"URL"`
	DatabaseConnections int           `help:"Connections to PostgreSQL at most, of each of the two stores." default:"20" env:"CARFLUENCE_DATABASE_CONNECTIONS"`
	DatabaseWait        time.Duration `help:"How long a request waits for a free connection to PostgreSQL, and for what another one is writing, before it is answered with 503." default:"3s" env:"CARFLUENCE_DATABASE_WAIT"`
	DatabaseTimeout     time.Duration `help:"How long one statement of a request may take on PostgreSQL; files and imports have no limit." default:"15s" env:"CARFLUENCE_DATABASE_TIMEOUT"`
}

// OnServer tells that the stores are on a PostgreSQL server.
func (d *Database) OnServer() bool { return d.Database != "" }

// Validate reports every fault at once, and reads the URLs that stand in files.
func (d *Database) Validate() error {
	all := []error{urlFrom(&d.Database, "CARFLUENCE_DATABASE"), urlFrom(&d.StockDatabase, "CARFLUENCE_STOCK_DATABASE")}
	for _, u := range []struct{ name, url string }{{"database", d.Database}, {"stock-database", d.StockDatabase}} {
		if u.url == "" {
			continue
		}
		if err := sqldb.CheckPostgresURL(u.url); err != nil {
			all = append(all, fmt.Errorf("--%s: %w", u.name, err))
		}
	}
	if d.StockDatabase != "" && d.Database == "" {
		all = append(all, errors.New("--stock-database: set --database too; both stores are on PostgreSQL, or none"))
	}
	if d.DatabaseConnections < 0 || d.DatabaseConnections > 10_000 {
		all = append(all, fmt.Errorf("--database-connections: %d is outside 1 to 10000", d.DatabaseConnections))
	}
	for _, l := range []struct {
		name string
		d    time.Duration
	}{{"database-wait", d.DatabaseWait}, {"database-timeout", d.DatabaseTimeout}} {
		if l.d < 0 || l.d > time.Hour {
			all = append(all, fmt.Errorf("--%s: %s is outside 1ms to 1h", l.name, l.d))
		}
	}
	return errors.Join(all...)
}

// urlFrom reads a URL, which may hold a password, from the file that NAME_FILE names.
func urlFrom(to *string, name string) error {
	if *to != "" {
		return nil
	}
	text, err := SecretFrom(name)
	*to = text
	return err
}

func (d *Database) options() sqldb.PostgresOptions {
	return sqldb.PostgresOptions{Connections: d.DatabaseConnections, Wait: d.DatabaseWait, Statement: d.DatabaseTimeout}
}

// stockURL is where the stock is.
func (d *Database) stockURL() string {
	if d.StockDatabase != "" {
		return d.StockDatabase
	}
	return d.Database
}

// MaskedURL is a database's URL without its password.
func MaskedURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		return "(hidden: not a URL)"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	u.RawQuery = "" // may hold one too
	return u.String()
}

// openServer opens the stores on PostgreSQL. Processes that start at the same time bring the schema up to date once.
func openServer(ctx context.Context, c Store) (_ *Stores, err error) {
	s := &Stores{dir: c.Data, place: c.Where()}
	if s.Secret, err = serverSecret(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.Accounts, err = sqldb.OpenPostgres(ctx, c.Database.Database, sqldb.Accounts, c.options()); err != nil {
		return nil, err
	}
	if s.Stock, err = sqldb.OpenPostgres(ctx, c.stockURL(), sqldb.Stock, c.options()); err != nil {
		return nil, err
	}
	if err := s.refuseUnfinished(ctx); err != nil {
		return nil, err
	}
	return s, s.prepare(ctx)
}

// serverSecret has no folder to be kept in: every server needs the same one.
func serverSecret() ([]byte, error) {
	text, err := SecretFrom("CARFLUENCE_SECRET")
	if err == nil && text == "" {
		err = fmt.Errorf("with --database set CARFLUENCE_SECRET or CARFLUENCE_SECRET_FILE to at least %d random characters, the same for every server and command on that database (openssl rand -hex 32 makes some)", minSecret)
	}
	if err != nil {
		return nil, err
	}
	return checkedSecret(text)
}

// existsOnServer tells whether the accounts' tables have been made.
func (c Store) existsOnServer(ctx context.Context) (bool, error) {
	db, err := sqldb.OpenPostgres(ctx, c.Database.Database, sqldb.Accounts, c.options())
	if err != nil {
		return false, err
	}
	made, err := db.Made(ctx, sqldb.Accounts)
	return made, errors.Join(err, db.Close())
}

// serving is the lock that every server holds, shared with the others, on the accounts.
const serving = "serve"

// servedOnServer tells whether a server is at work on the database, or may be.
func (s *Stores) servedOnServer() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	served, err := s.Accounts.Shared(ctx, serving)
	return served || err != nil
}

// FirstStart makes one of several servers that start at the same time the first, for the time of f.
func (s *Stores) FirstStart(ctx context.Context, f func() error) error {
	held, err := s.Accounts.Hold(ctx, "first start", sqldb.Holding{Wait: true})
	if err != nil {
		return err
	}
	defer held.Release()
	return f()
}

// prepare brings the schemas up to date and checks the secret.
func (s *Stores) prepare(ctx context.Context) error {
	for _, of := range s.both() {
		if err := s.migrate(ctx, of.db, of.store); err != nil {
			return err
		}
	}
	return auth.CheckSecret(ctx, s.Accounts, s.Secret)
}

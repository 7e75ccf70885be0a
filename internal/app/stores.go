package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"carfluence/internal/feed"
	"carfluence/internal/inventory"
	"carfluence/internal/rule"
	"carfluence/internal/sqldb"
)

// Files inside the data folder.
const (
	accountsFile = "accounts.db"
	stockFile    = "stock.db"
	secretFile   = "secret"
	lockFile     = "serve.lock"
	setupFile    = "setup.lock" // held while databases and secret are made or migrated
)

// stockBusyTimeout is how long a write to the stock waits for another process, such as an import.
const stockBusyTimeout = 30 * time.Second

// minSecret is the least length of the server's secret in characters.
const minSecret = 32

// Stores are the open databases and the secret that belongs to them.
type Stores struct {
	Accounts *sqldb.DB
	Stock    *sqldb.DB
	Secret   []byte
	dir      string // the data folder
	place    string // of the databases, for people
}

// Shared says that other servers may work on the same databases. An embedded one has one server.
func (s *Stores) Shared() bool { return s.Accounts.Engine() == sqldb.PostgreSQL }

// OpenStores opens the stores, creating what is missing, and brings their schema up to date. A kill at any
// point leaves what the next call completes.
func OpenStores(ctx context.Context, c Store) (*Stores, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.OnServer() {
		return openServer(ctx, c)
	}
	if err := c.refuseMoved(); err != nil {
		return nil, err
	}
	return openFolder(ctx, c)
}

// openFolder opens the embedded stores of a data folder.
func openFolder(ctx context.Context, c Store) (_ *Stores, err error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	setup := flock.New(filepath.Join(c.Data, setupFile))
	if _, err := setup.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	defer setup.Unlock()
	s := &Stores{dir: c.Data, place: c.Where()}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	fresh, err := createPrivate(filepath.Join(c.Data, accountsFile))
	if err != nil {
		return nil, err
	}
	if _, err := createPrivate(filepath.Join(c.Data, stockFile)); err != nil {
		return nil, err
	}
	if s.Secret, err = loadSecret(filepath.Join(c.Data, secretFile), fresh); err != nil {
		return nil, err
	}
	if s.Accounts, err = sqldb.OpenSQLite(ctx, filepath.Join(c.Data, accountsFile), sqldb.Options{FullSync: true}); err != nil {
		return nil, err
	}
	if s.Stock, err = sqldb.OpenSQLite(ctx, filepath.Join(c.Data, stockFile), sqldb.Options{BusyTimeout: stockBusyTimeout}); err != nil {
		return nil, err
	}
	return s, s.prepare(ctx)
}

// Exists tells whether there is an installation.
func (c Store) Exists(ctx context.Context) (bool, error) {
	if c.OnServer() {
		return c.existsOnServer(ctx)
	}
	_, err := os.Stat(filepath.Join(c.Data, accountsFile))
	return err == nil, nil
}

// Where names the place of the databases to people.
func (c Store) Where() string {
	if c.OnServer() {
		return MaskedURL(c.Database.Database)
	}
	return c.Data
}

// migrate brings a schema to what this program needs. An embedded one is not changed under a running server.
func (s *Stores) migrate(ctx context.Context, db *sqldb.DB, store sqldb.Store) error {
	pending, err := db.Pending(ctx, store)
	if err != nil || !pending {
		return err
	}
	if db.Engine() == sqldb.SQLite && s.Served() {
		if pending, err = db.Pending(ctx, store); err != nil || !pending { // that server has just done it
			return err
		}
		return s.olderAtWork()
	}
	_, err = db.Migrate(ctx, store)
	if errors.Is(err, sqldb.ErrOlder) {
		return s.olderAtWork()
	}
	return err
}

func (s *Stores) olderAtWork() error {
	return fmt.Errorf("a server or command of an earlier version is at work on %s; stop it first, so that the databases can be brought up to date", s.place)
}

// Contract takes the last steps of an upgrade, after which there is no way back to the version before.
func (s *Stores) Contract(ctx context.Context) error {
	for _, of := range s.both() {
		_, err := of.db.Contract(ctx, of.store)
		if errors.Is(err, sqldb.ErrOlder) {
			return s.olderAtWork()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Contracts tells whether such steps are left.
func (s *Stores) Contracts(ctx context.Context) (left bool, err error) {
	for _, of := range s.both() {
		if left, err = of.db.Contracts(ctx, of.store); left || err != nil {
			return left, err
		}
	}
	return false, nil
}

type storeOf struct {
	db    *sqldb.DB
	store sqldb.Store
}

func (s *Stores) both() [2]storeOf {
	return [2]storeOf{{s.Accounts, sqldb.Accounts}, {s.Stock, sqldb.Stock}}
}

// createPrivate makes the file, readable by its owner only, before SQLite would with wider rights. It is
// fresh while nothing was written to it.
func createPrivate(path string) (fresh bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		return true, f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("create database: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("create database: %w", err)
	}
	return info.Size() == 0, nil
}

// loadSecret takes the secret from the environment, else from its file, which is made only beside a new
// database: for an old one a new secret would end every key and session.
func loadSecret(path string, fresh bool) ([]byte, error) {
	text, err := SecretFrom("CARFLUENCE_SECRET")
	if err != nil {
		return nil, err
	}
	if text == "" {
		text, err = secretFromFile(path, fresh)
	}
	if err != nil {
		return nil, err
	}
	return checkedSecret(text)
}

func checkedSecret(text string) ([]byte, error) {
	if len(text) < minSecret {
		return nil, fmt.Errorf("the secret is %d characters long; use at least %d random ones", len(text), minSecret)
	}
	return []byte(text), nil
}

func secretFromFile(path string, fresh bool) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if !fresh {
		return "", fmt.Errorf("the database exists but its secret does not: set CARFLUENCE_SECRET or CARFLUENCE_SECRET_FILE, or put it back to %s (a backup leaves it out)", path)
	}
	var random [32]byte
	_, _ = rand.Read(random[:])
	text := hex.EncodeToString(random[:])
	if err := writePrivate(path, text+"\n"); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return text, nil
}

// writePrivate has the whole file on the disk before anything is stored that depends on it.
func writePrivate(path, text string) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename in it last.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // can't, and need not
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// NewStock is the inventory on open stores, with the rules in force in it. Commands use it beside a server too.
func (s *Stores) NewStock(o inventory.Options, rules rule.Options) (*inventory.Stock, *rule.Rules) {
	stock := inventory.NewStock(s.Stock, o)
	rules.Now = o.Now
	r := rule.New(s.Stock, stock, rules)
	stock.Rules, stock.Integrations = r.InForce, feed.IntegrationNames
	return stock, r
}

// Close closes the stores.
func (s *Stores) Close() error {
	var all []error
	for _, db := range []*sqldb.DB{s.Accounts, s.Stock} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	return errors.Join(all...)
}

// Backup writes a consistent copy of each embedded store into an empty or new folder, while a server may be running.
// The secret is left out: without it the copy holds nothing that lets anybody in.
func (s *Stores) Backup(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("backup folder: %w", err)
	}
	for name, db := range map[string]*sqldb.DB{accountsFile: s.Accounts, stockFile: s.Stock} {
		if err := backupOne(ctx, db, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("back up %s: %w", name, err)
		}
	}
	return nil
}

// backupOne writes beside the target first, so that a file under its final name is always whole.
func backupOne(ctx context.Context, db *sqldb.DB, path string) error {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s exists already; name an empty folder", path)
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := createPrivate(part); err != nil { // SQLite fills an empty file and keeps its rights
		return err
	}
	if err := db.Backup(ctx, part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

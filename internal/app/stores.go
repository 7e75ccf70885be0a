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
	"strings"
	"time"

	"github.com/gofrs/flock"

	"carfluence/internal/sqldb"
)

// Files inside the data folder.
const (
	accountsFile = "accounts.db"
	stockFile    = "stock.db"
	secretFile   = "secret"
	lockFile     = "serve.lock"
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
	dir      string
}

// OpenStores opens the stores, creating what is missing, and brings their schema up to date.
func OpenStores(ctx context.Context, c Store) (_ *Stores, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	s := &Stores{dir: c.Data}
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
	_, err = s.Migrate(ctx)
	return s, err
}

// Migrate brings both schemas up to date and returns the number of steps taken.
func (s *Stores) Migrate(ctx context.Context) (int, error) {
	a, err := s.Accounts.Migrate(ctx, sqldb.Accounts)
	if err != nil {
		return a, err
	}
	b, err := s.Stock.Migrate(ctx, sqldb.Stock)
	return a + b, err
}

// createPrivate makes the file, readable by its owner only, before SQLite would with wider rights.
func createPrivate(path string) (created bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create database: %w", err)
	}
	return true, f.Close()
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
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return text, nil
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

// Backup writes a consistent copy of each store into an empty or new folder, while a server may be running.
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
	if err := db.Backup(ctx, part); err != nil {
		return err
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// Lock makes this process the only server of the data folder: two would each count on their own.
func (s *Stores) Lock() (*flock.Flock, error) {
	lock := flock.New(filepath.Join(s.dir, lockFile))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("another carfluence serves %s already; stop it first, or name another folder with --data", s.dir)
	}
	return lock, nil
}

// Served tells whether a server is running on the data folder.
func (s *Stores) Served() bool {
	lock := flock.New(filepath.Join(s.dir, lockFile))
	ok, err := lock.TryLock()
	if ok {
		_ = lock.Unlock()
	}
	return err == nil && !ok
}

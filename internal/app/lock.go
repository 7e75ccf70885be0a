package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"carfluence/internal/sqldb"
)

// Lock is a server's hold on its installation. The data folder, with its temporary files and uploads under way, is its
// own; an embedded database with it. A database on PostgreSQL it shares with other servers.
type Lock struct {
	folder  *flock.Flock
	stores  *Stores
	serving *sqldb.Held // nil on SQLite
}

// Lock makes this process the only server of the data folder: on SQLite two would each count on their own.
func (s *Stores) Lock() (*Lock, error) {
	l := &Lock{folder: flock.New(filepath.Join(s.dir, lockFile)), stores: s}
	ok, err := l.folder.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("another carfluence serves %s already; stop it first, or name another folder with --data", s.dir)
	}
	if err := l.serve(context.Background()); err != nil {
		return nil, errors.Join(err, l.folder.Unlock())
	}
	return l, nil
}

func (l *Lock) serve(ctx context.Context) (err error) {
	if l.stores.Accounts.Engine() == sqldb.SQLite {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l.serving, err = l.stores.Accounts.Hold(ctx, serving, sqldb.Holding{Shared: true, Wait: true})
	return err
}

// keepEvery is how often a lost lock is taken again.
const keepEvery = 5 * time.Second

// Keep takes the lock on the database again when its connection was lost, until ctx ends.
func (l *Lock) Keep(ctx context.Context, log *slog.Logger) error {
	if l.serving == nil {
		return nil
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if l.serving.Check(ctx) == nil || ctx.Err() != nil {
			continue
		}
		l.serving.Release()
		if err := l.serve(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the lock that tells others of this server is lost", "error", err)
		}
	}
}

// Unlock gives the installation back.
func (l *Lock) Unlock() error {
	l.serving.Release()
	return l.folder.Unlock()
}

// Served tells whether a server is running on the installation, or may be.
func (s *Stores) Served() bool {
	if s.Accounts.Engine() == sqldb.PostgreSQL {
		return s.servedOnServer()
	}
	lock := flock.New(filepath.Join(s.dir, lockFile))
	ok, err := lock.TryLock()
	if ok {
		_ = lock.Unlock()
	}
	return err != nil || !ok
}

package sqldb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LockInventory is the lock under which all that a group's inventory shows is written: vehicles, dealerships, merge
// configs, rules. Whoever needs further locks takes this one first.
const LockInventory = "inventory"

// Lock makes the transaction wait until no other one of the same dealer group holds any of the names, and holds
// them until it ends. What is read after it stays so until then, as far as all who write it take the same lock.
// On SQLite, where one transaction writes at a time, and outside a transaction it does nothing.
func (t *Tenant) Lock(ctx context.Context, names ...string) error {
	whole := make([]string, len(names))
	for i, name := range names {
		whole[i] = t.group + " " + name
	}
	return t.db.Lock(ctx, whole...)
}

// Alone is Transact under a lock, taken before anything is read.
func (t *Tenant) Alone(ctx context.Context, name string, f func(tx *Tenant) error) error {
	return t.Transact(ctx, func(tx *Tenant) error {
		if err := tx.Lock(ctx, name); err != nil {
			return err
		}
		return f(tx)
	})
}

// Lock is Tenant.Lock for what belongs to no group. The names are locked in the given order.
func (db *DB) Lock(ctx context.Context, names ...string) error {
	if db.pool.pg == nil || db.tx == nil {
		return nil
	}
	ctx, done := db.limited(ctx)
	defer done()
	for _, name := range names {
		begun := time.Now()
		_, err := db.tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, db.pool.pg.lockName(name))
		if err == nil && time.Since(begun) > shortWait {
			err = db.waitLess(ctx)
		}
		if err != nil {
			return classify("lock "+name, err)
		}
	}
	return nil
}

// lockName tells the stores apart, which may be in one database.
func (p *postgres) lockName(name string) string { return string(p.store) + " " + name }

// ErrHeld says that somebody else holds what was to be held.
var ErrHeld = errors.New("the lock is held by somebody else, or by nobody")

// Holding is how Hold takes a lock.
type Holding struct {
	Shared bool // with all who hold it so, too
	Wait   bool // until it is free
}

// Hold takes a lock that outlasts transactions: until it is released, or this process ends or loses its
// connection to the server. Without Wait the error is ErrHeld when somebody else has it. On SQLite it excludes this
// process alone, and Shared is always granted: what excludes others there is a lock on the data folder.
func (db *DB) Hold(ctx context.Context, name string, how Holding) (*Held, error) {
	if db.pool.pg != nil {
		return db.pool.pg.hold(ctx, name, how)
	}
	if how.Shared {
		return &Held{}, nil
	}
	for {
		if _, held := db.pool.held.LoadOrStore(name, true); !held {
			return &Held{release: func() { db.pool.held.Delete(name) }}, nil
		}
		if !how.Wait {
			return nil, ErrHeld
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Shared tells whether anybody holds a lock that Hold has taken as a shared one on a PostgreSQL server.
func (db *DB) Shared(ctx context.Context, name string) (held bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objsubid = 1
		AND CAST(classid AS BIGINT) << 32 | CAST(objid AS BIGINT) = hashtextextended($1, 0))`, db.pool.pg.lockName(name)).Scan(&held)
	return held, err
}

// Held is a lock that is held.
type Held struct {
	release func()
	conn    *pgx.Conn
}

// Release gives the lock back. Nothing is held by nil.
func (h *Held) Release() {
	if h != nil && h.release != nil {
		h.release()
	}
}

// checkLimit is how long the server may take to tell that a lock is held; silence is a loss.
const checkLimit = 5 * time.Second

// Check tells whether the lock is still held: an error once the connection to the server was lost.
func (h *Held) Check(ctx context.Context) error {
	if h == nil {
		return ErrHeld
	}
	if h.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	return classify("check lock", h.conn.Ping(ctx))
}

// hold uses a connection of its own, whose end is the lock's end.
func (p *postgres) hold(ctx context.Context, name string, how Holding) (*Held, error) {
	config := p.pool.Config()
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, classify("connect", err)
	}
	end := func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, _ = conn.Exec(limit, `SELECT pg_advisory_unlock_all()`) // by the end of the connection alone it would be free a moment later
		_ = conn.Close(limit)
	}
	if err = config.AfterConnect(ctx, conn); err == nil {
		err = p.take(ctx, conn, name, how)
	}
	if err != nil {
		end()
		return nil, err
	}
	return &Held{release: end, conn: conn}, nil
}

func (p *postgres) take(ctx context.Context, conn *pgx.Conn, name string, how Holding) error {
	shared := ""
	if how.Shared {
		shared = "_shared"
	}
	for {
		var got bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock`+shared+`(hashtextextended($1, 0))`, p.lockName(name)).Scan(&got)
		switch {
		case err != nil:
			return classify("hold "+name, err)
		case got:
			return nil
		case !how.Wait:
			return fmt.Errorf("hold %s: %w", name, ErrHeld)
		}
		// A statement that waits would hold up an index being built, which waits for all statements under way.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return classify("hold "+name, ctx.Err())
		}
	}
}

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Line is one connection of its own to a store: what is sent over it reaches the same session as what was sent
// before, or fails, for good once the connection is lost. It does not wait for the pool. One goroutine uses it at a
// time; rows of a dealer group it reads and writes by Batch alone. On SQLite it is the store itself, and never lost.
type Line struct {
	*DB
	side *sql.DB
}

// Line connects. Its statements have the time limits of requests.
func (db *DB) Line(ctx context.Context) (*Line, error) {
	if db.pool.pg == nil {
		return &Line{DB: db}, nil
	}
	p := db.pool.pg
	config := p.pool.Config()
	side := sql.OpenDB(stdlib.GetConnector(*config.ConnConfig, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		if err := config.AfterConnect(ctx, conn); err != nil {
			return err
		}
		_, err := p.prepare(ctx, conn)
		return err
	})))
	own, err := side.Conn(ctx)
	if err != nil {
		return nil, errors.Join(classify("connect", err), side.Close())
	}
	return &Line{DB: &DB{pool: db.pool, own: own}, side: side}, nil
}

// Lost tells that the connection has ended.
func (l *Line) Lost() bool {
	if l.own == nil {
		return false
	}
	closed := false
	err := l.own.Raw(func(c any) error {
		closed = c.(*stdlib.Conn).Conn().IsClosed()
		return nil
	})
	return err != nil || closed
}

// Close ends the connection.
func (l *Line) Close() error {
	if l.own == nil {
		return nil
	}
	return errors.Join(l.own.Close(), l.side.Close())
}

// Notify tells all who Listen on a channel, after the transaction that is under way, if one is. On SQLite it does
// nothing.
func (db *DB) Notify(ctx context.Context, channel string) error {
	if db.pool.pg == nil {
		return nil
	}
	_, err := db.Exec(ctx, `SELECT pg_notify($1, '')`, channel)
	return err
}

// How soon a lost connection of Listen is made again.
const (
	listenAgain       = 100 * time.Millisecond
	listenAgainAtMost = 2 * time.Second
)

// Listen calls f after each notice on a channel, and after each new connection, as notices may have been missed
// before it. It returns when ctx ends. On SQLite there are no notices.
func (db *DB) Listen(ctx context.Context, channel string, f func()) {
	if db.pool.pg == nil {
		return
	}
	for pause := listenAgain; ctx.Err() == nil; pause = min(2*pause, listenAgainAtMost) {
		began := time.Now()
		db.pool.pg.listen(ctx, channel, f)
		if time.Since(began) > listenAgainAtMost {
			pause = listenAgain
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// listen returns when the connection can't be made, or is lost.
func (p *postgres) listen(ctx context.Context, channel string, f func()) {
	config := p.pool.Config()
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return
	}
	defer func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(limit)
	}()
	if config.AfterConnect(ctx, conn) != nil {
		return
	}
	if _, err = conn.Exec(ctx, `LISTEN `+pgx.Identifier{channel}.Sanitize()); err != nil {
		return
	}
	for err == nil {
		f()
		_, err = conn.WaitForNotification(ctx)
	}
}

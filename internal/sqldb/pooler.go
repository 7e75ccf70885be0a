package sqldb

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// errPooled is why a pooler that hands a session's connection to others is refused.
var errPooled = errors.New("the URL leads to a pooler that gives connections away after each transaction; the dealer group, locks and notifications belong to a session: " +
	"set the pooler to session mode (PgBouncer: pool_mode = session), or name the server itself")

// ownsSessions refuses a pooler in transaction mode. Sessions have a server process each, so two that are open at the
// same time never see the same one. Behind such a pooler the first leaves its process to the second; unless a third
// comes between, hence a few rounds.
func ownsSessions(ctx context.Context, config *pgx.ConnConfig) error {
	var ends [2]*pgx.Conn
	for i := range ends {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return classify("connect", err)
		}
		defer conn.Close(ctx)
		ends[i] = conn
	}
	for range 3 {
		first, err := processOf(ctx, ends[0])
		if err != nil {
			return err
		}
		second, err := processOf(ctx, ends[1])
		if err != nil {
			return err
		}
		if first == second {
			return errPooled
		}
	}
	return nil
}

// processOf is the server process that works a connection's transaction. Nothing is prepared: such a pooler could not
// find it again.
func processOf(ctx context.Context, conn *pgx.Conn) (process int, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&process)
	return process, classify("look for a pooler", err)
}

// Connections are how the connections of a store on a PostgreSQL server are used.
type Connections struct {
	Most, Used, Idle int
	// Since the start: times that somebody had to wait for a free one, how long in all, and those who gave up.
	Waits   int64
	Waited  time.Duration
	Refused int64
}

// Connections reads the store's pool; ok is false on SQLite.
func (db *DB) Connections() (c Connections, ok bool) {
	if db.pool.pg == nil {
		return c, false
	}
	s := db.pool.pg.pool.Stat()
	return Connections{
		Most: int(s.MaxConns()), Used: int(s.AcquiredConns()), Idle: int(s.IdleConns()),
		Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(), Refused: s.CanceledAcquireCount(),
	}, true
}

package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"carfluence/internal/sqldb"
)

type client = river.Client[*sql.Tx]

// newClient makes River's client for the store's engine. One without a side only enqueues.
func newClient(engine sqldb.Engine, side *sqldb.Side, c *river.Config) (*client, error) {
	made, err := river.NewClient(driverOf(engine, side), c)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return made, nil
}

func driverOf(engine sqldb.Engine, side *sqldb.Side) riverdriver.Driver[*sql.Tx] {
	switch {
	case side != nil && side.Pool != nil:
		return riverdatabasesql.NewWithPgxListener(side.DB, side.Pool)
	case engine == sqldb.PostgreSQL:
		return riverdatabasesql.New(nil)
	case side != nil:
		return riversqlite.New(side.DB)
	}
	return riversqlite.New(nil)
}

// Enqueue stores a job in the transaction tx (or, outside one, in its own), to be run once that is committed.
func (q *Queue) Enqueue(ctx context.Context, tx *sqldb.DB, args Args) error {
	return tx.Lend(ctx, "enqueue "+args.Kind(), func(tx *sql.Tx) error {
		_, err := q.inserter.InsertTx(ctx, tx, args, nil)
		return err
	})
}

// adopt makes the running jobs of a process that died available again, and its place as River's leader free.
// On an embedded store nobody else works jobs, so at the start every running one is an orphan.
func adopt(ctx context.Context, side *sqldb.Side) error {
	for _, query := range []string{
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	} {
		if _, err := side.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("take over jobs: %w", err)
		}
	}
	return nil
}

// adoptOrphans makes the running jobs of processes that died available again. Whose lock is free has died.
func (q *Queue) adoptOrphans(ctx context.Context, own string) error {
	workers, err := q.workersAtWork(ctx)
	if err != nil {
		return fmt.Errorf("look for orphans: %w", err)
	}
	for _, id := range workers {
		if id == own {
			continue
		}
		held, err := q.stock.Hold(ctx, lockOf(id), sqldb.Holding{})
		if errors.Is(err, sqldb.ErrHeld) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = q.stock.Exec(ctx, `UPDATE river_job SET state = 'available' WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1`, id)
		held.Release()
		if err != nil {
			return fmt.Errorf("take over jobs: %w", err)
		}
		q.log.Warn("jobs of a process that died are run again", "worker", id)
	}
	return nil
}

// workersAtWork lists the client ids under which jobs are running.
func (q *Queue) workersAtWork(ctx context.Context) ([]string, error) {
	rows, err := q.stock.Query(ctx, `SELECT DISTINCT coalesce(attempted_by[array_upper(attempted_by, 1)], '') FROM river_job WHERE state = 'running'`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (id string, err error) { return id, r.Scan(&id) })
}

// Load is what a queue has to do.
type Load struct {
	Jobs  map[string]int64 // by state: LoadStates
	Delay time.Duration    // since the job that waits longest could have begun
}

// LoadStates are the states of jobs that somebody has to work, or to look at: available (could begin), running, scheduled
// (put off), retryable (has failed and is tried again), discarded (given up).
var LoadStates = []string{"available", "running", "scheduled", "retryable", "discarded"}

// Load counts the jobs of all processes that work the store.
func (q *Queue) Load(ctx context.Context) (l Load, err error) {
	l.Jobs = map[string]int64{}
	rows, err := q.stock.Query(ctx, `SELECT state, count(*) FROM river_job WHERE state IN ('available', 'running', 'scheduled', 'retryable', 'discarded') GROUP BY state`)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var state string
		var n int64
		err := r.Scan(&state, &n)
		l.Jobs[state] = n
		return struct{}{}, err
	})
	if err != nil {
		return l, err
	}
	var since time.Time
	err = q.stock.QueryRow(ctx, `SELECT scheduled_at FROM river_job WHERE state = 'available' ORDER BY scheduled_at LIMIT 1`).Scan(&since)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return l, nil
	case err != nil:
		return l, err
	}
	l.Delay = max(0, time.Since(since))
	return l, nil
}

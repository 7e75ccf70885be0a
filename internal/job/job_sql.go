package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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

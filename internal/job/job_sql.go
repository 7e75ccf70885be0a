package job

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"carfluence/internal/sqldb"
)

type (
	client = river.Client[*sql.Tx]
	pool   = sql.DB
)

// newClient is where the engine is chosen: riverdatabasesql is PostgreSQL's driver with the same transaction
// type. A client without a pool only enqueues.
func newClient(p *pool, c *river.Config) (*client, error) {
	made, err := river.NewClient(riversqlite.New(p), c)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return made, nil
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
func adopt(ctx context.Context, p *pool) error {
	for _, query := range []string{
		`UPDATE river_job SET state = 'available' WHERE state = 'running'`,
		`DELETE FROM river_leader`,
	} {
		if _, err := p.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("take over jobs: %w", err)
		}
	}
	return nil
}

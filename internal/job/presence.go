package job

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"carfluence/internal/sqldb"
)

// orphansEvery is how often a process that has died is looked for on PostgreSQL.
const orphansEvery = 10 * time.Second

// presence is one process's standing among those that work the jobs of a store. On PostgreSQL each holds a lock under
// the name that River records with the jobs it runs: while the lock is held the process lives, and its jobs are its
// own. Without it, as while the server is away, others may run them a second time.
type presence struct {
	queue *Queue
	id    string
	held  *sqldb.Held
}

func (q *Queue) presence() (*presence, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &presence{queue: q, id: id.String()}, nil
}

// begin comes before the first job.
func (p *presence) begin(ctx context.Context, side *sqldb.Side) (err error) {
	if p.queue.stock.Engine() == sqldb.SQLite {
		return adopt(ctx, side)
	}
	if p.held == nil {
		p.held, err = p.queue.stock.Hold(ctx, lockOf(p.id), sqldb.Holding{})
	}
	return err
}

// lockOf names the lock of the process that works jobs under a client id.
func lockOf(id string) string { return "worker " + id }

// watch takes over the jobs of processes that died, until ctx ends.
func (p *presence) watch(ctx context.Context) {
	if p.queue.stock.Engine() == sqldb.SQLite {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.queue.log.Warn("jobs of processes that died are not looked for", "error", err)
		}
		select {
		case <-time.After(orphansEvery):
		case <-ctx.Done():
		}
	}
}

func (p *presence) look(ctx context.Context) (err error) {
	if p.held.Check(ctx) != nil && ctx.Err() == nil {
		p.held.Release()
		if p.held, err = p.queue.stock.Hold(ctx, lockOf(p.id), sqldb.Holding{}); err != nil {
			return err
		}
	}
	return p.queue.adoptOrphans(ctx, p.id)
}

// end comes after the last job.
func (p *presence) end() { p.held.Release() }

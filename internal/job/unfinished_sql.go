package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"carfluence/internal/sqldb"
)

// unfinished is a job that is not done yet, of whatever kind, as another store may take it over: River's own rows
// differ between the engines.
type unfinished struct {
	kind, args string // args are JSON with sorted keys
}

// Kind implements Args.
func (u unfinished) Kind() string { return u.kind }

// MarshalJSON gives the arguments as they were.
func (u unfinished) MarshalJSON() ([]byte, error) { return []byte(u.args), nil }

// unfinishedJobs lists those of a store, among them what was running when its process ended.
func unfinishedJobs(ctx context.Context, stock *sqldb.DB) ([]unfinished, error) {
	args := `json(args)`
	if stock.Engine() == sqldb.PostgreSQL {
		args = `CAST(args AS TEXT)`
	}
	rows, err := stock.Query(ctx, `SELECT kind, `+args+` FROM river_job WHERE finalized_at IS NULL ORDER BY id`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (u unfinished, err error) {
		var text string
		if err := r.Scan(&u.kind, &text); err != nil {
			return u, err
		}
		u.args, err = sorted(text)
		return u, err
	})
}

func sorted(text string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", fmt.Errorf("arguments of a job: %w", err)
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// Unfinished tells which jobs of a store are not done yet, so that two stores can be compared.
func Unfinished(ctx context.Context, stock *sqldb.DB) (sqldb.Sum, error) {
	list, err := unfinishedJobs(ctx, stock)
	rows := make([][]any, len(list))
	for i, u := range list {
		rows[i] = []any{u.kind, u.args}
	}
	return sqldb.SumOf(rows), err
}

// TakeOver enqueues in tx, of the queue's store, the jobs of another store that are not done there, to be run at once
// and with all their attempts before them. It leaves that store as it is.
func (q *Queue) TakeOver(ctx context.Context, tx, from *sqldb.DB) error {
	list, err := unfinishedJobs(ctx, from)
	if err != nil {
		return fmt.Errorf("read jobs: %w", err)
	}
	return tx.Lend(ctx, "enqueue jobs", func(tx *sql.Tx) error {
		for _, u := range list {
			if _, err := q.inserter.InsertTx(ctx, tx, u, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

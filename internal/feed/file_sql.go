package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"carfluence/internal/sqldb"
)

func insertPiece(ctx context.Context, t *sqldb.Tenant, runID string, n int, data []byte, now time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO feed_file (dealer_group_id, run_id, n, data, created_at) VALUES ($1, $2, $3, $4, $5)`, runID, n, data, sqldb.At(now))
	if err != nil {
		return fmt.Errorf("store file: %w", err)
	}
	return nil
}

func copyPieces(ctx context.Context, tx *sqldb.Tenant, from, to string) error {
	_, err := tx.Exec(ctx, `INSERT INTO feed_file (dealer_group_id, run_id, n, data, created_at)
		SELECT dealer_group_id, $3, n, data, created_at FROM feed_file WHERE dealer_group_id = $1 AND run_id = $2`, from, to)
	if err != nil {
		return fmt.Errorf("copy file: %w", err)
	}
	return nil
}

func deletePieces(ctx context.Context, t *sqldb.Tenant, runID string) error {
	_, err := t.Exec(ctx, `DELETE FROM feed_file WHERE dealer_group_id = $1 AND run_id = $2`, runID)
	return err
}

// deleteOldPieces keeps the last files of an integration, and those that are not done with.
func deleteOldPieces(ctx context.Context, tx *sqldb.Tenant, integrationID string, keep int64) error {
	_, err := tx.Exec(ctx, `DELETE FROM feed_file WHERE dealer_group_id = $1 AND run_id IN (
		SELECT r.id FROM feed_run r WHERE r.dealer_group_id = $1 AND r.integration_id = $2 AND r.status NOT IN ('queued', 'running', 'held')
		AND r.id NOT IN (SELECT k.id FROM feed_run k WHERE k.dealer_group_id = $1 AND k.integration_id = $2 ORDER BY k.received_at DESC, k.id DESC LIMIT $3))`,
		integrationID, keep)
	if err != nil {
		return fmt.Errorf("forget old files: %w", err)
	}
	return nil
}

// deleteOrphans forgets pieces of uploads that never ended.
func deleteOrphans(ctx context.Context, t *sqldb.Tenant, before time.Time) error {
	_, err := t.Exec(ctx, `DELETE FROM feed_file WHERE dealer_group_id = $1 AND created_at < $2
		AND NOT EXISTS (SELECT 1 FROM feed_run r WHERE r.dealer_group_id = $1 AND r.id = feed_file.run_id)`, sqldb.At(before))
	return err
}

func deleteOldRuns(ctx context.Context, t *sqldb.Tenant, before time.Time) error {
	return t.Transact(ctx, func(tx *sqldb.Tenant) error {
		const old = `SELECT id FROM feed_run WHERE dealer_group_id = $1 AND received_at < $2 AND status NOT IN ('queued', 'running', 'held')`
		for _, table := range []string{"feed_problem", "feed_file"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE dealer_group_id = $1 AND run_id IN (`+old+`)`, sqldb.At(before)); err != nil {
				return fmt.Errorf("forget old logs: %w", err)
			}
		}
		_, err := tx.Exec(ctx, `DELETE FROM feed_run WHERE dealer_group_id = $1 AND id IN (`+old+`)`, sqldb.At(before))
		return err
	})
}

// pieces reads a kept file piece by piece.
type pieces struct {
	ctx   context.Context
	t     *sqldb.Tenant
	runID string
	n     int
	rest  []byte
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		err := p.t.QueryRow(p.ctx, `SELECT data FROM feed_file WHERE dealer_group_id = $1 AND run_id = $2 AND n = $3`, p.runID, p.n).Scan(&p.rest)
		switch {
		case errors.Is(err, sqldb.ErrNoRows) && p.n == 0:
			return 0, errFileGone
		case errors.Is(err, sqldb.ErrNoRows):
			return 0, io.EOF
		case err != nil:
			return 0, fmt.Errorf("read file: %w", err)
		}
		p.n++
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

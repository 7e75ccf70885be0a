package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const runColumns = `id, integration_id, filename, path, size, sha256, file_time, time_of, received_at, received_by, status, reprocess, attempt, confirmed, applied_as,
	started_at, processed_at, duration_ms, total, created, updated, errors, skipped, warnings, missing, sold, code, detail, report`

func insertRun(ctx context.Context, tx *sqldb.Tenant, r *Run) error {
	by, err := json.Marshal(r.ReceivedBy)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO feed_run (dealer_group_id, `+runColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, FALSE, '',
		NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '{}')`,
		r.ID, r.IntegrationID, r.Filename, r.Path, r.Size, r.SHA256, sqldb.At(r.FileTime), r.TimeOf, sqldb.At(r.ReceivedAt), string(by), r.Status, r.Reprocess)
	if sqldb.IsForeignKey(err) {
		return errNoIntegration
	}
	if err != nil {
		return fmt.Errorf("store run: %w", err)
	}
	return nil
}

func scanRun(scan func(dest ...any) error) (r Run, err error) {
	var by, report string
	var fileTime, received, started, processed sqldb.Time
	var ms int64
	c := &r.Counts
	err = scan(&r.ID, &r.IntegrationID, &r.Filename, &r.Path, &r.Size, &r.SHA256, &fileTime, &r.TimeOf, &received, &by, &r.Status, &r.Reprocess, &r.Attempt, &r.Confirmed, &r.AppliedAs,
		&started, &processed, &ms, &c.Total, &c.Created, &c.Updated, &c.Errors, &c.Skipped, &c.Warnings, &c.Missing, &c.Sold, &r.Code, &r.Detail, &report)
	if err != nil {
		return r, err
	}
	r.FileTime, r.ReceivedAt, r.StartedAt, r.ProcessedAt = fileTime.Time, received.Time, started.Time, processed.Time
	r.Duration = time.Duration(ms) * time.Millisecond
	return r, errors.Join(json.Unmarshal([]byte(by), &r.ReceivedBy), json.Unmarshal([]byte(report), &r.Report))
}

func selectRun(ctx context.Context, t *sqldb.Tenant, integrationID, id string) (Run, error) {
	r, err := scanRun(t.QueryRow(ctx, `SELECT `+runColumns+` FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2 AND id = $3`, integrationID, id).Scan)
	return r, sqldb.Found(err, errNoLog)
}

func selectRunByID(ctx context.Context, t *sqldb.Tenant, id string) (Run, error) {
	r, err := scanRun(t.QueryRow(ctx, `SELECT `+runColumns+` FROM feed_run WHERE dealer_group_id = $1 AND id = $2`, id).Scan)
	return r, sqldb.Found(err, errNoLog)
}

func selectRuns(ctx context.Context, t *sqldb.Tenant, integrationID string, page rest.Page) ([]Run, int64, error) {
	var total int64
	if err := t.QueryRow(ctx, `SELECT count(*) FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2`, integrationID).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count runs: %w", err)
	}
	rows, err := t.Query(ctx, `SELECT `+runColumns+` FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2
		ORDER BY received_at DESC, id DESC LIMIT $3 OFFSET $4`, integrationID, page.Limit, page.Offset)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (Run, error) {
		run, err := scanRun(r.Scan)
		run.Report = RunReport{Rules: run.Report.Rules} // lists show no more of it
		return run, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list runs: %w", err)
	}
	return list, total, nil
}

// maxArrived bounds what a login is shown of its files.
const maxArrived = 1000

func selectArrived(ctx context.Context, t *sqldb.Tenant, integrationID string, since time.Time) ([]Run, error) {
	rows, err := t.Query(ctx, `SELECT path, size, received_at FROM feed_run r WHERE dealer_group_id = $1 AND integration_id = $2 AND received_at >= $3 AND path <> ''
		AND NOT EXISTS (SELECT 1 FROM feed_run l WHERE l.dealer_group_id = $1 AND l.integration_id = $2 AND l.path = r.path
			AND (l.received_at > r.received_at OR l.received_at = r.received_at AND l.id > r.id))
		ORDER BY received_at DESC, id DESC LIMIT $4`, integrationID, sqldb.At(since), maxArrived)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (run Run, err error) {
		var at sqldb.Time
		err = r.Scan(&run.Path, &run.Size, &at)
		run.ReceivedAt = at.Time
		return run, err
	})
	if err != nil {
		return nil, fmt.Errorf("list arrived files: %w", err)
	}
	return list, nil
}

// selectOne is a run by a condition on an integration's runs; ok is false without one.
func selectOne(ctx context.Context, t *sqldb.Tenant, integrationID, condition string, args ...any) (r Run, ok bool, err error) {
	r, err = scanRun(t.QueryRow(ctx, `SELECT `+runColumns+` FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2 AND `+condition+` LIMIT 1`,
		append([]any{integrationID}, args...)...).Scan)
	if errors.Is(err, sqldb.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// selectNext is the file to process next: one whose worker is gone, else the oldest that waits.
func selectNext(ctx context.Context, t *sqldb.Tenant, integrationID string) (Run, bool, error) {
	return selectOne(ctx, t, integrationID, `status IN ('queued', 'running') ORDER BY CASE status WHEN 'running' THEN 0 ELSE 1 END, id`)
}

// selectLastCompleted is the file whose state the integration's records are in.
func selectLastCompleted(ctx context.Context, t *sqldb.Tenant, integrationID string) (Run, bool, error) {
	return selectOne(ctx, t, integrationID, `status = 'completed' ORDER BY processed_at DESC, id DESC`)
}

// selectNewer is a file that was applied and is newer than the given time, by times of the same kind.
func selectNewer(ctx context.Context, t *sqldb.Tenant, r *Run) (Run, bool, error) {
	return selectOne(ctx, t, r.IntegrationID, `status = 'completed' AND time_of = $3 AND file_time > $4 ORDER BY file_time DESC`, r.TimeOf, sqldb.At(r.FileTime))
}

// selectLatestKept is the latest file that is still kept, and is or will be processed, or could not be.
func selectLatestKept(ctx context.Context, t *sqldb.Tenant, integrationID string) (Run, bool, error) {
	return selectOne(ctx, t, integrationID, `(status IN ('queued', 'running', 'completed') OR status = 'failed' AND code <> 'file_older') AND EXISTS (SELECT 1 FROM feed_file f WHERE f.dealer_group_id = $1 AND f.run_id = feed_run.id) ORDER BY received_at DESC, id DESC`)
}

// selectLater is a file of the integration that came after another and takes its place.
func selectLater(ctx context.Context, t *sqldb.Tenant, r *Run) (Run, bool, error) {
	return selectOne(ctx, t, r.IntegrationID, `id > $3 AND status IN ('queued', 'running', 'completed') ORDER BY id DESC`, r.ID)
}

func hasUnfinished(ctx context.Context, t *sqldb.Tenant, integrationID string) (bool, error) {
	_, ok, err := selectOne(ctx, t, integrationID, `status IN ('queued', 'running')`)
	return ok, err
}

// countQueued counts an integration's files that wait.
func countQueued(ctx context.Context, t *sqldb.Tenant, integrationID string) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2 AND status IN ('queued', 'running') AND status <> 'running'`, integrationID).Scan(&n)
	return n, err
}

// selectUnfinished lists the integrations of a group with files that wait or were cut short.
func selectUnfinished(ctx context.Context, t *sqldb.Tenant) ([]string, error) {
	rows, err := t.Query(ctx, `SELECT DISTINCT integration_id FROM feed_run WHERE dealer_group_id = $1 AND status IN ('queued', 'running')`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (id string, err error) { err = r.Scan(&id); return id, err })
}

const setRun = `UPDATE feed_run SET status = $3, attempt = $4, confirmed = $5, applied_as = $6, started_at = $7, processed_at = $8, duration_ms = $9,
	total = $10, created = $11, updated = $12, errors = $13, skipped = $14, warnings = $15, missing = $16, sold = $17, code = $18, detail = $19, report = $20
	WHERE dealer_group_id = $1 AND id = $2`

func (r *Run) columns() ([]any, error) {
	report, err := json.Marshal(r.Report)
	c := r.Counts
	return []any{
		r.ID, r.Status, r.Attempt, r.Confirmed, r.AppliedAs, sqldb.At(r.StartedAt), sqldb.At(r.ProcessedAt), r.Duration.Milliseconds(),
		c.Total, c.Created, c.Updated, c.Errors, c.Skipped, c.Warnings, c.Missing, c.Sold, r.Code, r.Detail, string(report),
	}, err
}

func updateRun(ctx context.Context, tx *sqldb.Tenant, r *Run) error {
	args, err := r.columns()
	if err == nil {
		_, err = tx.Exec(ctx, setRun, args...)
	}
	if err != nil {
		return fmt.Errorf("store run: %w", err)
	}
	return nil
}

// updateFenced stores what a worker has made of a run, unless another worker has taken it over.
func updateFenced(ctx context.Context, tx *sqldb.Tenant, r *Run) error {
	args, err := r.columns()
	if err != nil {
		return err
	}
	res, err := tx.Exec(ctx, setRun+` AND status = 'running' AND attempt = $4`, args...)
	if err != nil {
		return fmt.Errorf("store run: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errFenced, err)
	}
	return nil
}

func supersedeHeld(ctx context.Context, tx *sqldb.Tenant, integrationID, by string) error {
	_, err := tx.Exec(ctx, `UPDATE feed_run SET status = 'superseded' WHERE dealer_group_id = $1 AND integration_id = $2 AND status = 'held' AND id <> $3`, integrationID, by)
	return err
}

// Problems.

const (
	problemColumns       = `run_id, n, line, source_column, value, reason, refused`
	numProblemColumns    = 7
	problemsPerStatement = 25
)

func insertProblems(ctx context.Context, tx *sqldb.Tenant, runID string, list []mapping.Problem) error {
	row := func(rows int) string {
		var b strings.Builder
		b.WriteString(`INSERT INTO feed_problem (dealer_group_id, ` + problemColumns + `) VALUES `)
		for i := range rows {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("($1")
			for j := range numProblemColumns {
				b.WriteString(", $" + strconv.Itoa(2+numProblemColumns*i+j))
			}
			b.WriteByte(')')
		}
		return b.String()
	}
	for i := 0; i < len(list); {
		n := problemsPerStatement
		if len(list)-i < n {
			n = 1
		}
		var args []any
		for _, p := range list[i : i+n] {
			args = append(args, runID, i+1+len(args)/numProblemColumns, p.Line, p.Column, p.Value, p.Reason, p.Refused)
		}
		if _, err := tx.Exec(ctx, row(n), args...); err != nil {
			return fmt.Errorf("store problems: %w", err)
		}
		i += n
	}
	return nil
}

// copyProblems repeats what was found in an equal file.
func copyProblems(ctx context.Context, tx *sqldb.Tenant, from, to string) error {
	_, err := tx.Exec(ctx, `INSERT INTO feed_problem (dealer_group_id, `+problemColumns+`)
		SELECT dealer_group_id, $3, n, line, source_column, value, reason, refused FROM feed_problem WHERE dealer_group_id = $1 AND run_id = $2`, from, to)
	return err
}

func selectProblems(ctx context.Context, t *sqldb.Tenant, runID string, page rest.Page) ([]mapping.Problem, int64, error) {
	var total int64
	if err := t.QueryRow(ctx, `SELECT count(*) FROM feed_problem WHERE dealer_group_id = $1 AND run_id = $2`, runID).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count problems: %w", err)
	}
	list, err := selectProblemsAfter(ctx, t, runID, page.Offset, page.Limit)
	return list, total, err
}

// selectProblemsAfter is the problems behind the first ones; they are numbered from 1 without a gap.
func selectProblemsAfter(ctx context.Context, t *sqldb.Tenant, runID string, after, limit int64) ([]mapping.Problem, error) {
	rows, err := t.Query(ctx, `SELECT line, source_column, value, reason, refused FROM feed_problem WHERE dealer_group_id = $1 AND run_id = $2
		AND n > $3 ORDER BY n LIMIT $4`, runID, after, limit)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (p mapping.Problem, err error) {
		err = r.Scan(&p.Line, &p.Column, &p.Value, &p.Reason, &p.Refused)
		return p, err
	})
}

// Dealerships that files name and nobody goes by.

func replaceUnmatched(ctx context.Context, tx *sqldb.Tenant, integrationID, runID string, list []Unmatched, now time.Time) error {
	for _, u := range list {
		_, err := tx.Exec(ctx, `INSERT INTO unmatched_dealer (dealer_group_id, integration_id, code, name, vehicles, last_run_id, first_seen_at, last_seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (dealer_group_id, integration_id, code, name) DO UPDATE SET
			vehicles = excluded.vehicles, last_run_id = excluded.last_run_id, last_seen_at = excluded.last_seen_at`,
			integrationID, u.Code, u.Name, u.Vehicles, runID, sqldb.At(now))
		if err != nil {
			return fmt.Errorf("store unmatched dealerships: %w", err)
		}
	}
	_, err := tx.Exec(ctx, `DELETE FROM unmatched_dealer WHERE dealer_group_id = $1 AND integration_id = $2 AND last_run_id <> $3`, integrationID, runID)
	return err
}

func selectUnmatched(ctx context.Context, t *sqldb.Tenant, page rest.Page) ([]Unmatched, int64, error) {
	var total int64
	if err := t.QueryRow(ctx, `SELECT count(*) FROM unmatched_dealer WHERE dealer_group_id = $1`).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count unmatched dealerships: %w", err)
	}
	rows, err := t.Query(ctx, `SELECT u.integration_id, i.name, u.code, u.name, u.vehicles, u.first_seen_at, u.last_seen_at FROM unmatched_dealer u
		JOIN integration i ON i.dealer_group_id = u.dealer_group_id AND i.id = u.integration_id
		WHERE u.dealer_group_id = $1 ORDER BY u.vehicles DESC, u.name, u.code, u.integration_id LIMIT $2 OFFSET $3`, page.Limit, page.Offset)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (u Unmatched, err error) {
		var first, last sqldb.Time
		err = r.Scan(&u.IntegrationID, &u.IntegrationName, &u.Code, &u.Name, &u.Vehicles, &first, &last)
		u.FirstSeenAt, u.LastSeenAt = first.Time, last.Time
		return u, err
	})
	return list, total, err
}

// What files tell of their integration.

// setRead notes how the latest file that was read looked.
func setRead(ctx context.Context, tx *sqldb.Tenant, integrationID string, header []string, drift string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE integration SET header = $3, drift = $4 WHERE dealer_group_id = $1 AND id = $2`, integrationID, sqldb.Strings(header), drift)
	if err != nil {
		return fmt.Errorf("store header: %w", err)
	}
	return setStatus(ctx, tx, integrationID, StatusActive, "", now)
}

// setStatus notes how the latest file went; a pause, which people decide, stays.
func setStatus(ctx context.Context, tx *sqldb.Tenant, integrationID, status, reason string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE integration SET status = $3, status_reason = $4, updated_at = $5 WHERE dealer_group_id = $1 AND id = $2
		AND status <> 'paused' AND (status <> $3 OR status_reason <> $4)`, integrationID, status, reason, sqldb.At(now))
	if err != nil {
		return fmt.Errorf("store status: %w", err)
	}
	return nil
}

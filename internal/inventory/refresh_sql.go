package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"carfluence/internal/sqldb"
)

const refreshColumns = `id, reason, dry, status, detail, total, done, vehicles, findings, after_vin, actor_type, actor_id, actor_name, created_at, started_at, ended_at, edition`

func insertRefresh(ctx context.Context, tx *sqldb.Tenant, r *Refresh) error {
	findings, err := json.Marshal(r.Findings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO inventory_refresh (dealer_group_id, `+refreshColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		r.ID, r.Reason, r.Dry, r.Status, r.Detail, r.Total, r.Done, r.Vehicles, string(findings), r.after, r.By.Type, r.By.ID, r.By.Name,
		sqldb.At(r.CreatedAt), sqldb.At(r.StartedAt), sqldb.At(r.EndedAt), r.edition)
	if err != nil {
		return fmt.Errorf("store refresh: %w", err)
	}
	return nil
}

func updateRefresh(ctx context.Context, tx *sqldb.Tenant, r *Refresh) error {
	findings, err := json.Marshal(r.Findings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE inventory_refresh SET status = $3, detail = $4, done = $5, vehicles = $6, findings = $7, after_vin = $8, started_at = $9, ended_at = $10, edition = $11
		WHERE dealer_group_id = $1 AND id = $2`, r.ID, r.Status, r.Detail, r.Done, r.Vehicles, string(findings), r.after, sqldb.At(r.StartedAt), sqldb.At(r.EndedAt), r.edition)
	if err != nil {
		return fmt.Errorf("store refresh: %w", err)
	}
	return nil
}

func selectRefresh(ctx context.Context, t *sqldb.Tenant, id string) (Refresh, error) {
	r, err := scanRefresh(t.QueryRow(ctx, `SELECT `+refreshColumns+` FROM inventory_refresh WHERE dealer_group_id = $1 AND id = $2`, id).Scan)
	return r, sqldb.Found(err, errNoRefresh)
}

// selectUnderWay finds the latest refresh of a reason that has not ended and is not dry.
func selectUnderWay(ctx context.Context, t *sqldb.Tenant, reason string) (r Refresh, ok bool, err error) {
	r, err = scanRefresh(t.QueryRow(ctx, `SELECT `+refreshColumns+` FROM inventory_refresh
		WHERE dealer_group_id = $1 AND reason = $2 AND NOT dry AND ended_at IS NULL ORDER BY id DESC LIMIT 1`, reason).Scan)
	if errors.Is(err, sqldb.ErrNoRows) {
		return Refresh{}, false, nil
	}
	return r, err == nil, err
}

func scanRefresh(scan func(dest ...any) error) (r Refresh, err error) {
	var findings string
	var created, started, ended sqldb.Time
	err = scan(&r.ID, &r.Reason, &r.Dry, &r.Status, &r.Detail, &r.Total, &r.Done, &r.Vehicles, &findings, &r.after, &r.By.Type, &r.By.ID, &r.By.Name, &created, &started, &ended, &r.edition)
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.StartedAt, r.EndedAt = created.Time, started.Time, ended.Time
	if err := json.Unmarshal([]byte(findings), &r.Findings); err != nil {
		return r, fmt.Errorf("refresh %s is damaged: %w", r.ID, err)
	}
	return r, nil
}

// pruneRefreshes forgets all but the latest that have ended.
func pruneRefreshes(ctx context.Context, tx *sqldb.Tenant) error {
	_, err := tx.Exec(ctx, `DELETE FROM inventory_refresh WHERE dealer_group_id = $1 AND ended_at IS NOT NULL AND id NOT IN (
		SELECT id FROM inventory_refresh WHERE dealer_group_id = $1 ORDER BY id DESC LIMIT $2)`, keptRefreshes)
	if err != nil {
		return fmt.Errorf("forget old refreshes: %w", err)
	}
	return nil
}

// selectVINsAfter reads the next VINs of the inventory in their order.
func selectVINsAfter(ctx context.Context, t *sqldb.Tenant, vin string, n int) ([]string, error) {
	rows, err := t.Query(ctx, `SELECT vin FROM vehicle WHERE dealer_group_id = $1 AND vin > $2 ORDER BY vin LIMIT $3`, vin, n)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (vin string, err error) {
		err = r.Scan(&vin)
		return vin, err
	})
}

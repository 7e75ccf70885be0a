package feed

import (
	"context"
	"encoding/json"
	"fmt"

	"carfluence/internal/inventory"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const integrationColumns = `i.id, i.dealership_id, i.type, i.name, i.status, i.status_reason, i.strategy, i.sold_grace_syncs, i.sold_grace_hours,
	i.track_history, i.day_first, i.decimal_comma, i.mappings, i.header, i.drift, l.username, i.created_at, i.updated_at`

const fromIntegrations = ` FROM integration i JOIN sftp_login l ON l.dealer_group_id = i.dealer_group_id AND l.integration_id = i.id
	WHERE i.dealer_group_id = $1 `

func scanIntegration(scan func(dest ...any) error) (Integration, error) {
	var i Integration
	var mappings string
	var header sqldb.Strings
	var created, updated sqldb.Time
	err := scan(&i.ID, &i.DealershipID, &i.Type, &i.Name, &i.Status, &i.StatusReason, &i.Sync.Strategy, &i.Sync.SoldGraceSyncs, &i.Sync.SoldGraceHours,
		&i.Sync.TrackHistory, &i.DayFirst, &i.DecimalComma, &mappings, &header, &i.Drift, &i.Username, &created, &updated)
	if err != nil {
		return i, err
	}
	i.Header, i.CreatedAt, i.UpdatedAt = header, created.Time, updated.Time
	return i, json.Unmarshal([]byte(mappings), &i.Mappings)
}

// lockIntegration comes before an integration, or its files that wait, are read in order to be changed, and after
// sqldb.LockInventory where both are needed.
func lockIntegration(ctx context.Context, tx *sqldb.Tenant, id string) error {
	return tx.Lock(ctx, "integration "+id)
}

func countIntegrations(ctx context.Context, t *sqldb.Tenant) (n int64, err error) {
	err = t.QueryRow(ctx, `SELECT count(*) FROM integration WHERE dealer_group_id = $1`).Scan(&n)
	return n, err
}

func selectIntegrations(ctx context.Context, t *sqldb.Tenant, p rest.Page) ([]Integration, error) {
	rows, err := t.Query(ctx, `SELECT `+integrationColumns+fromIntegrations+`ORDER BY i.created_at DESC, i.id LIMIT $2 OFFSET $3`, p.Limit, p.Offset)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (Integration, error) { return scanIntegration(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("list integrations: %w", err)
	}
	return list, nil
}

func selectIntegration(ctx context.Context, t *sqldb.Tenant, id string) (Integration, error) {
	i, err := scanIntegration(t.QueryRow(ctx, `SELECT `+integrationColumns+fromIntegrations+`AND i.id = $2`, id).Scan)
	return i, sqldb.Found(err, errNoIntegration)
}

func selectIntegrationNames(ctx context.Context, t *sqldb.Tenant) (map[string]inventory.IntegrationName, error) {
	out := map[string]inventory.IntegrationName{}
	rows, err := t.Query(ctx, `SELECT id, type, name FROM integration WHERE dealer_group_id = $1`)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (n inventory.IntegrationName, err error) {
		var id string
		err = r.Scan(&id, &n.Type, &n.Name)
		out[id] = n
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("read names of integrations: %w", err)
	}
	return out, nil
}

func selectIntegrationsOf(ctx context.Context, t *sqldb.Tenant, dealershipID string) ([]string, error) {
	rows, err := t.Query(ctx, `SELECT id, name FROM integration WHERE dealer_group_id = $1 AND dealership_id = $2 ORDER BY created_at DESC, id`, dealershipID)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (string, error) {
		var id, name string
		err := r.Scan(&id, &name)
		return fmt.Sprintf("%q (%s)", name, id), err
	})
}

func encodeMappings(m map[string]string) (string, error) {
	if m == nil {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}

func insertIntegration(ctx context.Context, t *sqldb.Tenant, i Integration) error {
	mappings, err := encodeMappings(i.Mappings)
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `INSERT INTO integration (dealer_group_id, id, dealership_id, type, name, status, status_reason, strategy, sold_grace_syncs,
		sold_grace_hours, track_history, day_first, decimal_comma, mappings, header, drift, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		i.ID, i.DealershipID, i.Type, i.Name, i.Status, i.StatusReason, i.Sync.Strategy, i.Sync.SoldGraceSyncs,
		i.Sync.SoldGraceHours, i.Sync.TrackHistory, i.DayFirst, i.DecimalComma, mappings, sqldb.Strings(i.Header), i.Drift, sqldb.At(i.CreatedAt), sqldb.At(i.UpdatedAt))
	return storedIntegration(err)
}

// updateIntegration stores what people decide, and the status. Header and drift follow from files.
func updateIntegration(ctx context.Context, t *sqldb.Tenant, i Integration) error {
	mappings, err := encodeMappings(i.Mappings)
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE integration SET dealership_id = $3, name = $4, status = $5, status_reason = $6, strategy = $7, sold_grace_syncs = $8,
		sold_grace_hours = $9, track_history = $10, day_first = $11, decimal_comma = $12, mappings = $13, updated_at = $14
		WHERE dealer_group_id = $1 AND id = $2`,
		i.ID, i.DealershipID, i.Name, i.Status, i.StatusReason, i.Sync.Strategy, i.Sync.SoldGraceSyncs,
		i.Sync.SoldGraceHours, i.Sync.TrackHistory, i.DayFirst, i.DecimalComma, mappings, sqldb.At(i.UpdatedAt))
	return storedIntegration(err)
}

func storedIntegration(err error) error {
	switch {
	case sqldb.IsForeignKey(err): // the dealership is gone since the check
		return errUnknownDealership
	case err != nil:
		return fmt.Errorf("store integration: %w", err)
	}
	return nil
}

// deleteIntegration takes all rows of an integration; keys and runs go with its own.
func deleteIntegration(ctx context.Context, t *sqldb.Tenant, id string) error {
	const runs = `(SELECT id FROM feed_run WHERE dealer_group_id = $1 AND integration_id = $2)`
	for _, statement := range []string{
		`DELETE FROM feed_file WHERE dealer_group_id = $1 AND run_id IN ` + runs,
		`DELETE FROM feed_problem WHERE dealer_group_id = $1 AND run_id IN ` + runs,
		`DELETE FROM sftp_login WHERE dealer_group_id = $1 AND integration_id = $2`,
		`DELETE FROM integration WHERE dealer_group_id = $1 AND id = $2`,
	} {
		if _, err := t.Exec(ctx, statement, id); err != nil {
			return fmt.Errorf("delete integration: %w", err)
		}
	}
	return nil
}

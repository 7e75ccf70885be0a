package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"carfluence/internal/sqldb"
)

const mergeConfigColumns = `id, name, settings, is_default, view_id, view_settings, next_view_id, refresh_id, created_at, updated_at`

func scanMergeConfig(scan func(dest ...any) error) (c MergeConfig, err error) {
	var settings string
	var view, built, next, refresh sql.NullString
	var created, updated sqldb.Time
	if err := scan(&c.ID, &c.Name, &settings, &c.Default, &view, &built, &next, &refresh, &created, &updated); err != nil {
		return c, err
	}
	c.view, c.next, c.refresh, c.CreatedAt, c.UpdatedAt = view.String, next.String, refresh.String, created.Time, updated.Time
	if err = json.Unmarshal([]byte(settings), &c.Settings); err == nil && built.Valid {
		err = json.Unmarshal([]byte(built.String), &c.built)
	}
	if err != nil {
		return c, fmt.Errorf("merge config %s is damaged: %w", c.ID, err)
	}
	return c, nil
}

func selectMergeConfigs(ctx context.Context, t *sqldb.Tenant) ([]MergeConfig, error) {
	rows, err := t.Query(ctx, `SELECT `+mergeConfigColumns+` FROM merge_config WHERE dealer_group_id = $1 ORDER BY created_at DESC, id`)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (MergeConfig, error) { return scanMergeConfig(r.Scan) })
	if err != nil {
		return nil, fmt.Errorf("read merge configs: %w", err)
	}
	return list, nil
}

// activateViews shows what a refresh has built in place of what was shown before.
func activateViews(ctx context.Context, tx *sqldb.Tenant, refreshID string) error {
	_, err := tx.Exec(ctx, `UPDATE merge_config SET view_id = next_view_id, view_settings = settings, next_view_id = NULL, refresh_id = NULL
		WHERE dealer_group_id = $1 AND refresh_id = $2`, refreshID)
	if err != nil {
		return fmt.Errorf("show merged vehicles: %w", err)
	}
	return bumpVersion(ctx, tx)
}

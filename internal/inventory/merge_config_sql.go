package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"carfluence/internal/dealer"
	"carfluence/internal/rest"
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

func selectMergeConfig(ctx context.Context, t *sqldb.Tenant, id string) (MergeConfig, error) {
	c, err := scanMergeConfig(t.QueryRow(ctx, `SELECT `+mergeConfigColumns+` FROM merge_config WHERE dealer_group_id = $1 AND id = $2`, id).Scan)
	return c, sqldb.Found(err, rest.NotFound("merge config"))
}

func insertMergeConfig(ctx context.Context, tx *sqldb.Tenant, c *MergeConfig) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO merge_config (dealer_group_id, id, name, name_folded, settings, is_default, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.ID, c.Name, dealer.Fold(c.Name), string(settings), c.Default, sqldb.At(c.CreatedAt), sqldb.At(c.UpdatedAt))
	return storedMergeConfig(c, err)
}

// updateMergeConfig stores all of a config but what is shown, which a refresh changes.
func updateMergeConfig(ctx context.Context, tx *sqldb.Tenant, c *MergeConfig) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE merge_config SET name = $3, name_folded = $4, settings = $5, is_default = $6, next_view_id = $7, refresh_id = $8, updated_at = $9
		WHERE dealer_group_id = $1 AND id = $2`, c.ID, c.Name, dealer.Fold(c.Name), string(settings), c.Default, text(c.next), text(c.refresh), sqldb.At(c.UpdatedAt))
	return storedMergeConfig(c, err)
}

func storedMergeConfig(c *MergeConfig, err error) error {
	switch {
	case sqldb.IsUnique(err): // taken since the check
		return mergeNameTaken(c.Name, "it has just been taken")
	case err != nil:
		return fmt.Errorf("store merge config: %w", err)
	}
	return nil
}

func deleteMergeConfig(ctx context.Context, tx *sqldb.Tenant, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM merge_config WHERE dealer_group_id = $1 AND id = $2`, id); err != nil {
		return fmt.Errorf("delete merge config: %w", err)
	}
	return nil
}

// adoptViews has a refresh that begins build the views whose own has failed.
func adoptViews(ctx context.Context, tx *sqldb.Tenant, refreshID string) error {
	_, err := tx.Exec(ctx, `UPDATE merge_config SET refresh_id = $2 WHERE dealer_group_id = $1 AND next_view_id IS NOT NULL AND refresh_id NOT IN (
		SELECT id FROM inventory_refresh WHERE dealer_group_id = $1 AND ended_at IS NULL)`, refreshID)
	if err != nil {
		return fmt.Errorf("adopt merged vehicles: %w", err)
	}
	return nil
}

// activateViews shows what a refresh has built in place of what was shown before.
func activateViews(ctx context.Context, tx *sqldb.Tenant, refreshID string) error {
	result, err := tx.Exec(ctx, `UPDATE merge_config SET view_id = next_view_id, view_settings = settings, next_view_id = NULL, refresh_id = NULL
		WHERE dealer_group_id = $1 AND refresh_id = $2 AND next_view_id IS NOT NULL`, refreshID)
	if err != nil {
		return fmt.Errorf("show merged vehicles: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return raiseBumps(ctx, tx)
}

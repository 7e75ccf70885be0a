package auth

import (
	"context"

	"carfluence/internal/sqldb"
)

func insertGroup(ctx context.Context, tx *sqldb.DB, g Group) error {
	_, err := tx.Exec(ctx, `INSERT INTO dealer_group (id, name, created_at) VALUES ($1, $2, $3)`, g.ID, g.Name, sqldb.At(g.CreatedAt))
	return err
}

func scanGroup(row scanner) (g Group, err error) {
	var at sqldb.Time
	err = row.Scan(&g.ID, &g.Name, &at)
	g.CreatedAt = at.Time
	return g, err
}

func getGroup(ctx context.Context, db *sqldb.DB, id string) (Group, error) {
	return scanGroup(db.QueryRow(ctx, `SELECT id, name, created_at FROM dealer_group WHERE id = $1`, id))
}

func listGroups(ctx context.Context, db *sqldb.DB) ([]Group, error) {
	rows, err := db.Query(ctx, `SELECT id, name, created_at FROM dealer_group ORDER BY created_at, id`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (Group, error) { return scanGroup(r) })
}

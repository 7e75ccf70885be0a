package auth

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
)

type signingKeyRow struct {
	id, sealed            string
	createdAt, activeFrom time.Time
}

func selectSigningKeys(ctx context.Context, db *sqldb.DB) ([]signingKeyRow, error) {
	rows, err := db.Query(ctx, `SELECT id, sealed, created_at, active_from FROM signing_key ORDER BY active_from, id`)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (signingKeyRow, error) {
		var k signingKeyRow
		var created, from sqldb.Time
		err := r.Scan(&k.id, &k.sealed, &created, &from)
		k.createdAt, k.activeFrom = created.Time, from.Time
		return k, err
	})
}

func insertSigningKey(ctx context.Context, tx *sqldb.DB, k signingKeyRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO signing_key (id, sealed, created_at, active_from) VALUES ($1, $2, $3, $4)`,
		k.id, k.sealed, sqldb.At(k.createdAt), sqldb.At(k.activeFrom))
	return err
}

func deleteSigningKey(ctx context.Context, tx *sqldb.DB, id string) error {
	_, err := tx.Exec(ctx, `DELETE FROM signing_key WHERE id = $1`, id)
	return err
}

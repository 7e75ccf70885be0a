package auth

import (
	"context"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

const keyColumns = `id, name, last4, scopes, rate_limit_per_hour, created_at, created_by, updated_at, revoked_at`

type scanner interface{ Scan(dest ...any) error }

func scanKey(row scanner) (Key, error) {
	var k Key
	var scopes sqldb.Strings
	var created, updated, revoked sqldb.Time
	err := row.Scan(&k.ID, &k.Name, &k.Last4, &scopes, &k.RateLimitPerHour, &created, &k.CreatedBy, &updated, &revoked)
	for _, name := range scopes {
		s, _ := ParseScope(name)
		k.Scopes |= s
	}
	k.CreatedAt, k.UpdatedAt, k.RevokedAt = created.Time, updated.Time, revoked.Time
	return k, err
}

func insertKey(ctx context.Context, tx *sqldb.Tenant, k Key) error {
	_, err := tx.Exec(ctx, `INSERT INTO api_key (dealer_group_id, id, name, last4, scopes, rate_limit_per_hour, created_at, created_by, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.ID, k.Name, k.Last4, sqldb.Strings(k.Scopes.Names()), k.RateLimitPerHour, sqldb.At(k.CreatedAt), k.CreatedBy, sqldb.At(k.UpdatedAt))
	return err
}

func getKey(ctx context.Context, t *sqldb.Tenant, id string) (Key, error) {
	return scanKey(t.QueryRow(ctx, `SELECT `+keyColumns+` FROM api_key WHERE dealer_group_id = $1 AND id = $2`, id))
}

func listKeys(ctx context.Context, t *sqldb.Tenant, p rest.Page) (list []Key, total int64, err error) {
	if err := t.QueryRow(ctx, `SELECT count(*) FROM api_key WHERE dealer_group_id = $1 AND revoked_at IS NULL`).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := t.Query(ctx, `SELECT `+keyColumns+` FROM api_key WHERE dealer_group_id = $1 AND revoked_at IS NULL
		ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3`, p.Limit, p.Offset)
	list, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (Key, error) { return scanKey(r) })
	return list, total, err
}

func updateKey(ctx context.Context, tx *sqldb.Tenant, k Key) error {
	_, err := tx.Exec(ctx, `UPDATE api_key SET name = $3, scopes = $4, rate_limit_per_hour = $5, updated_at = $6 WHERE dealer_group_id = $1 AND id = $2`,
		k.ID, k.Name, sqldb.Strings(k.Scopes.Names()), k.RateLimitPerHour, sqldb.At(k.UpdatedAt))
	return err
}

func revokeKey(ctx context.Context, tx *sqldb.Tenant, id, by string, at time.Time) (name string, err error) {
	err = tx.QueryRow(ctx, `UPDATE api_key SET revoked_at = $3, revoked_by = $4 WHERE dealer_group_id = $1 AND id = $2 AND revoked_at IS NULL
		RETURNING name`, id, sqldb.At(at), by).Scan(&name)
	return name, err
}

package audit

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
)

func insert(ctx context.Context, tx *sqldb.Tenant, id string, at time.Time, e Event, address, request, detail string) error {
	_, err := tx.Exec(ctx, `INSERT INTO audit (dealer_group_id, id, created_at, event, actor_type, actor_id, actor_name,
		subject_type, subject_id, ip_address, request_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		id, sqldb.At(at), e.Name, e.Actor.Type, e.Actor.ID, e.Actor.Name, e.SubjectType, e.SubjectID, address, request, detail)
	return err
}

// Row is one stored event.
type Row struct {
	Event
	ID, IP, RequestID, DetailJSON string
	CreatedAt                     time.Time
}

// List returns a group's events, newest first.
func List(ctx context.Context, t *sqldb.Tenant, limit int64) ([]Row, error) {
	rows, err := t.Query(ctx, `SELECT id, created_at, event, actor_type, actor_id, actor_name, subject_type, subject_id,
		ip_address, request_id, detail FROM audit WHERE dealer_group_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, limit)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (Row, error) {
		var row Row
		var at sqldb.Time
		err := r.Scan(&row.ID, &at, &row.Name, &row.Actor.Type, &row.Actor.ID, &row.Actor.Name, &row.SubjectType, &row.SubjectID,
			&row.IP, &row.RequestID, &row.DetailJSON)
		row.CreatedAt = at.Time
		return row, err
	})
}

package inventory

import (
	"context"
	"fmt"

	"carfluence/internal/sqldb"
)

func selectHistory(ctx context.Context, t *sqldb.Tenant, vin string, upTo int64) ([]Entry, error) {
	rows, err := t.Query(ctx, `SELECT change_type, changed_fields, source, actor_type, actor_id, actor_name, file, line, created_at
		FROM vehicle_history WHERE dealer_group_id = $1 AND vin = $2 AND n <= $3 ORDER BY n`, vin, upTo)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (e Entry, err error) {
		var created sqldb.Time
		err = r.Scan(&e.Type, &e.Changes, &e.Source, &e.ActorType, &e.ActorID, &e.ActorName, &e.File, &e.Line, &created)
		e.CreatedAt = created.Time
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return list, nil
}

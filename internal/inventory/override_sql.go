package inventory

import (
	"context"
	"fmt"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

func upsertOverride(ctx context.Context, tx *sqldb.Tenant, vin string, f vehicle.Field, from Source, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO vehicle_override (dealer_group_id, vin, field, actor_type, actor_id, actor_name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (dealer_group_id, vin, field) DO UPDATE SET actor_type = excluded.actor_type, actor_id = excluded.actor_id, actor_name = excluded.actor_name,
		created_at = excluded.created_at`, vin, f.String(), from.ActorType, from.ActorID, from.ActorName, sqldb.At(at))
	if err != nil {
		return fmt.Errorf("note override: %w", err)
	}
	return nil
}

// forgetOverrides keeps the notes on these fields only.
func forgetOverrides(ctx context.Context, tx *sqldb.Tenant, vin string, kept vehicle.Fields) error {
	_, err := tx.Exec(ctx, `DELETE FROM vehicle_override WHERE dealer_group_id = $1 AND vin = $2 AND field NOT IN (SELECT value FROM json_each($3))`, vin, sqldb.Strings(kept.Names()))
	if err != nil {
		return fmt.Errorf("forget overrides: %w", err)
	}
	return nil
}

func selectOverrides(ctx context.Context, t *sqldb.Tenant, vin string) (map[vehicle.Field]Override, error) {
	rows, err := t.Query(ctx, `SELECT field, actor_type, actor_id, actor_name, created_at FROM vehicle_override WHERE dealer_group_id = $1 AND vin = $2`, vin)
	out := map[vehicle.Field]Override{}
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (o Override, err error) {
		var field string
		var at sqldb.Time
		err = r.Scan(&field, &o.By.Type, &o.By.ID, &o.By.Name, &at)
		o.At = at.Time
		if f, ok := vehicle.FieldNamed(field); ok {
			out[f] = o
		}
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	return out, nil
}

package inventory

import (
	"context"
	"database/sql"
	"fmt"

	"carfluence/internal/sqldb"
)

// changesAfter is the statement that walks from a place through the index on version and VIN; the documents of vehicles that are not
// followed are left unread.
func changesAfter(f Followed, after place, n int) (statement string, args []any) {
	document, args := `document`, []any{after.version, after.vin, n}
	if f != FollowAll {
		document, args = `CASE WHEN status = $5 THEN document END`, append(args, string(f))
	}
	return `SELECT version, vin, status, sold_at, relisted_at, lot_since, dealership_id, ` + document + ` FROM vehicle
		WHERE dealer_group_id = $1 AND (version, vin) > ($2, $3) ORDER BY version, vin LIMIT $4`, args
}

func selectFollowed(ctx context.Context, t *sqldb.Tenant, f Followed, after place, n int) ([]changed, error) {
	statement, args := changesAfter(f, after, n)
	rows, err := t.Query(ctx, statement, args...)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (c changed, err error) {
		var sold, relisted sqldb.Time
		var dealership, document sql.NullString
		err = r.Scan(&c.version, &c.vin, &c.status, &sold, &relisted, &c.lotSince, &dealership, &document)
		c.soldAt, c.relistedAt, c.dealership, c.document = sold.Time, relisted.Time, dealership.String, document.String
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return list, nil
}

package inventory

import (
	"strings"
	"testing"

	"carfluence/internal/sqldb"
)

// planOf is the engine's plan for a filter's place in the list and its count.
func planOf(t *testing.T, tenant *sqldb.Tenant, f Filter) string {
	t.Helper()
	where, args := f.where()
	var plan strings.Builder
	for _, query := range []string{
		`SELECT vin, created_at FROM ` + f.table() + ` WHERE dealer_group_id = $1` + where + ` ORDER BY created_at DESC, vin LIMIT 50`,
		`SELECT count(*) FROM ` + f.table() + ` WHERE dealer_group_id = $1` + where,
	} {
		rows, err := tenant.Query(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
		_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (string, error) {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			plan.WriteString(detail + "\n")
			return detail, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return plan.String()
}

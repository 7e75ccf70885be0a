package inventory

import (
	"strings"
	"testing"

	"carfluence/internal/sqldb"
)

// planOf is the engine's plan for a filter's place in the list and its count. On PostgreSQL it is that of the program's own
// role, as for tables too large to be read whole.
func planOf(t *testing.T, tenant *sqldb.Tenant, f Filter) string {
	t.Helper()
	where, args := f.where()
	var plan strings.Builder
	err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error {
		for _, query := range []string{
			`SELECT vin, created_at FROM ` + f.table() + ` WHERE dealer_group_id = $1` + where + ` ORDER BY created_at DESC, vin LIMIT 50`,
			`SELECT count(*) FROM ` + f.table() + ` WHERE dealer_group_id = $1` + where,
		} {
			text, err := explain(t, tx, query, args)
			if err != nil {
				return err
			}
			plan.WriteString(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func explain(t *testing.T, tx *sqldb.Tenant, query string, args []any) (plan string, err error) {
	t.Helper()
	onServer := tx.DB().Engine() == sqldb.PostgreSQL
	if onServer {
		for _, setting := range []string{"enable_seqscan", "enable_bitmapscan", "enable_sort"} {
			if _, err := tx.DB().Exec(t.Context(), `SET LOCAL `+setting+` = off`); err != nil {
				return "", err
			}
		}
		query = `EXPLAIN ` + query
	} else {
		query = `EXPLAIN QUERY PLAN ` + query
	}
	rows, err := tx.Query(t.Context(), query, args...)
	lines, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (line string, err error) {
		if onServer {
			return line, r.Scan(&line)
		}
		var id, parent, unused int
		return line, r.Scan(&id, &parent, &unused, &line)
	})
	return strings.Join(lines, "\n") + "\n", err
}

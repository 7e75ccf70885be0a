package sqldbtest

import (
	"fmt"
	"strings"
	"testing"

	"carfluence/internal/sqldb"
)

// Contents is everything the tables of a store hold as one text, of the tenants' tables what these groups see: for
// tests that look for what must not be there.
func Contents(t testing.TB, db *sqldb.DB, groups ...string) string {
	t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if db.Engine() == sqldb.PostgreSQL {
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`
	}
	rows, err := db.Query(t.Context(), list)
	tables, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil || len(tables) < 10 {
		t.Fatal(tables, err)
	}
	var out strings.Builder
	for _, group := range groups {
		for _, table := range tables {
			rows, err := db.Tenant(group).Query(t.Context(), `SELECT * FROM "`+table+`" WHERE CAST($1 AS TEXT) IS NOT NULL /* dealer_group_id */`)
			_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) { return struct{}{}, writeRow(&out, table, r) })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.String()
}

func writeRow(out *strings.Builder, table string, r *sqldb.Rows) error {
	columns, err := r.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	err = r.Scan(values...)
	for i, v := range values {
		value := *v.(*any)
		if b, ok := value.([]byte); ok {
			value = string(b)
		}
		fmt.Fprintf(out, "%s.%s\t%v\n", table, columns[i], value)
	}
	return err
}

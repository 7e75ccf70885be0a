package inventory

import (
	"strings"
	"testing"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
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
		for _, setting := range []string{"enable_seqscan", "enable_bitmapscan"} {
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

// TestALargeGroupIsReadByIndexes without any hint, before the planner has statistics and after.
func TestALargeGroupIsReadByIndexes(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "SQLite plans without looking at the rows")
	db := sqldbtest.Open(t, sqldb.Stock)
	group := db.Tenant("large")
	if _, err := group.Exec(t.Context(), `INSERT INTO vehicle (dealer_group_id, vin, status, lot_since, created_at, updated_at, entries, overrides, search, origin, document, version)
		SELECT $1, 'VIN' || n, 'active', 0, n, n, 1, '', '', '{}', repeat('x', 500), n / 1000 FROM generate_series(1, 50000) n`); err != nil {
		t.Fatal(err)
	}
	page, args := Filter{Status: "active"}.rows(`v.document`, rest.Page{Limit: 50, Offset: 200})
	for _, known := range []bool{false, true} {
		if known {
			if _, err := db.Exec(t.Context(), `ANALYZE vehicle`); err != nil {
				t.Fatal(err)
			}
		}
		for _, q := range []struct {
			text, index string
			args        []any
		}{{writtenVehicles, "vehicle_version", []any{1, "VIN", 1000}}, {page, "vehicle_", args}} {
			rows, err := group.Query(t.Context(), `EXPLAIN `+q.text, q.args...)
			lines, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (line string, err error) { return line, r.Scan(&line) })
			if err != nil {
				t.Fatal(err)
			}
			plan := strings.Join(lines, "\n")
			if !strings.Contains(plan, q.index) || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") { // a bitmap of one vehicle may be among it; one of many would be sorted
				t.Errorf("with statistics: %v\n%s", known, plan)
			}
		}
	}
}

// TestAGroupThatStatisticsDoNotKnow is not taken for empty: the batches of its first file look vehicles up by VIN, and do
// not read all that the batches before have written.
func TestAGroupThatStatisticsDoNotKnow(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "SQLite plans without looking at the rows")
	db := sqldbtest.Open(t, sqldb.Stock)
	const fill = `INSERT INTO vehicle (dealer_group_id, vin, status, lot_since, created_at, updated_at, entries, overrides, search, origin, document)
		SELECT $1, 'VIN' || n, 'active', 0, n, n, 1, '', '', '{}', '{}' FROM generate_series(1, 20000) n`
	if _, err := db.Tenant("known").Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `ANALYZE vehicle`); err != nil {
		t.Fatal(err)
	}
	usesKey(t, db.Tenant("new"), "vehicle", `SELECT vin FROM vehicle WHERE dealer_group_id = $1 AND vin IN (SELECT value FROM json_each($2))`, `["VIN1","VIN2"]`)
}

// TestATableThatWasOnlyVacuumed has a size and no statistics, as between autovacuum's two passes.
func TestATableThatWasOnlyVacuumed(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "SQLite plans without looking at the rows")
	db := sqldbtest.Open(t, sqldb.Stock)
	const fill = `INSERT INTO vehicle_source (dealer_group_id, vin, source_id, standing, record, status, search, row_hash, created_at, changed_at, missed_syncs)
		SELECT $1, 'VIN' || n, 'source', 'lists', '{}', 'active', '', 1, n, n, 0 FROM generate_series(1, 20000) n`
	if _, err := db.Tenant("group").Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `VACUUM vehicle_source`); err != nil {
		t.Fatal(err)
	}
	usesKey(t, db.Tenant("group"), "vehicle_source", hashesByVIN, "source", `["VIN1","VIN2"]`)
}

func usesKey(t *testing.T, tenant *sqldb.Tenant, table, query string, args ...any) {
	t.Helper()
	rows, err := tenant.Query(t.Context(), `EXPLAIN `+query, args...)
	lines, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (line string, err error) { return line, r.Scan(&line) })
	plan := strings.Join(lines, "\n")
	if err != nil || !strings.Contains(plan, table+"_pkey") || strings.Contains(plan, table+"_list") || strings.Contains(plan, table+"_created") {
		t.Errorf("%v\n%s", err, plan)
	}
}

package sqldb_test

import (
	"fmt"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// TestLoadWritesRowsOfOneGroup: one row, a few and many go different ways, and come to the same.
func TestLoadWritesRowsOfOneGroup(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	ours, theirs := db.Tenant("ours"), db.Tenant("theirs")
	added := sqldb.InsertInto("vehicle_override", "vin, field, actor_type, actor_id, actor_name, created_at")
	changed := sqldb.UpdateOf("vehicle_override", "vin, field", "actor_name, created_at")
	for _, n := range []int{0, 1, 7, 49, 50, 500} {
		insert := func(tenant *sqldb.Tenant) {
			load(t, tenant, added, n, func(i int, row []any) []any { return append(row, key(n, i), "make", "t", "id", "before", int64(i)) })
		}
		insert(ours)
		insert(theirs)
		// Twice in one transaction: what was copied before must not come again.
		err := ours.Transact(t.Context(), func(tx *sqldb.Tenant) error {
			for _, name := range []string{"once", "after"} {
				if err := tx.Load(t.Context(), changed, n, func(i int, row []any) []any { return append(row, key(n, i), "make", name, int64(2*i)) }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for tenant, want := range map[*sqldb.Tenant]string{ours: fmt.Sprint("after ", n, " ", n*(n-1)), theirs: fmt.Sprint("before ", n, " ", n*(n-1)/2)} {
			var name string
			var rows, sum int
			err := tenant.QueryRow(t.Context(), `SELECT coalesce(max(actor_name), ''), count(*), CAST(coalesce(sum(created_at), 0) AS BIGINT) FROM vehicle_override
				WHERE dealer_group_id = $1 AND vin LIKE $2`, fmt.Sprintf("%d.%%", n)).Scan(&name, &rows, &sum)
			if got := fmt.Sprint(name, " ", rows, " ", sum); err != nil || n > 0 && got != want || rows != n {
				t.Errorf("%d rows of %s: %s %v, want %s", n, tenant.Group(), got, err, want)
			}
		}
	}
}

func TestLoadRefusesARowThatIsThere(t *testing.T) {
	db := sqldbtest.Open(t, sqldb.Stock)
	added := sqldb.InsertInto("vehicle_override", "vin, field, actor_type, actor_id, actor_name, created_at")
	for _, n := range []int{2, 60} {
		err := db.Tenant("ours").Transact(t.Context(), func(tx *sqldb.Tenant) error {
			return tx.Load(t.Context(), added, n, func(i int, row []any) []any { return append(row, key(n, i/2), "make", "t", "id", "", int64(0)) })
		})
		if !sqldb.IsUnique(err) {
			t.Errorf("%d rows: %v", n, err)
		}
	}
}

func key(n, i int) string { return fmt.Sprintf("%d.%d", n, i) }

func load(t *testing.T, tenant *sqldb.Tenant, b *sqldb.Bulk, n int, row func(i int, values []any) []any) {
	t.Helper()
	err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error { return tx.Load(t.Context(), b, n, row) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestALargeLoadIsWrittenToDiskMeanwhile, and what sees to that ends with its transaction.
func TestALargeLoadIsWrittenToDiskMeanwhile(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "a server sees to its own files")
	db := sqldbtest.Open(t, sqldb.Stock)
	added := sqldb.InsertInto("vehicle_override", "vin, field, actor_type, actor_id, actor_name, created_at")
	for _, n := range []int{10, 500} {
		err := db.Tenant("ours").Transact(t.Context(), func(tx *sqldb.Tenant) error {
			err := tx.Load(t.Context(), added, n, func(i int, row []any) []any { return append(row, key(n, i), "make", "t", "id", "", int64(0)) })
			if db.Spreads() != (n == 500) {
				t.Errorf("%d rows: %v", n, db.Spreads())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); db.Spreads(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it goes on without a transaction")
		}
	}
}

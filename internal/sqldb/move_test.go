package sqldb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// embedded is a fresh store on SQLite, whatever the tests run on.
func embedded(t *testing.T, store sqldb.Store) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return db
}

func exec(t *testing.T, db *sqldb.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// stocked is a store with more rows, and larger ones, than go into one batch, and odd values.
func stocked(t *testing.T) *sqldb.DB {
	t.Helper()
	db := embedded(t, sqldb.Stock)
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		for i, place := range []any{nil, 0.1, 0, math.MaxFloat64, -41.25} {
			exec(t, tx, `INSERT INTO dealership (dealer_group_id, id, name, codes, address, city, region, postal_code, country, phone, website, time_zone, currency, latitude, created_at, updated_at)
				VALUES ($1, $2, 'Ærø & søn 🚗', '["007"]', '', '', '', '', '', '', '', 'UTC', 'USD', $3, $4, $5)`, fmt.Sprint("g", i%2), fmt.Sprint(i), place, math.MaxInt64, math.MinInt64)
		}
		exec(t, tx, `INSERT INTO integration (dealer_group_id, id, dealership_id, type, name, status, status_reason, strategy, sold_grace_syncs, sold_grace_hours, track_history, day_first, decimal_comma, mappings, header, drift, created_at, updated_at)
			VALUES ('g0', 'i', '0', 'custom', '', 'active', '', 'merge', 2, 24, true, false, true, '{}', '[]', '', 1, 1)`)
		exec(t, tx, `INSERT INTO sftp_key (dealer_group_id, integration_id, id, fingerprint, public_key, name, created_at) VALUES ('g0', 'i', 'k', 'f', 'p', $1, 1)`, "tab\tquote\"back\\slash\r\n\x7f")
		for i := range 12 {
			exec(t, tx, `INSERT INTO feed_file (dealer_group_id, run_id, n, created_at, data) VALUES ('g0', 'r', $1, 1, $2)`, i, bytes.Repeat([]byte{0, 0xff, byte(i)}, 400_000))
		}
		for i := range 21_000 {
			exec(t, tx, `INSERT INTO vehicle_history (dealer_group_id, vin, n, change_type, changed_fields, source, actor_type, actor_id, actor_name, file, line, created_at)
				VALUES ($1, $2, $3, '', '{}', '', '', '', '', '', 0, 0)`, fmt.Sprint("g", i%2), fmt.Sprint("vin", i%3000), i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// moving calls f with a move of the store, as one process would.
func moving(ctx context.Context, t *testing.T, id string, store sqldb.Store, from *sqldb.DB, url string, f func(m *sqldb.Move) error) error {
	t.Helper()
	to, err := sqldb.OpenPostgres(t.Context(), url, store, sqldb.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	return from.Transact(ctx, func(tx *sqldb.DB) error {
		return f(&sqldb.Move{ID: id, Store: store, From: tx, To: to.Patient(), Progress: func(int64) {}})
	})
}

// begin is all up to the copy.
func begin(ctx context.Context, m *sqldb.Move) error {
	if _, err := m.Survey(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{m.Check, m.Prepare, m.Claim} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish compares and ends a move.
func finish(t *testing.T, m *sqldb.Move) error {
	t.Helper()
	list, err := m.Compare(t.Context())
	if err != nil {
		return err
	}
	for _, c := range list {
		if !c.Same() {
			return fmt.Errorf("%s: %d rows %s, copied %d rows %s", c.Table, c.From.Rows, c.From, c.To.Rows, c.To)
		}
	}
	return m.Finish(t.Context())
}

func TestAMoveTakesEverything(t *testing.T) {
	server(t)
	url := sqldbtest.Empty(t)
	accounts, stock := embedded(t, sqldb.Accounts), stocked(t)
	keysOf(t, accounts, "g0", "g1")
	exec(t, accounts, `UPDATE authority SET n = 77`)
	for store, from := range map[sqldb.Store]*sqldb.DB{sqldb.Accounts: accounts, sqldb.Stock: stock} {
		err := moving(t.Context(), t, "m", store, from, url, func(m *sqldb.Move) error {
			if err := begin(t.Context(), m); err != nil {
				return err
			}
			return errors.Join(m.Copy(t.Context()), finish(t, m))
		})
		if err != nil {
			t.Fatalf("%s: %v", store, err)
		}
	}
	a, s := onServer(t, url, sqldb.Accounts, sqldb.PostgresOptions{}), onServer(t, url, sqldb.Stock, sqldb.PostgresOptions{})
	for store, db := range map[sqldb.Store]*sqldb.DB{sqldb.Accounts: a, sqldb.Stock: s} {
		unfinished, err := db.Unfinished(t.Context(), store)
		pending, pendingErr := db.Pending(t.Context(), store)
		if err != nil || pendingErr != nil || unfinished || pending {
			t.Errorf("%s: unfinished %v, without its guards %v: %v %v", store, unfinished, pending, err, pendingErr)
		}
	}
	for _, group := range []string{"g0", "g1"} {
		if got, want := sqldbtest.Contents(t, a, group), sqldbtest.Contents(t, accounts, group); !strings.Contains(want, "authority.n\t77\n") || !strings.Contains(got, "authority.n\t77\n") ||
			!strings.Contains(got, "api_key.id\tkey-"+group) || strings.Contains(got, "api_key.id\tkey-g"+string('0'+'1'-group[1])) {
			t.Errorf("accounts of %s:\n%s", group, got)
		}
		for _, table := range []string{"dealership", "sftp_key", "feed_file", "vehicle_history"} {
			query := `SELECT * FROM ` + table + ` WHERE dealer_group_id = $1 ORDER BY 1, 2, 3`
			if got, want := lines(t, s, group, query), lines(t, stock, group, query); got != want {
				t.Errorf("%s of %s: %d bytes, want %d", table, group, len(got), len(want))
			}
		}
	}
	var track, day, comma bool
	if err := s.Tenant("g0").QueryRow(t.Context(), `SELECT track_history, day_first, decimal_comma FROM integration WHERE dealer_group_id = $1`).Scan(&track, &day, &comma); err != nil || !track || day || !comma {
		t.Errorf("truth values: %v %v %v, %v", track, day, comma, err)
	}
}

// lines is what a query finds, as text.
func lines(t *testing.T, db *sqldb.DB, group, query string) string {
	t.Helper()
	var out strings.Builder
	rows, err := db.Tenant(group).Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	columns, _ := rows.Columns()
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		dest := make([]any, len(columns))
		for i := range dest {
			dest[i] = new(any)
		}
		err := r.Scan(dest...)
		for i, d := range dest {
			fmt.Fprintf(&out, "%s=%#v ", columns[i], *d.(*any))
		}
		out.WriteByte('\n')
		return struct{}{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestAMoveGoesOnWhereItWasCut ends it after so many rows, as a kill would, several times.
func TestAMoveGoesOnWhereItWasCut(t *testing.T) {
	server(t)
	url := sqldbtest.Empty(t)
	stock := stocked(t)
	copied := func() (rows int64) {
		db := onServer(t, url, sqldb.Stock, sqldb.PostgresOptions{})
		if err := db.QueryRow(t.Context(), `SELECT CAST(sum(rows) AS BIGINT) FROM unfinished_move`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	var before int64
	for _, cut := range []int64{1, 6, 15, 10_030} {
		ctx, cancel := context.WithCancel(t.Context())
		err := moving(ctx, t, "m", sqldb.Stock, stock, url, func(m *sqldb.Move) error {
			if err := begin(ctx, m); err != nil {
				return err
			}
			var seen int64
			m.Progress = func(rows int64) { // told of a batch before it is committed
				if seen += rows; seen > cut {
					cancel()
				}
			}
			return m.Copy(ctx)
		})
		cancel()
		if err == nil {
			t.Fatalf("not cut after %d rows", cut)
		}
		if now := copied(); now < before || now > cut {
			t.Errorf("cut after %d rows: %d copied, %d before", cut, now, before)
		} else {
			before = now
		}
	}
	if before < 10_000 {
		t.Errorf("only %d rows were copied: no batch was kept", before)
	}
	if unfinished, err := onServer(t, url, sqldb.Stock, sqldb.PostgresOptions{}).Unfinished(t.Context(), sqldb.Stock); err != nil || !unfinished {
		t.Errorf("half a copy is not unfinished: %v", err)
	}
	err := moving(t.Context(), t, "m", sqldb.Stock, stock, url, func(m *sqldb.Move) error {
		if err := begin(t.Context(), m); err != nil {
			return err
		}
		return errors.Join(m.Copy(t.Context()), finish(t, m))
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAMoveFindsWhatDiffers changes rows of the target after they were copied.
func TestAMoveFindsWhatDiffers(t *testing.T) {
	server(t)
	url := sqldbtest.Empty(t)
	stock := stocked(t)
	err := moving(t.Context(), t, "m", sqldb.Stock, stock, url, func(m *sqldb.Move) error {
		if err := begin(t.Context(), m); err != nil {
			return err
		}
		if err := m.Copy(t.Context()); err != nil {
			return err
		}
		for table, change := range map[string]string{
			"stock.dealership":      `UPDATE dealership SET latitude = NULL WHERE id = '1'`,
			"stock.integration":     `UPDATE integration SET day_first = true`,
			"stock.sftp_key":        `UPDATE sftp_key SET name = name || ' '`,
			"stock.feed_file":       `UPDATE feed_file SET data = set_byte(data, 1000, 7) WHERE n = 3`,
			"stock.vehicle_history": `DELETE FROM vehicle_history WHERE n = 20999`,
			"stock.rule_set":        `INSERT INTO rule_set (dealer_group_id, stamp, days) VALUES ('g0', '', '')`,
			"stock.dealership_alias": `INSERT INTO dealership_alias (dealer_group_id, id, dealership_id, alias, created_at)
				SELECT dealer_group_id, 'a', id, 'a', 0 FROM dealership WHERE id = '2'`,
		} {
			exec(t, m.To, change)
			list, err := m.Compare(t.Context())
			if err != nil {
				return err
			}
			for _, c := range list {
				if c.Table == table && c.Same() {
					t.Errorf("not found: %s", change)
				}
			}
		}
		list, err := m.Compare(t.Context())
		differ := 0
		for _, c := range list {
			if !c.Same() {
				differ++
			}
		}
		if differ != 7 {
			t.Errorf("%d tables differ, want 7: %v", differ, list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAMoveRefusesWhatPostgreSQLCantHold before anything is done, and says where it is.
func TestAMoveRefusesWhatPostgreSQLCantHold(t *testing.T) {
	for _, c := range []struct{ value, says string }{{"a\x00b", "NUL"}, {"\xff\xfe", "UTF-8"}} {
		db := embedded(t, sqldb.Stock)
		exec(t, db, `INSERT INTO rule_set (dealer_group_id, stamp, days) VALUES ('fine', '', ''), ('group', $1, '')`, c.value)
		err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
			_, err := (&sqldb.Move{Store: sqldb.Stock, From: tx, Progress: func(int64) {}}).Survey(t.Context())
			return err
		})
		if err == nil || !strings.Contains(err.Error(), `stock.rule_set: the row ["group"]`) || !strings.Contains(err.Error(), "stamp") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.value, err)
		}
	}
	db := embedded(t, sqldb.Stock)
	exec(t, db, `INSERT INTO inventory_version (dealer_group_id, n) VALUES ('group', 'many')`)
	err := db.Transact(t.Context(), func(tx *sqldb.DB) error {
		_, err := (&sqldb.Move{Store: sqldb.Stock, From: tx, Progress: func(int64) {}}).Survey(t.Context())
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "n is no BIGINT") {
		t.Errorf("a text among numbers: %v", err)
	}
}

func TestAMoveLeavesOthersAlone(t *testing.T) {
	server(t)
	from := embedded(t, sqldb.Stock)
	check := func(id, url string) error {
		return moving(t.Context(), t, id, sqldb.Stock, from, url, func(m *sqldb.Move) error { return m.Check(t.Context()) })
	}
	used := sqldbtest.New(t)
	db := used.Open(t, sqldb.Stock)
	if _, err := db.Tenant("g").Exec(t.Context(), `INSERT INTO rule_set (dealer_group_id, stamp, days) VALUES ($1, '', '')`); err != nil {
		t.Fatal(err)
	}
	if err := check("m", used.URL()); !errors.Is(err, sqldb.ErrOccupied) {
		t.Errorf("into an installation: %v", err)
	}
	if pending, err := db.Pending(t.Context(), sqldb.Stock); err != nil || pending {
		t.Errorf("the look has left its guards off: %v", err)
	}
	url := sqldbtest.Empty(t)
	if err := check("m", url); err != nil {
		t.Errorf("into an empty database: %v", err)
	}
	if err := moving(t.Context(), t, "m", sqldb.Stock, from, url, func(m *sqldb.Move) error { return begin(t.Context(), m) }); err != nil {
		t.Fatal(err)
	}
	if err := check("m", url); err != nil {
		t.Errorf("once more: %v", err)
	}
	if err := check("another", url); !errors.Is(err, sqldb.ErrOccupied) || !strings.Contains(err.Error(), "unfinished move") {
		t.Errorf("into the move of another: %v", err)
	}
}

// TestEveryTableIsMovedOrNot for a reason: a new one is moved by itself when its types and key allow it, and whatever
// does not belong on the other side is listed.
func TestEveryTableIsMovedOrNot(t *testing.T) {
	listed := maps.Clone(sqldb.NotMoved)
	delete(listed, "unfinished_move")
	delete(listed, "schema_version_contract") // made by the first contract step
	for _, store := range []sqldb.Store{sqldb.Accounts, sqldb.Stock} {
		db := embedded(t, store)
		rows, err := db.Query(t.Context(), `SELECT m.name, count(CASE WHEN c.name = 'dealer_group_id' THEN 1 END) > 0 FROM sqlite_master m, pragma_table_info(m.name) c
			WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' GROUP BY 1`)
		_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
			var name string
			var tenants bool
			err := r.Scan(&name, &tenants)
			if reason, not := sqldb.NotMoved[name]; not && (tenants || reason == "") {
				t.Errorf("%s has rows of tenants, or no reason, and is not moved", name)
			}
			delete(listed, name)
			return struct{}{}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Transact(t.Context(), func(tx *sqldb.DB) error {
			n, err := (&sqldb.Move{Store: store, From: tx, Progress: func(int64) {}}).Survey(t.Context())
			if want := map[sqldb.Store]int64{sqldb.Accounts: 1}[store]; n != want { // authority's
				t.Errorf("%s: migrations leave %d rows in a fresh store; the move expects them in a fresh target, too", store, n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if len(listed) > 0 {
		t.Errorf("listed as not moved, and no tables: %v", slices.Collect(maps.Keys(listed)))
	}
}

// TestMovedTablesAreAlikeOnBothEngines column by column, and none numbers its rows by itself: a copy would not move
// the sequence on.
func TestMovedTablesAreAlikeOnBothEngines(t *testing.T) {
	server(t)
	types := map[string]string{"text": "TEXT", "bigint": "BIGINT", "boolean": "BOOLEAN", "double precision": "DOUBLE PRECISION", "bytea": "BYTEA"}
	place := sqldbtest.New(t)
	for _, store := range []sqldb.Store{sqldb.Accounts, sqldb.Stock} {
		there := columns(t, place.Open(t, store), `SELECT table_name, column_name, data_type, CAST(is_nullable = 'YES' AS TEXT), coalesce(column_default, '') || identity_generation
			FROM information_schema.columns WHERE table_schema = current_schema()`)
		here := columns(t, embedded(t, store), `SELECT m.name, c.name, c.type, CASE WHEN c."notnull" OR c.pk THEN 'false' ELSE 'true' END, ''
			FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'`)
		for name, c := range there {
			if c.numbered != "" {
				t.Errorf("%s: numbered by %s", name, c.numbered)
			}
			if here[name].kind != types[c.kind] || here[name].null != c.null {
				t.Errorf("%s: %+v here, %+v there", name, here[name], c)
			}
		}
		if len(here) != len(there) || len(here) < 60 {
			t.Errorf("%s: %d columns here, %d there", store, len(here), len(there))
		}
	}
}

type column struct{ kind, null, numbered string }

func columns(t *testing.T, db *sqldb.DB, query string) map[string]column {
	t.Helper()
	all := map[string]column{}
	rows, err := db.Query(t.Context(), query)
	_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
		var table, name string
		var c column
		var numbered *string
		err := r.Scan(&table, &name, &c.kind, &c.null, &numbered)
		if numbered != nil {
			c.numbered = *numbered
		}
		if sqldb.NotMoved[table] == "" {
			all[table+"."+name] = c
		}
		return struct{}{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

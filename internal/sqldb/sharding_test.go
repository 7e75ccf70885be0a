package sqldb_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// plan is what docs/sharding.md says to run: the tables it distributes and those it copies to every node, in order.
func plan(t *testing.T) (distributed, copied []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/sharding.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^SELECT create_(distributed|reference)_table\('((?:accounts|stock)\.\w+)'(, 'dealer_group_id')?`).FindAllStringSubmatch(string(page), -1) {
		switch {
		case m[1] == "reference":
			copied = append(copied, m[2])
		case m[3] != "":
			distributed = append(distributed, m[2])
		}
	}
	return distributed, copied
}

// strings of one column.
func texts(t *testing.T, db *sqldb.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), query, args...)
	list, err := sqldb.Collect(rows, err, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestTablesCanBeSharded by dealer group: what a distributed database asks of keys, unique indexes and foreign keys. The
// tables are the same on PostgreSQL, but for the job library's, which stay on one node.
func TestTablesCanBeSharded(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "its schema is read through pragmas")
	distributed, copied := plan(t)
	for _, store := range []sqldb.Store{sqldb.Accounts, sqldb.Stock} {
		db := sqldbtest.Open(t, store)
		name := func(table string) string { return string(store) + "." + table }
		tables := texts(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'river_%' AND name NOT LIKE 'schema_version_%'`)
		for _, table := range tables {
			if _, unguarded := sqldb.Unguarded[table]; unguarded {
				if slices.Contains(distributed, name(table)) {
					t.Errorf("%s is read before the group is known, and can't be distributed by it", name(table))
				}
				continue
			}
			if !slices.Contains(distributed, name(table)) {
				t.Errorf("docs/sharding.md does not distribute %s", name(table))
			}
			keys := texts(t, db, `SELECT coalesce((SELECT c.name FROM pragma_index_info(i.name) c WHERE c.seqno = 0), '') || ' of ' || i.name FROM pragma_index_list($1) i WHERE i."unique"`, table)
			if len(keys) == 0 {
				t.Errorf("%s has no key", name(table))
			}
			for _, key := range keys {
				if !strings.HasPrefix(key, "dealer_group_id of ") {
					t.Errorf("%s: dealer_group_id does not lead the key %s", name(table), key)
				}
			}
		}
		for _, table := range tables {
			for _, parent := range texts(t, db, `SELECT DISTINCT f."table" FROM pragma_foreign_key_list($1) f`, table) {
				checkForeignKey(t, db, table, parent, distributed, copied, name)
			}
		}
	}
}

// endsOnShards are the foreign keys that docs/sharding.md drops: from a table that every node has to a distributed one.
var endsOnShards = []string{"sftp_login to integration"}

func checkForeignKey(t *testing.T, db *sqldb.DB, table, parent string, distributed, copied []string, name func(string) string) {
	t.Helper()
	from, to := slices.Index(distributed, name(table)), slices.Index(distributed, name(parent))
	switch {
	case to < 0 && !slices.Contains(copied, name(parent)):
		t.Errorf("%s refers to %s, which has to be on every node or distributed", name(table), name(parent))
	case to >= 0 && from < 0:
		if !slices.Contains(endsOnShards, table+" to "+parent) {
			t.Errorf("%s is on every node and can't refer to the distributed %s", name(table), name(parent))
		}
	case to >= 0:
		if from < to {
			t.Errorf("docs/sharding.md distributes %s before %s, to which it refers", name(table), name(parent))
		}
		if n := texts(t, db, `SELECT f."to" FROM pragma_foreign_key_list($1) f WHERE f."table" = $2 AND f."from" = 'dealer_group_id' AND f."to" = 'dealer_group_id'`, table, parent); len(n) == 0 {
			t.Errorf("the foreign key from %s to %s leaves dealer_group_id out", name(table), name(parent))
		}
	}
}

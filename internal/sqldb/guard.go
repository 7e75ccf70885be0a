package sqldb

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Unguarded are the tables that have no dealer group, or are read before it is known, and why. All others are the
// tenants': every statement on them names dealer_group_id, and on PostgreSQL row-level security shows a connection
// the rows of the one group it is set to, and none without one.
var Unguarded = map[string]string{
	"dealer_group":   "the groups themselves",
	"person":         "login finds people by address",
	"membership":     "login finds the group by person",
	"credential":     "a digest says which group, kind and id",
	"signing_key":    "belongs to the installation",
	"authority":      "one number for all replicas",
	"change":         "read by every replica",
	"replica":        "read by every replica",
	"sftp_login":     "a username says which group and integration",
	"sftp_host_key":  "belongs to the installation",
	"login_throttle": "counts addresses that may belong to nobody",
	"river_job":      "one queue works the jobs of all groups; the group is in a job's arguments",
	"river_leader":   "belongs to the installation",
}

// currentGroup reads the setting that scope.setting writes. Without it every query on a guarded table fails, which
// shows a mistake where "no rows" would hide it.
const currentGroup = `CREATE OR REPLACE FUNCTION current_dealer_group() RETURNS TEXT LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
	IF coalesce(current_setting('carfluence.group', true), '') = '' THEN
		RAISE EXCEPTION 'no dealer group is set on this connection (carfluence.group)' USING ERRCODE = 'insufficient_privilege';
	END IF;
	RETURN substr(current_setting('carfluence.group'), 2);
END $$`

// guardTable is for one table; the subselect makes the function be called once per statement. Foreign keys and
// their cascades are not bound by it. Without statistics of groups, statements are planned alike for all: a group that
// came after the last ANALYZE would be taken for empty, and every batch of its first file would read all of it.
const guardTable = `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY;
ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY;
ALTER TABLE %[1]s ALTER COLUMN dealer_group_id SET STATISTICS 0;
DROP POLICY IF EXISTS dealer_group ON %[1]s;
CREATE POLICY dealer_group ON %[1]s USING (dealer_group_id = (SELECT current_dealer_group())) WITH CHECK (dealer_group_id = (SELECT current_dealer_group()))`

// tenantTables lists the store's tables of tenants that are guarded, or are not.
func (db *DB) tenantTables(ctx context.Context, guarded bool) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'dealer_group_id'
		WHERE c.relnamespace = CAST(current_schema() AS REGNAMESPACE) AND c.relkind IN ('r', 'p')
		AND $1 = (c.relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid)) ORDER BY c.relname`, guarded)
	list, err := Collect(rows, err, func(r *Rows) (name string, err error) { return name, r.Scan(&name) })
	return slices.DeleteFunc(list, func(name string) bool { return Unguarded[name] != "" }), err
}

// guard puts row-level security on all tables of tenants that lack it: new ones, so nobody is held up.
func (db *DB) guard(ctx context.Context) error {
	tables, err := db.tenantTables(ctx, false)
	if err != nil || len(tables) == 0 {
		return err
	}
	return db.Transact(ctx, func(tx *DB) error {
		if _, err := tx.Exec(ctx, currentGroup); err != nil {
			return err
		}
		return tx.each(ctx, tables, guardTable)
	})
}

// unguard lets a Move write the rows of all groups; no server works on the store meanwhile.
func (db *DB) unguard(ctx context.Context) error {
	tables, err := db.tenantTables(ctx, true)
	if err != nil || len(tables) == 0 {
		return err
	}
	return db.Transact(ctx, func(tx *DB) error { return tx.each(ctx, tables, `ALTER TABLE %[1]s NO FORCE ROW LEVEL SECURITY`) })
}

// each runs statements, separated by semicolons, for every table.
func (db *DB) each(ctx context.Context, tables []string, statements string) error {
	for _, table := range tables {
		for statement := range strings.SplitSeq(fmt.Sprintf(statements, table), ";\n") {
			if _, err := db.Exec(ctx, statement); err != nil {
				return fmt.Errorf("row-level security of %s: %w", table, err)
			}
		}
	}
	return nil
}

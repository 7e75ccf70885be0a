package sqldb

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
)

// unmarked is the last step of a store that was written before steps had kinds.
var unmarked = map[Store]int64{Accounts: 3, Stock: 9}

// TestMigrationsAreWhatTheirNamesSay, as far as their text shows it. See CONTRIBUTING.md.
func TestMigrationsAreWhatTheirNamesSay(t *testing.T) {
	for store, last := range unmarked {
		names, err := fs.Glob(migrations, "migrations/"+string(store)+"/*.sql")
		if err != nil || len(names) < 2 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			if version, err := goose.NumericComponent(name); err == nil && version <= last {
				continue
			}
			text, err := migrations.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, fault := range faultsOf(name, string(text)) {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
}

var (
	comments   = regexp.MustCompile(`--[^\n]*`)
	spaces     = regexp.MustCompile(`\s+`)
	makesTable = regexp.MustCompile(`^CREATE TABLE (\w+)`)
	makesIndex = regexp.MustCompile(`^CREATE (UNIQUE )?INDEX \w+ ON (\w+)`)
	inserts    = regexp.MustCompile(`^INSERT INTO (\w+)`)
	adds       = regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN (.*)$`)
	takesAway  = regexp.MustCompile(`^(?:ALTER|DROP) TABLE (\w+)|^DROP INDEX (\w+)`)
)

// faultsOf reads one file.
func faultsOf(name, text string) (faults []string) {
	is := kindOf(name)
	made, touched := map[string]bool{}, map[string]bool{}
	fault := func(text string, args ...any) { faults = append(faults, fmt.Sprintf(text, args...)) }
	for statement := range strings.SplitSeq(comments.ReplaceAllString(text, ""), ";") {
		statement = strings.TrimSpace(spaces.ReplaceAllString(statement, " "))
		indexed, add, away := makesIndex.FindStringSubmatch(statement), adds.FindStringSubmatch(statement), takesAway.FindStringSubmatch(statement)
		switch {
		case statement == "":
		case makesTable.MatchString(statement):
			made[makesTable.FindStringSubmatch(statement)[1]] = true
		case inserts.MatchString(statement) && made[inserts.FindStringSubmatch(statement)[1]]:
		case indexed != nil && made[indexed[2]]:
		case indexed != nil && indexed[1] != "" && is != contract:
			fault("the version before may write what a unique index of %s forbids; make it a contract step", indexed[2])
		case indexed != nil && is == expand:
			fault("writes to %s would wait for the index; give it a file %s_index_….sql of its own", indexed[2], path.Base(name)[:4])
		case indexed != nil:
			touched[indexed[2]] = true
		case add != nil && strings.Contains(add[2], "NOT NULL") && !strings.Contains(add[2], "DEFAULT"), add != nil && strings.Contains(add[2], "REFERENCES"):
			fault("the version before can't fill the column; let it be null, or give it a default: %s", statement)
		case add != nil:
			touched[add[1]] = true
		case away != nil && is != contract:
			fault("the version before may need it; make it a contract step, a release later: %s", statement)
		case away != nil:
			touched[away[1]+away[2]] = true
		default:
			fault("a migration changes tables; rows are the program's, group by group: %s", statement)
		}
		if is == index && statement != "" && indexed == nil {
			fault("an index step makes indexes alone: %s", statement)
		}
	}
	if len(touched) > 1 {
		fault("takes locks on several tables, against the order of those who use them; one file for each of %v", touched)
	}
	return faults
}

func TestFaultsOfMigrationsAreFound(t *testing.T) {
	for _, c := range []struct{ name, text, fault string }{
		{"0010_thing.sql", "CREATE TABLE thing (id TEXT);\nCREATE UNIQUE INDEX thing_id ON thing (id);\nINSERT INTO thing (id) VALUES ('a');", ""},
		{"0010_column.sql", "-- DROP it later;\nALTER TABLE vehicle ADD COLUMN a TEXT;\nALTER TABLE vehicle ADD COLUMN b TEXT NOT NULL DEFAULT '';", ""},
		{"0010_column.sql", "ALTER TABLE vehicle ADD COLUMN a TEXT NOT NULL", "default"},
		{"0010_column.sql", "ALTER TABLE vehicle ADD COLUMN a TEXT REFERENCES b (id)", "can't fill"},
		{"0010_columns.sql", "ALTER TABLE vehicle ADD COLUMN a TEXT; ALTER TABLE rule ADD COLUMN a TEXT", "several tables"},
		{"0010_drop.sql", "ALTER TABLE vehicle\n  DROP COLUMN a", "contract"},
		{"0010_drop.sql", "DROP TABLE vehicle", "contract"},
		{"0010_drop.sql", "DROP INDEX vehicle_a", "contract"},
		{"0010_null.sql", "ALTER TABLE vehicle ALTER COLUMN a SET NOT NULL", "contract"},
		{"0010_rename.sql", "ALTER TABLE vehicle RENAME COLUMN a TO b", "contract"},
		{"0010_contract_drop.sql", "ALTER TABLE vehicle DROP COLUMN a", ""},
		{"0010_fill.sql", "UPDATE vehicle SET a = b", "rows"},
		{"0010_contract_fill.sql", "DELETE FROM vehicle", "rows"},
		{"0010_fill.sql", "INSERT INTO vehicle (a) SELECT b FROM c", "rows"},
		{"0010_fast.sql", "CREATE INDEX vehicle_a ON vehicle (a)", "0010_index_"},
		{"0010_index_fast.sql", "CREATE INDEX vehicle_a ON vehicle (a)", ""},
		{"0010_index_fast.sql", "CREATE UNIQUE INDEX vehicle_a ON vehicle (a)", "contract"},
		{"0010_index_fast.sql", "CREATE INDEX vehicle_a ON vehicle (a); CREATE TABLE t (id TEXT)", "alone"},
	} {
		faults := strings.Join(faultsOf("migrations/stock/"+c.name, "-- +goose Up\n"+c.text), "\n")
		if (faults == "") != (c.fault == "") || !strings.Contains(faults, c.fault) {
			t.Errorf("%s: %q, want %q", c.text, faults, c.fault)
		}
	}
}

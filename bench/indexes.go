package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// inFile says what a column of ours is in a feed's file, or what stands for what is not in it: as long, and as much alike.
// NL is a line's end.
var inFile = map[string]string{
	"dealer_group_id":       `'0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || ''`,
	"dealership_id":         `'0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01' || ''`,
	"source_id":             `'0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02' || ''`,
	"source_integration_id": `'0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02' || ''`,
	"status":                `lower("Status")`,
	"created_at":            `1764000000000000 + 0`,
	"updated_at":            `1764000000000000 + 0`,
	"changed_at":            `1764000000000000 + 0`,
	"version":               `1 + 0`,
	"lot_since":             `CAST(substr("Inventory Date", 4, 2) AS BIGINT) + 20000`,
	"vin":                   `"VIN"`,
	"stock_number":          `"Stock #"`,
	"make":                  `"Make"`,
	"model":                 `"Model"`,
	"trim":                  `"Series"`,
	"condition":             `"New/Used"`,
	"body_style":            `"Body"`,
	"year":                  `CAST("Year" AS BIGINT)`,
	"mileage":               `CAST("Odometer" AS BIGINT)`,
	"price_cents":           `CAST("Price" AS BIGINT) * 100`,
	"search":                `lower("VIN" || NL || "Make" || NL || "Model" || NL || "Stock #")`,
}

var indexWord = regexp.MustCompile(`[a-z_0-9]+`)

const indexesOnSQLite = `SELECT replace(sql, char(10), ' ') FROM sqlite_master WHERE type = 'index' AND tbl_name IN ('vehicle', 'vehicle_source') AND sql IS NOT NULL
	UNION ALL SELECT 'column ' || name FROM pragma_table_info('vehicle') UNION ALL SELECT 'column ' || name FROM pragma_table_info('vehicle_source')`

// indexes are the statements that give the plain table the key of vehicle, and the indexes that vehicle and vehicle_source
// have in a new installation.
func (b *bench) indexes(engine string) (string, error) {
	p := &place{b: b, on: b.this, engine: engine, data: filepath.Join(b.dir, "schema")}
	defer os.RemoveAll(p.data)
	read := func() *exec.Cmd {
		return exec.CommandContext(b.ctx, "sqlite3", filepath.Join(p.data, "stock.db"), indexesOnSQLite)
	}
	if engine == onPostgres {
		var err error
		if p.database, err = b.pg.database(b.ctx, "bench_schema", "template0"); err != nil {
			return "", err
		}
		read = func() *exec.Cmd {
			return exec.CommandContext(b.ctx, "psql", "-X", "-q", "-A", "-t", p.database, "-c",
				`SELECT indexdef FROM pg_indexes WHERE tablename IN ('vehicle', 'vehicle_source') AND indexname NOT LIKE '%_pkey'
				UNION ALL SELECT DISTINCT 'column ' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relname IN ('vehicle', 'vehicle_source') AND attnum > 0`)
		}
	}
	if err := p.found(); err != nil {
		return "", err
	}
	out, err := read().Output()
	if err != nil {
		return "", fmt.Errorf("read the indexes: %w\n%s", err, exitText(err))
	}
	return plainIndexes(engine, strings.Split(strings.TrimSpace(string(out)), "\n"))
}

// plainIndexes translates them to the plain table.
func plainIndexes(engine string, lines []string) (string, error) {
	var columns, list []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, "column "); ok {
			columns = append(columns, name)
		}
	}
	newLine := "char(10)"
	if engine == onPostgres {
		newLine = "chr(10)"
	}
	lines = append(lines, "CREATE UNIQUE INDEX vehicle_key ON vehicle (dealer_group_id, vin)")
	for i, line := range lines {
		at := strings.IndexByte(line, '(')
		if strings.HasPrefix(line, "column ") || at < 0 {
			continue
		}
		missing := ""
		what := indexWord.ReplaceAllStringFunc(line[at:], func(word string) string {
			expression, ok := inFile[word]
			switch {
			case ok && slices.Contains(columns, word):
				return "(" + strings.ReplaceAll(expression, "NL", newLine) + ")"
			case slices.Contains(columns, word):
				missing = word
			}
			return word
		})
		if missing != "" {
			return "", fmt.Errorf("the column %s of %q is not in bench/indexes.go: say there what it is in a feed's file", missing, line)
		}
		unique, using := "", ""
		if strings.HasPrefix(line, "CREATE UNIQUE") {
			unique = "UNIQUE "
		}
		if _, method, ok := strings.Cut(line[:at], " USING "); ok {
			using = "USING " + method
		}
		list = append(list, fmt.Sprintf("CREATE %sINDEX feed_%d ON feed %s%s;\n", unique, i, using, what))
	}
	return strings.Join(list, ""), nil
}

// extend makes the extension that indexes for substrings need.
func (pg *postgres) extend(ctx context.Context, name, indexes string) error {
	if !strings.Contains(indexes, "gin_trgm_ops") {
		return nil
	}
	conn, err := pg.connect(ctx, name)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `CREATE EXTENSION IF NOT EXISTS pg_trgm`)
	return err
}

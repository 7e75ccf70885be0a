package sqldb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// NotMoved are the tables that Move leaves out, and why. All others of both stores are moved.
var NotMoved = map[string]string{
	"schema_version_accounts": "says which migrations the database itself has taken",
	"schema_version_stock":    "says which migrations the database itself has taken",
	"replica":                 "servers at work; none is",
	"river_migration":         "says which migrations the database itself has taken",
	"river_job":               "differs between the engines; package job enqueues what waits anew",
	"river_queue":             "River notes by itself which queues it works",
	"river_leader":            "servers at work; none is",
	"river_notification":      "what servers at work tell each other",
	contractTable:             "says which migrations the database itself has taken",
	moveRecord:                "the move's own",
}

// filledByMigration is the only table in which a fresh database has a row.
const filledByMigration = "authority"

// movedTable is a table as both engines know it.
type movedTable struct {
	name    string
	columns []movedColumn // those of the primary key first
	key     []string
	refers  []string // tables that its foreign keys name
}

type movedColumn struct{ name, declared string }

// movedTypes are those whose values both engines hand out alike.
var movedTypes = []string{"TEXT", "BIGINT", "BOOLEAN", "DOUBLE PRECISION", "BYTEA"}

// movedTables reads an embedded store's schema, in the order of foreign keys.
func (db *DB) movedTables(ctx context.Context) ([]movedTable, error) {
	rows, err := db.Query(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name`)
	names, err := Collect(rows, err, func(r *Rows) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		return nil, err
	}
	var tables []movedTable
	for _, name := range names {
		if NotMoved[name] != "" {
			continue
		}
		t, err := db.movedTable(ctx, name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return byReferences(tables)
}

func (db *DB) movedTable(ctx context.Context, name string) (movedTable, error) {
	t := movedTable{name: name}
	rows, err := db.Query(ctx, `SELECT name, type, pk FROM pragma_table_info($1) ORDER BY pk = 0, pk, cid`, name)
	_, err = Collect(rows, err, func(r *Rows) (struct{}, error) {
		var c movedColumn
		var inKey int
		err := r.Scan(&c.name, &c.declared, &inKey)
		t.columns = append(t.columns, c)
		if inKey > 0 {
			t.key = append(t.key, c.name)
		}
		if err == nil && !slices.Contains(movedTypes, c.declared) {
			err = fmt.Errorf("%s.%s is of a type that is not known to moves: %s", name, c.name, c.declared)
		}
		return struct{}{}, err
	})
	if err == nil && len(t.key) == 0 {
		err = fmt.Errorf("%s has no primary key", name)
	}
	if err != nil {
		return t, err
	}
	rows, err = db.Query(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1) WHERE "table" <> $1`, name)
	t.refers, err = Collect(rows, err, func(r *Rows) (to string, err error) { return to, r.Scan(&to) })
	return t, err
}

func (t movedTable) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// position is a row's primary key as JSON.
func (t movedTable) position(values []any) string {
	b, _ := json.Marshal(values[:len(t.key)]) // texts and numbers
	return string(b)
}

// check refuses what PostgreSQL can't hold, or SQLite holds in spite of the column's type.
func (t movedTable) check(values []any) error {
	for i, v := range values {
		if fault := t.columns[i].fault(v); fault != "" {
			return fmt.Errorf("the row %s can't be moved: %s %s. Mend it in the embedded database and begin again; nothing was changed", t.position(values), t.columns[i].name, fault)
		}
	}
	return nil
}

// fault says what keeps a value from being moved, "" for nothing.
func (c movedColumn) fault(v any) string {
	fits := v == nil
	switch c.declared {
	case "TEXT":
		text, ok := v.(string)
		if strings.ContainsRune(text, 0) {
			return "holds a NUL character, which texts in PostgreSQL can't"
		}
		if !utf8.ValidString(text) {
			return "holds bytes that are no UTF-8, which texts in PostgreSQL can't"
		}
		fits = fits || ok
	case "BIGINT":
		_, ok := v.(int64)
		fits = fits || ok
	case "BOOLEAN":
		_, ok := v.(bool)
		fits = fits || ok
	case "DOUBLE PRECISION":
		_, ok := v.(float64)
		fits = fits || ok
	case "BYTEA":
		_, ok := v.([]byte)
		fits = fits || ok
	}
	if !fits {
		return fmt.Sprintf("is no %s (%T)", c.declared, v)
	}
	return ""
}

// byReferences sorts tables so that those come first to which others refer.
func byReferences(tables []movedTable) ([]movedTable, error) {
	var sorted []movedTable
	placed := map[string]bool{}
	for len(sorted) < len(tables) {
		before := len(sorted)
		for _, t := range tables {
			ready := !slices.ContainsFunc(t.refers, func(to string) bool { return !placed[to] })
			if ready && !placed[t.name] {
				sorted, placed[t.name] = append(sorted, t), true
			}
		}
		if len(sorted) == before {
			return nil, errors.New("tables refer to each other in a circle")
		}
	}
	return sorted, nil
}

// keyAt is the reverse of position.
func keyAt(position string) (key []any, err error) {
	d := json.NewDecoder(strings.NewReader(position))
	d.UseNumber()
	if err := d.Decode(&key); err != nil {
		return nil, fmt.Errorf("position %s: %w", position, err)
	}
	for i, v := range key {
		if n, ok := v.(json.Number); ok {
			if key[i], err = n.Int64(); err != nil {
				return nil, fmt.Errorf("position %s: %w", position, err)
			}
		}
	}
	return key, nil
}

func quoted(names ...string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = pgx.Identifier{name}.Sanitize()
	}
	return strings.Join(list, ", ")
}

// numbered is "$1, $2, …".
func numbered(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(list, ", ")
}

// Most of one batch: what a kill costs, and what is held in memory on the way.
const (
	batchRows  = 10_000
	batchBytes = 8 << 20
)

// reader reads a table.
type reader struct {
	*Rows
	columns []movedColumn
	values  []any // of the row
	dest    []any
	ended   bool
	err     error
}

// read begins after a position, or with the first row for "", on SQLite in the order of the primary key.
func (db *DB) read(ctx context.Context, t movedTable, after string) (*reader, error) {
	query, args := `SELECT `+quoted(t.names()...)+` FROM `+quoted(t.name), []any(nil)
	if after != "" {
		var err error
		if args, err = keyAt(after); err != nil {
			return nil, err
		}
		query += ` WHERE (` + quoted(t.key...) + `) > (` + numbered(len(args)) + `)`
	}
	if db.Engine() == SQLite {
		query += ` ORDER BY ` + quoted(t.key...)
	}
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	r := &reader{Rows: rows, columns: t.columns, values: make([]any, len(t.columns)), dest: make([]any, len(t.columns))}
	for i := range r.values {
		r.dest[i] = &r.values[i]
	}
	return r, nil
}

// Next reads a row into values.
func (r *reader) Next() bool {
	if !r.Rows.Next() {
		r.ended, r.err = true, classify("rows", r.Rows.Err())
		return false
	}
	r.err = r.Scan(r.dest...)
	for i, c := range r.columns {
		if n, ok := r.values[i].(int64); ok && c.declared == "BOOLEAN" && n&^1 == 0 { // SQLite has no truth values
			r.values[i] = n == 1
		}
	}
	return r.err == nil
}

// batch is the next rows of a reader, for COPY.
type batch struct {
	*reader
	rows, bytes int
}

// Next implements pgx.CopyFromSource.
func (b *batch) Next() bool {
	if b.rows >= batchRows || b.bytes >= batchBytes || !b.reader.Next() {
		return false
	}
	b.rows++
	for _, v := range b.values {
		switch v := v.(type) {
		case string:
			b.bytes += len(v)
		case []byte:
			b.bytes += len(v)
		}
	}
	return true
}

// Values implements pgx.CopyFromSource.
func (b *batch) Values() ([]any, error) { return b.values, nil }

// Err implements pgx.CopyFromSource.
func (b *batch) Err() error { return b.err }

package sqldb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Bulk is a statement about many rows of a tenant's table at once. What is loaded is written by key: the caller knows which
// rows are there, and holds the lock that keeps it so.
type Bulk struct {
	table   string
	key     []string // of an update, beside the dealer group; none of an insert
	columns []string // of a row to be loaded, the key first
}

// InsertInto is a Bulk that adds rows. Columns are separated by commas; dealer_group_id is not among them.
func InsertInto(table, columns string) *Bulk { return &Bulk{table: table, columns: listed(columns)} }

// UpdateOf is a Bulk that changes columns of the rows with a key, which is unique within a dealer group.
func UpdateOf(table, key, columns string) *Bulk {
	names := listed(key)
	return &Bulk{table: table, key: names, columns: append(slices.Clone(names), listed(columns)...)}
}

func listed(columns string) []string {
	names := strings.Split(columns, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// copyFrom is how many new rows it takes until COPY costs less than a statement for each.
const copyFrom = 50

// Load writes n rows; row appends the values of the i-th in the order of the columns. It belongs inside a transaction,
// which an error has spoiled.
//
// On PostgreSQL many new rows are copied to a temporary table first, and go from there to their table in one statement: a table with
// row-level security takes no COPY, and one that may be filled by several can't ignore conflicts. Changes are sent as a statement for each row, all
// in one round trip: a join with the copied rows was planned as one with all of the group's. On SQLite a statement is
// prepared and run for each row, past database/sql: it needs no journal of its own as one for several rows does.
func (t *Tenant) Load(ctx context.Context, b *Bulk, n int, row func(i int, values []any) []any) error {
	db := t.db
	switch {
	case n == 0:
		return nil
	case db.tx == nil:
		return fmt.Errorf("sqldb: load %s outside a transaction", b.table)
	case n == 1:
		_, err := t.Exec(ctx, b.each("$"), row(0, nil)...)
		return err
	}
	if err := db.enter(ctx, t.scope()); err != nil {
		return err
	}
	err := db.own.Raw(func(c any) error {
		switch {
		case db.pool.pg == nil:
			if n >= copyFrom {
				db.pool.spread()
			}
			return b.step(ctx, c.(driver.ConnPrepareContext), t.group, n, row)
		case n < copyFrom || b.key != nil:
			return b.send(ctx, c.(*stdlib.Conn).Conn(), t.group, n, row)
		}
		limited, done := db.limited(ctx)
		defer done()
		return b.copy(limited, db, c.(*stdlib.Conn).Conn(), t.group, n, row)
	})
	return db.classify("load "+b.table, err)
}

// each is the statement for one row: its parameters are the dealer group and the row's values.
func (b *Bulk) each(sign string) string {
	parameter := func(i int) string {
		if sign == "?" {
			return sign
		}
		return sign + strconv.Itoa(i)
	}
	if b.key == nil {
		var values strings.Builder
		for i := range b.columns {
			values.WriteString(", " + parameter(i+2))
		}
		return `INSERT INTO ` + b.table + ` (dealer_group_id, ` + strings.Join(b.columns, ", ") + `) VALUES (` + parameter(1) + values.String() + `)`
	}
	var set, where []string
	for i, name := range b.columns {
		equals := name + " = $" + strconv.Itoa(i+2)
		if i < len(b.key) {
			where = append(where, equals)
		} else {
			set = append(set, equals)
		}
	}
	return `UPDATE ` + b.table + ` SET ` + strings.Join(set, ", ") + ` WHERE dealer_group_id = $1 AND ` + strings.Join(where, " AND ")
}

// whole is the statement for all rows of the temporary table.
func (b *Bulk) whole() string {
	names := strings.Join(b.columns, ", ")
	return `INSERT INTO ` + b.table + ` (dealer_group_id, ` + names + `) SELECT CAST($1 AS TEXT), ` + names + ` FROM ` + b.staged()
}

// staged is the name of the temporary table.
func (b *Bulk) staged() string { return "staged_" + b.table + "_" + strconv.Itoa(len(b.columns)) }

// step runs the statement row by row on SQLite.
func (b *Bulk) step(ctx context.Context, conn driver.ConnPrepareContext, group string, n int, row func(i int, values []any) []any) error {
	sign := "?" // of parameters without names, which the driver need not look up
	if b.key != nil {
		sign = "$"
	}
	stmt, err := conn.PrepareContext(ctx, b.each(sign))
	if err != nil {
		return err
	}
	defer stmt.Close()
	run := stmt.(driver.StmtExecContext)
	var values []any
	args := make([]driver.NamedValue, 1+len(b.columns))
	for i := range n {
		values = row(i, append(values[:0], group))
		if len(values) != len(args) {
			return fmt.Errorf("%d values for the %d columns of %s", len(values)-1, len(args)-1, b.table)
		}
		for j, v := range values {
			args[j].Ordinal = j + 1
			if args[j].Value, err = driver.DefaultParameterConverter.ConvertValue(v); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := run.ExecContext(context.Background(), args); err != nil { // one that can end costs a goroutine for each row
			return err
		}
	}
	return nil
}

// send runs the statement for each row on PostgreSQL, all in one round trip.
func (b *Bulk) send(ctx context.Context, conn *pgx.Conn, group string, n int, row func(i int, values []any) []any) error {
	batch, text := &pgx.Batch{}, b.each("$")
	for i := range n {
		batch.Queue(text, row(i, []any{group})...)
	}
	return conn.SendBatch(ctx, batch).Close()
}

// copy brings new rows to PostgreSQL by COPY, and from there into their table.
func (b *Bulk) copy(ctx context.Context, db *DB, conn *pgx.Conn, group string, n int, row func(i int, values []any) []any) error {
	name := b.staged()
	clear := `TRUNCATE ` + name
	if !db.staged[name] {
		clear = `CREATE TEMPORARY TABLE ` + name + ` ON COMMIT DROP AS SELECT ` + strings.Join(b.columns, ", ") + ` FROM ` + b.table + ` WITH NO DATA`
	}
	if _, err := conn.Exec(ctx, clear, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	db.staged[name] = true
	rows := make([][]any, n) // made here: whoever sends them can't be asked to recover
	for i := range rows {
		rows[i] = row(i, make([]any, 0, len(b.columns)))
	}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{name}, b.columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, b.whole(), group)
	return err
}

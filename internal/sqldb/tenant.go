package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Tenant is a store bound to one dealer group. The group is always $1, passed by the handle itself;
// callers number their own parameters from $2. A statement that does not name dealer_group_id is refused,
// so a query can't be sent without its tenant. On PostgreSQL the server holds the group too: see guard.go.
type Tenant struct {
	db    *DB
	group string
}

// Tenant binds the store to a dealer group (its id).
func (db *DB) Tenant(group string) *Tenant { return &Tenant{db: db, group: group} }

// Group is the id of the dealer group.
func (t *Tenant) Group() string { return t.group }

// Patient is the same for work that nobody waits for (see DB.Patient).
func (t *Tenant) Patient() *Tenant { return t.db.Patient().Tenant(t.group) }

// DB is the handle underneath, for joining a transaction with tables that are read before the group is known.
func (t *Tenant) DB() *DB { return t.db }

// Transact runs f in one transaction (see DB.Transact).
func (t *Tenant) Transact(ctx context.Context, f func(tx *Tenant) error) error {
	return t.db.transact(ctx, t.scope(), func(tx *DB) error { return f(&Tenant{db: tx, group: t.group}) })
}

// Exec runs a statement that returns no rows.
func (t *Tenant) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := bound(query); err != nil {
		return nil, err
	}
	return t.db.exec(ctx, t.scope(), query, t.args(args))
}

// Query runs a statement that returns rows.
func (t *Tenant) Query(ctx context.Context, query string, args ...any) (*Rows, error) {
	if err := bound(query); err != nil {
		return nil, err
	}
	return t.db.query(ctx, t.scope(), query, t.args(args))
}

// QueryFew is Query for a few rows that are found by key. On SQLite it is not broken off when the context ends.
func (t *Tenant) QueryFew(ctx context.Context, query string, args ...any) (*Rows, error) {
	return t.Query(t.db.unwatched(ctx), query, args...)
}

// QueryRow runs a statement that returns one row; read it with Scan.
func (t *Tenant) QueryRow(ctx context.Context, query string, args ...any) TenantRow {
	return TenantRow{t: t, ctx: ctx, query: query, args: args}
}

// TenantRow is one row about to be read.
type TenantRow struct {
	t     *Tenant
	ctx   context.Context
	query string
	args  []any
}

// Scan runs the statement and reads its row; ErrNoRows when there is none.
func (r TenantRow) Scan(dest ...any) error {
	if err := bound(r.query); err != nil {
		return err
	}
	return r.t.db.scanRow(r.ctx, r.t.scope(), r.query, r.t.args(r.args), dest...)
}

func (t *Tenant) scope() scope { return scope{t.group, true} }

func (t *Tenant) args(args []any) []any {
	out := make([]any, 0, len(args)+1)
	return append(append(out, t.group), args...)
}

func bound(query string) error {
	if !strings.Contains(query, "dealer_group_id") || !strings.Contains(query, "$1") {
		return fmt.Errorf("sqldb: statement is not bound to a dealer group: %.60s", query)
	}
	return nil
}

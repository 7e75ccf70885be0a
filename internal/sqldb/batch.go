package sqldb

import "context"

// Statement is one of a Batch: it writes or reads at most one row, which is scanned into dest.
type Statement struct {
	group string // the dealer group it is bound to, "" for none
	query string
	args  []any
	dest  []any
	err   error
}

// Statement makes one for a Batch; without dest it returns no row.
func (db *DB) Statement(dest []any, query string, args ...any) Statement {
	return Statement{query: query, args: args, dest: dest}
}

// Statement makes one for a Batch, bound to the dealer group.
func (t *Tenant) Statement(dest []any, query string, args ...any) Statement {
	return Statement{group: t.group, query: query, args: t.args(args), dest: dest, err: bound(query)}
}

// Batch runs statements in one transaction, in their order. The first error ends it and undoes all, ErrNoRows
// included, for a statement that has a dest and found no row.
//
// A batch is one round trip where the engine can pipeline it, which is why a settlement goes through here: this
// is the one place for it. Each statement is sent once, whatever happens to its answer.
func (db *DB) Batch(ctx context.Context, statements ...Statement) error {
	return db.Transact(ctx, func(tx *DB) error {
		for _, s := range statements {
			if err := s.run(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s Statement) run(ctx context.Context, tx *DB) error {
	if s.err != nil {
		return s.err
	}
	if s.dest == nil {
		_, err := tx.Exec(ctx, s.query, s.args...)
		return err
	}
	return tx.scanRow(ctx, s.query, s.args, s.dest...)
}

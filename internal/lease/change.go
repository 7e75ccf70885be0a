package lease

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
)

// Kind says what a change is about; the kinds are those of the packages that log them.
type Kind string

// Change is a row of the change log.
type Change struct {
	N      int64 // its number: changes commit in this order, without gaps
	Kind   Kind
	Group  string
	ID     string // of the record
	Window int64  // for kinds that belong to a window of the quota, else 0
}

// Record writes a change at the end of the transaction that makes it, whose commit sets n to its number: the row it
// locks makes numbers commit in order, and is locked by all changes there are.
func Record(tx *sqldb.Tenant, kind Kind, id string, window int64, at time.Time, n *int64) {
	logChange(tx, kind, id, window, at, n)
}

// Prune forgets changes from before a time. A replica that has slept past them drops everything instead.
func Prune(ctx context.Context, db *sqldb.DB, before time.Time) error {
	return pruneChanges(ctx, db, before)
}

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"carfluence/internal/errs"
)

// IsUnique tells that a unique index or primary key refused a row.
func IsUnique(err error) bool {
	return hasCode(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) || pgCode(err) == pgUnique
}

// IsForeignKey tells that a foreign key refused a row.
func IsForeignKey(err error) bool {
	return hasCode(err, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY) || pgCode(err) == pgForeignKey
}

// IsFull tells that the disk (or the store's cap) is full, or can't be written.
func IsFull(err error) bool {
	code := pgCode(err)
	return hasPrimary(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY) || code == pgDiskFull || code == pgReadOnly
}

// IsBusy tells that another connection held a lock for too long, or in a circle: what was begun may be tried again.
func IsBusy(err error) bool {
	switch pgCode(err) {
	case pgLockTimeout, pgCancelled, pgDeadlock, pgSerialize:
		return true
	}
	return hasPrimary(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
}

func hasCode(err error, codes ...int) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code() == c {
			return true
		}
	}
	return false
}

func hasPrimary(err error, codes ...int) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Code()&0xff == c {
			return true
		}
	}
	return false
}

// classify also lets go of all idle connections when one turns out to have been cut: so were the others, most likely, and
// each would cost a request.
func (db *DB) classify(doing string, err error) error {
	if db.pool.pg != nil && isCut(err) {
		db.pool.pg.pool.Reset()
	}
	return classify(doing, err)
}

// classify turns what the sender can only wait out (full disk, busy store, a server that is away) into
// Unavailable, text that PostgreSQL can't hold into Invalid, and adds what we were doing to the rest.
func classify(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return sql.ErrNoRows
	case isTooOld(err):
		return errs.UnavailableFor(10*time.Second, "This server is of an earlier version than its database, and has to be replaced.", fmt.Errorf("%s: %w", doing, err))
	case IsFull(err):
		return errs.UnavailableFor(5*time.Second, "The database can't be written at the moment; nothing was changed. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	case isBadText(err):
		return &errs.Error{Kind: errs.KindInvalid, Code: "invalid", Detail: "Text can't hold NUL characters, or bytes that are no UTF-8.", Err: fmt.Errorf("%s: %w", doing, err)}
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case IsBusy(err), isGone(err), hasPrimary(err, sqlite3.SQLITE_CANTOPEN),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone):
		return errs.UnavailableFor(time.Second, "The database is busy; nothing was changed. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	case strings.Contains(err.Error(), "database is closed"), strings.Contains(err.Error(), "closed pool"):
		return errs.UnavailableFor(time.Second, "The server is shutting down. Try again shortly.", fmt.Errorf("%s: %w", doing, err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// IsAway tells that the server could not be reached, or has ended the connection.
func IsAway(err error) bool { return err != nil && isGone(err) }

// isBadText tells that PostgreSQL refused a text; SQLite takes any.
func isBadText(err error) bool {
	code := pgCode(err)
	return code == pgBadText || code == pgBadEscape
}

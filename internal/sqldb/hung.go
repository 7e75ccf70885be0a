package sqldb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carfluence/internal/errs"
)

// A server that is well ends by itself what takes too long. One that hangs, or is cut off without a word, does not:
// then this side ends the connection, these times after that server would have.
const (
	hungAfter = 2 * time.Second
	// slowestReader is how long the rows of one Query may take to be read.
	slowestReader = time.Minute
)

// limit is how long a statement may be under way, 0 for as long as it takes.
func (db *DB) limit() time.Duration {
	if db.pool.pg == nil || db.patient {
		return 0
	}
	return db.pool.pg.options.Wait + db.pool.pg.options.Statement + hungAfter
}

// limited is for a statement that is over when its call returns.
func (db *DB) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if limit := db.limit(); limit > 0 {
		return context.WithTimeout(ctx, limit)
	}
	return ctx, func() {}
}

// reading is for a statement whose rows are read after its call.
func (db *DB) reading(ctx context.Context) context.Context {
	limit := db.limit()
	if limit == 0 {
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, limit+slowestReader)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// after calls f unless stopped in time.
func (db *DB) after(f func()) (stop func()) {
	limit := db.limit()
	if limit == 0 {
		return func() {}
	}
	timer := time.AfterFunc(limit, f)
	return func() { timer.Stop() }
}

// uncertain is classify for what was sent and changes something by itself: when its answer is lost, nobody knows
// whether it did.
func (db *DB) uncertain(ctx context.Context, doing string, err error) error {
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	_, unsent := errors.AsType[notSent](err)
	if err == nil || db.pool.pg == nil || unsent || !isCut(err) && !late || ctx.Err() != nil {
		return db.classify(doing, err)
	}
	db.pool.pg.pool.Reset()
	return errs.UnavailableFor(time.Second, "The database went away before it answered; whether the change was made is not known. Look before you repeat it.",
		fmt.Errorf("%s: %w", doing, err))
}

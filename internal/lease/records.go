package lease

import (
	"context"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"carfluence/internal/errs"
	"carfluence/internal/sqldb"
)

// Records are rows of the store in memory that are never older than the lease.
type Records[K comparable, V any] struct {
	replica *Replica
	cache   *otter.Cache[K, V]
}

// NewRecords keeps up to max records under the replica's lease. What holds the replica drops them when they change.
func NewRecords[K comparable, V any](r *Replica, max int) *Records[K, V] {
	return &Records[K, V]{replica: r, cache: otter.Must(&otter.Options[K, V]{MaximumSize: max})}
}

// maxReloads bounds how often a load is repeated because changes were applied while it ran.
const maxReloads = 10

// Get returns a fresh record. What was read before a change was applied and would be stored after it is read
// again. The error is unavailable, never a false "there is none", which is sqldb.ErrNoRows.
func (rs *Records[K, V]) Get(ctx context.Context, key K, load func(context.Context) (V, error)) (V, error) {
	var none V
	r := rs.replica
	if err := r.Refresh(ctx); err != nil {
		return none, err
	}
	if v, ok := rs.cache.GetIfPresent(key); ok {
		return v, nil
	}
	for range maxReloads {
		era := r.era.Load()
		r.loads.Add(1)
		v, err := load(ctx)
		if errors.Is(err, sqldb.ErrNoRows) {
			return none, err
		}
		if err != nil {
			return none, unverifiable(err)
		}
		r.apply.RLock()
		current := r.era.Load() == era
		if current {
			rs.cache.Set(key, v)
		}
		r.apply.RUnlock()
		if current {
			return v, nil
		}
	}
	return none, unverifiable(errors.New("records kept changing while one was read"))
}

// Peek returns a record in memory, for callers that have found the lease to last.
func (rs *Records[K, V]) Peek(key K) (V, bool) { return rs.cache.GetIfPresent(key) }

// Drop forgets one.
func (rs *Records[K, V]) Drop(key K) { rs.cache.Invalidate(key) }

// DropAll forgets all.
func (rs *Records[K, V]) DropAll() { rs.cache.InvalidateAll() }

func unverifiable(err error) error {
	return errs.UnavailableFor(time.Second, "Credentials can't be checked at the moment. Try again shortly.", err)
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"carfluence/internal/errs"
	"carfluence/internal/quota"
	"carfluence/internal/sqldb"
)

// How the records in memory are kept fresh.
const (
	beatEvery = 500 * time.Millisecond
	// lease is how long after a beat was sent the records may be used without another.
	lease = 2 * time.Second
	// outwait is longer than any lease granted before a change was committed.
	outwait = lease + 100*time.Millisecond
	// cachedRecords bounds the records of each kind in memory.
	cachedRecords = 200_000
)

// Ref names a record whose authority changed.
type Ref struct {
	Kind RefKind
	ID   string
}

// RefKind is the sort of record in the change log.
type RefKind string

// The kinds.
const (
	KeyRef        RefKind = "api_key"
	PersonRef     RefKind = "person"
	SessionRef    RefKind = "session"
	SigningKeyRef RefKind = "signing_key"
)

// Authority answers "may this caller in?" from records in memory that are never older than the lease. Every
// change of a key, person, session or signing key goes through Commit.
type Authority struct {
	db    *sqldb.DB
	quota *quota.Ledger
	log   *slog.Logger
	now   func() time.Time // with its monotonic reading

	beating sync.Mutex
	applied atomic.Int64
	fresh   atomic.Pointer[time.Time] // when the last good beat was sent

	apply    sync.RWMutex // held for writing while changes are applied
	digests  *otter.Cache[[32]byte, credential]
	keys     *otter.Cache[string, *keyRecord]
	people   *otter.Cache[string, *personRecord]
	sessions *otter.Cache[string, *sessionRecord]

	// SigningKeysChanged is called when another process rotated the signing keys.
	SigningKeysChanged func(context.Context) error

	loads atomic.Int64 // records read from the store
}

// NewAuthority makes an authority on the accounts store. The ledger may be nil where nothing is counted (the
// commands).
func NewAuthority(db *sqldb.DB, ledger *quota.Ledger, log *slog.Logger, now func() time.Time) *Authority {
	return &Authority{
		db: db, quota: ledger, log: log, now: now,
		digests:  newCache[[32]byte, credential](),
		keys:     newCache[string, *keyRecord](),
		people:   newCache[string, *personRecord](),
		sessions: newCache[string, *sessionRecord](),
	}
}

func newCache[K comparable, V any]() *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{MaximumSize: cachedRecords})
}

// Run beats until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		if err := a.Beat(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("authority not read; cached records end with their lease", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Beat reads the change log and makes the records in memory fresh again. Who waited for another's beat that was
// sent later than it asked has what it asked for.
func (a *Authority) Beat(ctx context.Context) error {
	asked := a.now()
	a.beating.Lock()
	defer a.beating.Unlock()
	if sent := a.fresh.Load(); sent != nil && sent.After(asked) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	sent := a.now()
	n, err := authorityNumber(ctx, a.db)
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	if n != a.applied.Load() {
		if err := a.catchUp(ctx, n); err != nil {
			return err
		}
	}
	a.fresh.Store(&sent)
	return nil
}

// catchUp applies the changes up to n. A gap (old changes are pruned) or a number that fell (a restored
// backup) drops everything.
func (a *Authority) catchUp(ctx context.Context, n int64) error {
	applied := a.applied.Load()
	changes, err := changesAfter(ctx, a.db, applied, n)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	whole := n > applied && int64(len(changes)) == n-applied
	a.apply.Lock()
	defer a.apply.Unlock()
	if !whole {
		a.dropAll()
	}
	rotated := !whole
	for _, c := range changes {
		a.drop(c)
		rotated = rotated || c.Kind == SigningKeyRef
	}
	if rotated && a.SigningKeysChanged != nil {
		if err := a.SigningKeysChanged(ctx); err != nil {
			return fmt.Errorf("read signing keys: %w", err)
		}
	}
	a.applied.Store(n)
	return nil
}

func (a *Authority) dropAll() {
	a.digests.InvalidateAll()
	a.keys.InvalidateAll()
	a.people.InvalidateAll()
	a.sessions.InvalidateAll()
	if a.quota != nil {
		a.quota.ForgetAll()
	}
}

func (a *Authority) drop(c change) {
	switch c.Kind {
	case KeyRef:
		a.keys.Invalidate(c.ID)
	case PersonRef:
		a.people.Invalidate(c.ID)
	case SessionRef:
		a.sessions.Invalidate(c.ID)
		return
	default:
		return
	}
	if a.quota != nil {
		a.quota.Forget(quota.Subject{Group: c.group, ID: c.ID})
	}
}

// isFresh compares both clocks: the monotonic one ignores steps of the wall clock, the wall clock runs on
// while the machine sleeps.
func (a *Authority) isFresh() bool {
	sent := a.fresh.Load()
	if sent == nil {
		return false
	}
	now := a.now()
	return now.Sub(*sent) < lease && now.Round(0).Sub(sent.Round(0)) < lease
}

// Age is how long ago the last good beat was sent; at two seconds credentials need another before they count.
func (a *Authority) Age() time.Duration {
	sent := a.fresh.Load()
	if sent == nil {
		return lease
	}
	return a.now().Sub(*sent)
}

// Loads is how many records were read from the store so far; what is in memory costs none.
func (a *Authority) Loads() int64 { return a.loads.Load() }

// ensureFresh beats when the lease has run out; without the store there is no answer, and no false 401.
func (a *Authority) ensureFresh(ctx context.Context) error {
	if a.isFresh() {
		return nil
	}
	if err := a.Beat(ctx); err != nil {
		return unverifiable(err)
	}
	return nil
}

func unverifiable(err error) error {
	return errs.UnavailableFor(time.Second, "Credentials can't be checked at the moment. Try again shortly.", err)
}

// Commit runs f in one transaction of a dealer group on the accounts store, logs the changes f names, and
// returns when every replica has applied them: what begins later sees them.
func (a *Authority) Commit(ctx context.Context, group string, f func(tx *sqldb.Tenant) ([]Ref, error)) error {
	last := int64(0)
	err := a.db.Tenant(group).Transact(ctx, func(tx *sqldb.Tenant) error {
		refs, err := f(tx)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if last, err = logChange(ctx, tx, ref, a.now()); err != nil {
				return fmt.Errorf("log change: %w", err)
			}
		}
		return nil
	})
	if err != nil || last == 0 {
		return err
	}
	return a.Confirm(ctx, last)
}

// Confirm returns when change n is in force on every replica. With one replica that is this process.
func (a *Authority) Confirm(ctx context.Context, n int64) error {
	if a.applied.Load() >= n {
		return nil
	}
	// The change is committed: the caller must not hear of a failure that did not happen. Records can't
	// outlive their lease, so waiting it out confirms as well.
	if err := a.Beat(context.WithoutCancel(ctx)); err != nil {
		a.log.Warn("change confirmed by waiting out the lease", "change", n, "error", err)
		time.Sleep(outwait)
	}
	return nil
}

// Outwait is for a command beside a running server: it returns when the server can't be using records from
// before the command's changes.
func (a *Authority) Outwait(ctx context.Context) {
	select {
	case <-time.After(outwait):
	case <-ctx.Done():
	}
}

// maxReloads bounds how often a load is repeated because changes were applied while it ran.
const maxReloads = 10

// cached returns a fresh record. What was read before a change was applied and would be stored after it is
// read again.
func cached[K comparable, V any](ctx context.Context, a *Authority, cache *otter.Cache[K, V], key K, load func(context.Context) (V, error)) (V, error) {
	var none V
	if err := a.ensureFresh(ctx); err != nil {
		return none, err
	}
	if v, ok := cache.GetIfPresent(key); ok {
		return v, nil
	}
	for range maxReloads {
		n := a.applied.Load()
		a.loads.Add(1)
		v, err := load(ctx)
		if errors.Is(err, sqldb.ErrNoRows) {
			return none, err
		}
		if err != nil {
			return none, unverifiable(err)
		}
		a.apply.RLock()
		current := a.applied.Load() == n
		if current {
			cache.Set(key, v)
		}
		a.apply.RUnlock()
		if current {
			return v, nil
		}
	}
	return none, unverifiable(errors.New("records kept changing while one was read"))
}

// Prune forgets changes older than what any replica can still have to apply.
func (a *Authority) Prune(ctx context.Context, kept time.Duration) error {
	return pruneChanges(ctx, a.db, a.now().Add(-kept))
}

package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"carfluence/internal/lease"
	"carfluence/internal/quota"
	"carfluence/internal/sqldb"
)

// cachedRecords bounds the records of each kind in memory.
const cachedRecords = 200_000

// Ref names a record whose authority changed.
type Ref struct {
	Kind RefKind
	ID   string
}

// RefKind is the sort of record in the change log.
type RefKind = lease.Kind

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
	db      *sqldb.DB
	quota   *quota.Ledger
	log     *slog.Logger
	now     func() time.Time // the store's clock: what one replica signs another may be asked about at once
	replica *lease.Replica

	digests  *lease.Records[[32]byte, *credential]
	keys     *lease.Records[string, *keyRecord]
	people   *lease.Records[string, *personRecord]
	sessions *lease.Records[string, *sessionRecord]

	// SigningKeysChanged is called when another process rotated the signing keys.
	SigningKeysChanged func(context.Context) error
}

// known is what the records said in an era of the replica. It need not be looked up again while the era and the
// lease last: nothing has been dropped since.
type known[T any] struct {
	era    int64
	record *T
}

// NewAuthority makes an authority on the accounts store for a process that is the only server of it, or none (the
// commands; the ledger is nil then). now has its monotonic reading.
func NewAuthority(db *sqldb.DB, ledger *quota.Ledger, log *slog.Logger, now func() time.Time) *Authority {
	return NewSharedAuthority(lease.New(lease.NewStore(db), lease.Options{Now: now, Log: log}), db, ledger, log)
}

// NewSharedAuthority makes one that is fresh within the lease of a replica, the ledger's too.
func NewSharedAuthority(r *lease.Replica, db *sqldb.DB, ledger *quota.Ledger, log *slog.Logger) *Authority {
	a := &Authority{
		db: db, quota: ledger, log: log, now: r.StoreNow, replica: r,
		digests:  lease.NewRecords[[32]byte, *credential](r, cachedRecords),
		keys:     lease.NewRecords[string, *keyRecord](r, cachedRecords),
		people:   lease.NewRecords[string, *personRecord](r, cachedRecords),
		sessions: lease.NewRecords[string, *sessionRecord](r, cachedRecords),
	}
	r.Hold(held{a})
	return a
}

// Run beats until ctx ends.
func (a *Authority) Run(ctx context.Context) error { return a.replica.Run(ctx) }

// Stop takes this process out of the replicas, after the last request and when the ledger has settled.
func (a *Authority) Stop(ctx context.Context) error { return a.replica.Stop(ctx) }

// Beat reads the change log and makes the records in memory fresh again.
func (a *Authority) Beat(ctx context.Context) error { return a.replica.Beat(ctx) }

// Age is how long ago the last good beat was sent; at two seconds credentials need another before they count.
func (a *Authority) Age() time.Duration { return a.replica.Age() }

// Loads is how many records were read from the store so far; what is in memory costs none.
func (a *Authority) Loads() int64 { return a.replica.Loads() }

// held is what the authority keeps in memory, as the lease sees it.
type held struct{ *Authority }

// Forget implements lease.Holder.
func (h held) Forget() {
	h.digests.DropAll()
	h.keys.DropAll()
	h.people.DropAll()
	h.sessions.DropAll()
	if h.quota != nil {
		h.quota.ForgetAll()
	}
}

// Apply implements lease.Holder.
func (h held) Apply(ctx context.Context, changes []lease.Change, all bool) error {
	if all {
		h.Forget()
	}
	rotated := all
	for _, c := range changes {
		h.drop(c)
		rotated = rotated || c.Kind == SigningKeyRef
	}
	if rotated && h.SigningKeysChanged != nil {
		if err := h.SigningKeysChanged(ctx); err != nil {
			return fmt.Errorf("read signing keys: %w", err)
		}
	}
	return nil
}

// Unsettled implements lease.Holder.
func (h held) Unsettled() int64 {
	if h.quota == nil {
		return 0
	}
	return h.quota.Unsettled()
}

func (a *Authority) drop(c lease.Change) {
	switch c.Kind {
	case KeyRef:
		a.keys.Drop(c.ID)
	case PersonRef:
		a.people.Drop(c.ID)
	case SessionRef:
		a.sessions.Drop(c.ID)
		return
	case quota.Hungry:
		if a.quota != nil {
			a.quota.CalledIn(c)
		}
		return
	default:
		return
	}
	if a.quota != nil {
		a.quota.Forget(quota.Subject{Group: c.Group, ID: c.ID})
	}
}

// Commit runs f in one transaction of a dealer group on the accounts store, logs the changes f names, and
// returns when every replica has applied them: what begins later sees them. After the commit nothing fails.
func (a *Authority) Commit(ctx context.Context, group string, f func(tx *sqldb.Tenant) ([]Ref, error)) error {
	last := int64(0)
	err := a.db.Tenant(group).Transact(ctx, func(tx *sqldb.Tenant) error {
		refs, err := f(tx)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			lease.Record(tx, ref.Kind, ref.ID, 0, a.now(), &last)
		}
		return nil
	})
	if err != nil || last == 0 {
		return err
	}
	tellConfirmed(ctx, a.replica.Confirm(ctx, last))
	return nil
}

// Outwait is for a command beside a running server: it returns when the server can't be using records from
// before the command's changes.
func (a *Authority) Outwait(ctx context.Context) {
	select {
	case <-time.After(lease.Outwait):
	case <-ctx.Done():
	}
}

// Prune forgets changes older than what any replica can still have to apply.
func (a *Authority) Prune(ctx context.Context, kept time.Duration) error {
	return lease.Prune(ctx, a.db, a.now().Add(-kept))
}

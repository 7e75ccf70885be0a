package auth

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/quota"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Limits of API keys.
const (
	DefaultKeyLimit = 1000      // requests per hour
	MaxKeyLimit     = 1_000_000 // requests per hour
	maxKeyName      = 100       // characters
)

// Key is an API key as it is kept: without its text.
type Key struct {
	ID               string
	Name             string
	Last4            string
	Scopes           Scopes
	RateLimitPerHour int64
	CreatedAt        time.Time
	CreatedBy        string // actor's name
	UpdatedAt        time.Time
	RevokedAt        time.Time
	LastUsedAt       time.Time // at most a second behind
}

// Masked is all that is ever shown of a key's text after its creation.
func (k Key) Masked() string { return KeyPrefix + "…" + k.Last4 }

// Keys are the API keys of all dealer groups.
type Keys struct {
	authority *Authority
	digester  keyDigester
}

// NewKeys makes the collection; secret is the server's.
func NewKeys(a *Authority, secret []byte) *Keys {
	return &Keys{authority: a, digester: newKeyDigester(secret)}
}

// KeyDraft is what a creator asks for.
type KeyDraft struct {
	Name             string
	Scopes           []string
	RateLimitPerHour int64
}

// faults are those that show whoever asks.
func (d KeyDraft) faults() (Scopes, []errs.Fault) {
	scopes, faults := ParseScopes(d.Scopes)
	if n := utf8.RuneCountInString(strings.TrimSpace(d.Name)); n == 0 || n > maxKeyName || !validText(d.Name) {
		faults = append(faults, errs.At("#/name", "give a name of 1 to 100 printable characters"))
	}
	if d.RateLimitPerHour < 1 || d.RateLimitPerHour > MaxKeyLimit {
		faults = append(faults, errs.At("#/rateLimitPerHour", "must be 1 to 1000000"))
	}
	return scopes, faults
}

func (d KeyDraft) check(grantor Scopes) (Scopes, error) {
	scopes, faults := d.faults()
	if missing := scopes &^ grantor; len(faults) == 0 && missing != 0 && !grantor.Has(Admin) {
		faults = append(faults, errs.At("#/scopes", "you can't grant what you lack: "+strings.Join(missing.Names(), ", ")))
	}
	if len(faults) > 0 {
		return 0, errs.Invalid("invalid", "The key can't be made as asked; errors lists every fault.", faults...)
	}
	return scopes, nil
}

// Create makes a key. Its text is returned once and kept nowhere. grantor is what the creator holds.
func (ks *Keys) Create(ctx context.Context, group string, by audit.Actor, grantor Scopes, d KeyDraft) (Key, string, error) {
	scopes, err := d.check(grantor)
	if err != nil {
		return Key{}, "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Key{}, "", err
	}
	text, now := newKeyText(), ks.authority.now()
	k := Key{
		ID: id.String(), Name: strings.TrimSpace(d.Name), Last4: text[len(text)-4:], Scopes: scopes, RateLimitPerHour: d.RateLimitPerHour,
		CreatedAt: now, CreatedBy: by.Name, UpdatedAt: now,
	}
	err = ks.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		if err := insertKey(ctx, tx, k); err != nil {
			return nil, err
		}
		if err := insertCredential(ctx, tx, KeyRef, ks.digester.digest(text), k.ID, now); err != nil {
			return nil, err
		}
		return []Ref{{KeyRef, k.ID}}, audit.Record(ctx, tx.DB(), group, now, audit.Event{
			Name: "key.created", Actor: by, SubjectType: "api_key", SubjectID: k.ID,
			Detail: map[string]any{"name": k.Name, "scopes": scopes.Names(), "rateLimitPerHour": k.RateLimitPerHour},
		})
	})
	return k, text, err
}

// List returns a group's keys that are not revoked, newest first.
func (ks *Keys) List(ctx context.Context, group string, page rest.Page) ([]Key, int64, error) {
	t := ks.authority.db.Tenant(group)
	list, total, err := listKeys(ctx, t, page)
	if err != nil {
		return nil, 0, err
	}
	ids := make([]string, 0, len(list))
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	used, err := quota.LastUsed(ctx, t, ids...)
	for i := range list {
		list[i].LastUsedAt = used[list[i].ID]
	}
	return list, total, err
}

// Get returns one key that is not revoked.
func (ks *Keys) Get(ctx context.Context, group, id string) (Key, error) {
	t := ks.authority.db.Tenant(group)
	k, err := getKey(ctx, t, id)
	if err == nil && !k.RevokedAt.IsZero() {
		err = sqldb.ErrNoRows
	}
	if err != nil {
		return Key{}, sqldb.Found(err, rest.NotFound("API key"))
	}
	used, err := quota.LastUsed(ctx, t, id)
	k.LastUsedAt = used[id]
	return k, err
}

// KeyChange is a PATCH of a key; nil leaves a member as it is.
type KeyChange struct {
	Name             *string
	Scopes           *[]string
	RateLimitPerHour *int64
}

// Update changes a key. When it returns, the change is in force on every replica; the window's count goes on.
func (ks *Keys) Update(ctx context.Context, group string, by audit.Actor, grantor Scopes, id string, c KeyChange) (Key, error) {
	err := ks.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		if err := tx.Lock(ctx, "key "+id); err != nil { // else another change made meanwhile would be taken back
			return nil, err
		}
		k, err := getKey(ctx, tx, id)
		if err == nil && !k.RevokedAt.IsZero() {
			err = sqldb.ErrNoRows
		}
		if err != nil {
			return nil, sqldb.Found(err, rest.NotFound("API key"))
		}
		old := k
		d := KeyDraft{Name: k.Name, Scopes: k.Scopes.Names(), RateLimitPerHour: k.RateLimitPerHour}
		c.apply(&d)
		if k.Scopes, err = d.check(grantor | old.Scopes); err != nil {
			return nil, err
		}
		k.Name, k.RateLimitPerHour, k.UpdatedAt = strings.TrimSpace(d.Name), d.RateLimitPerHour, ks.authority.now()
		if err := updateKey(ctx, tx, k); err != nil {
			return nil, err
		}
		return []Ref{{KeyRef, id}}, audit.Record(ctx, tx.DB(), group, k.UpdatedAt, audit.Event{
			Name: "key.changed", Actor: by, SubjectType: "api_key", SubjectID: id, Detail: keyDifferences(old, k),
		})
	})
	if err != nil {
		return Key{}, err
	}
	return ks.Get(ctx, group, id)
}

func (c KeyChange) apply(d *KeyDraft) {
	setIf(&d.Name, c.Name)
	setIf(&d.Scopes, c.Scopes)
	setIf(&d.RateLimitPerHour, c.RateLimitPerHour)
}

func setIf[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func keyDifferences(old, new Key) map[string]any {
	d := map[string]any{}
	if old.Name != new.Name {
		d["name"] = []string{old.Name, new.Name}
	}
	if old.Scopes != new.Scopes {
		d["scopes"] = [][]string{old.Scopes.Names(), new.Scopes.Names()}
	}
	if old.RateLimitPerHour != new.RateLimitPerHour {
		d["rateLimitPerHour"] = []int64{old.RateLimitPerHour, new.RateLimitPerHour}
	}
	return d
}

// Revoke ends a key for ever. When it returns, no replica accepts it any more.
func (ks *Keys) Revoke(ctx context.Context, group string, by audit.Actor, id string) error {
	return ks.authority.Commit(ctx, group, func(tx *sqldb.Tenant) ([]Ref, error) {
		now := ks.authority.now()
		name, err := revokeKey(ctx, tx, id, by.Name, now)
		if err != nil {
			return nil, sqldb.Found(err, rest.NotFound("API key"))
		}
		return []Ref{{KeyRef, id}}, audit.Record(ctx, tx.DB(), group, now, audit.Event{
			Name: "key.revoked", Actor: by, SubjectType: "api_key", SubjectID: id, Detail: map[string]any{"name": name},
		})
	})
}

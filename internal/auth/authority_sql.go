package auth

import (
	"context"
	"encoding/hex"
	"sync/atomic"
	"time"

	"carfluence/internal/sqldb"
)

// credential says whose secret a digest is. It never changes while the secret exists.
type credential struct {
	group, id string // "" for nobody's

	known atomic.Pointer[known[keyRecord]]
}

func loadCredential(ctx context.Context, db *sqldb.DB, kind RefKind, digest []byte) (*credential, error) {
	c := &credential{}
	err := db.QueryRow(ctx, `SELECT dealer_group_id, subject_id FROM credential WHERE digest = $1 AND kind = $2`,
		hex.EncodeToString(digest), string(kind)).Scan(&c.group, &c.id)
	return c, err
}

func insertCredential(ctx context.Context, tx *sqldb.Tenant, kind RefKind, digest []byte, id string, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO credential (dealer_group_id, digest, kind, subject_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
		hex.EncodeToString(digest), string(kind), id, sqldb.At(at))
	return err
}

// keyRecord is what the guard needs of a key.
type keyRecord struct {
	principal Principal
	revoked   bool
}

func loadKeyRecord(ctx context.Context, t *sqldb.Tenant, id string) (*keyRecord, error) {
	k, err := getKey(ctx, t, id)
	if err != nil {
		return nil, err
	}
	return &keyRecord{
		principal: Principal{Kind: KeyKind, Group: t.Group(), ID: k.ID, Name: k.Name, Scopes: k.Scopes, RateLimit: k.RateLimitPerHour, logged: logged(KeyKind, k.ID)},
		revoked:   !k.RevokedAt.IsZero(),
	}, nil
}

// personRecord is what the guard needs of a person.
type personRecord struct {
	group, id, name, email string
	role                   Role
	active                 bool
}

func loadPersonRecord(ctx context.Context, t *sqldb.Tenant, id string) (*personRecord, error) {
	p := &personRecord{group: t.Group(), id: id}
	var status string
	err := t.QueryRow(ctx, `SELECT person.name, person.email, membership.role, membership.status
		FROM membership JOIN person ON person.id = membership.person_id
		WHERE membership.dealer_group_id = $1 AND membership.person_id = $2`, id).Scan(&p.name, &p.email, &p.role, &status)
	p.active = status == "active"
	return p, err
}

// sessionRecord is what the guard needs of a session.
type sessionRecord struct {
	personID string
	ended    bool
	expires  time.Time
}

func loadSessionRecord(ctx context.Context, t *sqldb.Tenant, id string) (*sessionRecord, error) {
	s := &sessionRecord{}
	var ended, expires sqldb.Time
	err := t.QueryRow(ctx, `SELECT person_id, ended_at, expires_at FROM session WHERE dealer_group_id = $1 AND id = $2`, id).
		Scan(&s.personID, &ended, &expires)
	s.ended, s.expires = !ended.IsZero(), expires.Time
	return s, err
}

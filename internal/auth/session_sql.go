package auth

import (
	"context"
	"time"

	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

type sessionRow struct {
	id, personID         string
	createdAt, expiresAt time.Time
	source               string
	client               Client
}

func insertSession(ctx context.Context, tx *sqldb.Tenant, s sessionRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO session (dealer_group_id, id, person_id, created_at, last_seen_at, expires_at, source, ip_address, user_agent)
		VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)`,
		s.id, s.personID, sqldb.At(s.createdAt), sqldb.At(s.expiresAt), s.source, s.client.Address, s.client.UserAgent)
	return err
}

// knownSource tells whether a person has logged in from a source since a time.
func knownSource(ctx context.Context, t *sqldb.Tenant, personID, source string, since time.Time) (known bool, err error) {
	err = t.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM session WHERE dealer_group_id = $1 AND person_id = $2 AND created_at > $3 AND source = $4)`,
		personID, sqldb.At(since), source).Scan(&known)
	return known, err
}

// listSessions returns sessions that have neither ended nor expired nor been unused since idle.
func listSessions(ctx context.Context, t *sqldb.Tenant, personID string, now, idle time.Time, p rest.Page) (list []Session, total int64, err error) {
	const live = ` FROM session WHERE dealer_group_id = $1 AND person_id = $2 AND ended_at IS NULL AND expires_at > $3 AND last_seen_at > $4`
	args := []any{personID, sqldb.At(now), sqldb.At(idle)}
	if err := t.QueryRow(ctx, `SELECT count(*)`+live, args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := t.Query(ctx, `SELECT id, created_at, last_seen_at, expires_at, ip_address, user_agent`+live+`
		ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6`, append(args, p.Limit, p.Offset)...)
	list, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (Session, error) {
		var s Session
		var created, seen, expires sqldb.Time
		err := r.Scan(&s.ID, &created, &seen, &expires, &s.Address, &s.UserAgent)
		s.CreatedAt, s.LastSeenAt, s.ExpiresAt = created.Time, seen.Time, expires.Time
		return s, err
	})
	return list, total, err
}

// endSession ends one session of a person; ErrNoRows when there is none that goes on.
func endSession(ctx context.Context, tx *sqldb.Tenant, personID, id, reason string, at time.Time) error {
	return tx.QueryRow(ctx, `UPDATE session SET ended_at = $4, ended_reason = $5
		WHERE dealer_group_id = $1 AND id = $2 AND person_id = $3 AND ended_at IS NULL AND expires_at > $4 RETURNING id`,
		id, personID, sqldb.At(at), reason).Scan(&id)
}

// endSessions ends all sessions of a person but one (or none, with "").
func endSessions(ctx context.Context, tx *sqldb.Tenant, personID, except, reason string, at time.Time) ([]Ref, error) {
	rows, err := tx.Query(ctx, `UPDATE session SET ended_at = $4, ended_reason = $5
		WHERE dealer_group_id = $1 AND person_id = $2 AND id <> $3 AND ended_at IS NULL AND expires_at > $4 RETURNING id`,
		personID, except, sqldb.At(at), reason)
	return sqldb.Collect(rows, err, func(r *sqldb.Rows) (Ref, error) {
		ref := Ref{Kind: SessionRef}
		err := r.Scan(&ref.ID)
		return ref, err
	})
}

// deleteSessionsEndedBefore forgets sessions that ended, expired or were last seen long ago.
func deleteSessionsEndedBefore(ctx context.Context, tx *sqldb.Tenant, before, unseenSince time.Time) error {
	const over = `FROM session WHERE dealer_group_id = $1 AND (ended_at < $2 OR expires_at < $2 OR last_seen_at < $3)`
	if _, err := tx.Exec(ctx, `DELETE FROM credential WHERE dealer_group_id = $1 AND kind = 'refresh' AND subject_id IN (SELECT id `+over+`)`,
		sqldb.At(before), sqldb.At(unseenSince)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE `+over, sqldb.At(before), sqldb.At(unseenSince))
	return err
}

// deleteExpiredRefresh forgets refresh tokens that have expired. One that was used is kept until its session is
// over: if it comes back it ends the session.
func deleteExpiredRefresh(ctx context.Context, tx *sqldb.Tenant, at time.Time) error {
	_, err := tx.Exec(ctx, `DELETE FROM credential WHERE dealer_group_id = $1 AND kind = 'refresh' AND expires_at < $2 AND (used_at IS NULL
		OR subject_id NOT IN (SELECT id FROM session WHERE dealer_group_id = $1 AND ended_at IS NULL AND expires_at > $2))`, sqldb.At(at))
	return err
}

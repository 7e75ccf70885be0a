package auth

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
)

// refreshGrant is a stored refresh token with the session and the person it stands for.
type refreshGrant struct {
	usedAt, expiresAt time.Time // usedAt is zero until it is exchanged
	sessionID         string
	sessionEnd        time.Time // absolute
	sessionEnded      bool
	person            Person
}

type refreshVerdict uint8

const (
	refreshDead   refreshVerdict = iota // expired, or its session is over
	refreshFirst                        // to be exchanged now
	refreshAgain                        // exchanged a moment ago: the same successor
	refreshReused                       // exchanged before: stolen, perhaps
)

func (g refreshGrant) verdict(now time.Time) refreshVerdict {
	used := !g.usedAt.IsZero()
	switch {
	case used && !now.Before(g.usedAt.Add(RefreshGrace)):
		return refreshReused
	case g.sessionEnded, !now.Before(g.sessionEnd), g.person.Status != StatusActive:
		return refreshDead
	case used:
		return refreshAgain
	case !now.Before(g.expiresAt):
		return refreshDead
	}
	return refreshFirst
}

func refreshGroup(ctx context.Context, db *sqldb.DB, digest string) (group string, err error) {
	err = db.QueryRow(ctx, `SELECT dealer_group_id FROM credential WHERE digest = $1 AND kind = 'refresh'`, digest).Scan(&group)
	return group, err
}

func selectRefresh(ctx context.Context, tx *sqldb.Tenant, digest string) (g refreshGrant, err error) {
	var used, expires, end, ended sqldb.Time
	p := &g.person
	p.Group = tx.Group()
	err = tx.QueryRow(ctx, `SELECT credential.used_at, credential.expires_at, session.id, session.expires_at, session.ended_at,
			person.id, person.email, person.name, membership.role, membership.status
		FROM credential
		JOIN session ON session.dealer_group_id = credential.dealer_group_id AND session.id = credential.subject_id
		JOIN membership ON membership.dealer_group_id = session.dealer_group_id AND membership.person_id = session.person_id
		JOIN person ON person.id = session.person_id
		WHERE credential.dealer_group_id = $1 AND credential.digest = $2 AND credential.kind = 'refresh'`, digest).
		Scan(&used, &expires, &g.sessionID, &end, &ended, &p.ID, &p.Email, &p.Name, &p.Role, &p.Status)
	g.usedAt, g.expiresAt, g.sessionEnd, g.sessionEnded = used.Time, expires.Time, end.Time, !ended.IsZero()
	return g, err
}

func insertRefresh(ctx context.Context, tx *sqldb.Tenant, digest, sessionID string, at, expires time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO credential (dealer_group_id, digest, kind, subject_id, created_at, expires_at)
		VALUES ($1, $2, 'refresh', $3, $4, $5)`, digest, sessionID, sqldb.At(at), sqldb.At(expires))
	return err
}

// exchangeRefresh marks a token as used, stores its successor and notes where the session was seen. Of two
// transactions at once the second finds it used (ErrNoRows).
func exchangeRefresh(ctx context.Context, tx *sqldb.Tenant, digest, successor, sessionID string, at, until time.Time, from Client) error {
	err := tx.QueryRow(ctx, `UPDATE credential SET used_at = $3 WHERE dealer_group_id = $1 AND digest = $2 AND used_at IS NULL RETURNING digest`,
		digest, sqldb.At(at)).Scan(&digest)
	if err != nil {
		return err
	}
	if err := insertRefresh(ctx, tx, successor, sessionID, at, until); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE session SET last_seen_at = $3, ip_address = $4, user_agent = $5 WHERE dealer_group_id = $1 AND id = $2`,
		sessionID, sqldb.At(at), from.Address, from.UserAgent)
	return err
}

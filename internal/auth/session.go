package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Lifetimes of sessions and their tokens.
type Lifetimes struct {
	Token   time.Duration // of an access token, at most MaxTokenTTL
	Refresh time.Duration // of a refresh token: a session unused for so long is over
	Session time.Duration // of a session, however much it is used
}

// Sessions are the logins of people.
type Sessions struct {
	authority *Authority
	passwords *Passwords
	blocklist *Blocklist
	throttle  *Throttle
	signer    *Signer
	refresh   RefreshKeys
	lifetimes Lifetimes
}

// NewSessions makes the collection on the authority's store; secret is the server's.
func NewSessions(a *Authority, p *Passwords, b *Blocklist, s *Signer, secret []byte, l Lifetimes) *Sessions {
	return &Sessions{authority: a, passwords: p, blocklist: b, throttle: NewThrottle(a.db, secret, a.now), signer: s,
		refresh: NewRefreshKeys(secret), lifetimes: l}
}

// Client is where a request comes from.
type Client struct{ Address, UserAgent string }

// Session is a login of a person on one device.
type Session struct {
	ID         string
	CreatedAt  time.Time
	LastSeenAt time.Time // login or latest refresh
	ExpiresAt  time.Time // its end if it isn't refreshed before
	Address    string    // last seen
	UserAgent  string
}

// Login is what a client gets for a password or a refresh token.
type Login struct {
	Person       Person
	SessionID    string
	Token        string
	ExpiresIn    time.Duration
	Refresh      RefreshToken
	RefreshUntil time.Time
}

var (
	errLogin          = errs.New(errs.KindUnauthenticated, "credentials_invalid", "The e-mail address or the password is not right.")
	errRefreshInvalid = errs.New(errs.KindUnauthenticated, "refresh_invalid", "The refresh token is not valid, or its session has ended. Log in again.")
	errRefreshReused  = errs.New(errs.KindUnauthenticated, "refresh_reused", "The refresh token had been used before. It may have been stolen, so the session was ended. Log in again.")
)

// Why a session ended.
const (
	endedByLogout   = "logout"
	endedByOwner    = "ended_by_owner"
	endedByReuse    = "refresh_reused"
	endedByPassword = "password_changed"
	endedByAdmin    = "disabled"
)

// Login begins a session. An unknown address, a wrong password and a disabled person are one error, with the
// same work behind it.
func (s *Sessions) Login(ctx context.Context, email, password string, from Client) (Login, error) {
	email = normalEmail(email)
	acct, err := accountByEmail(ctx, s.authority.db, email)
	if err != nil && !errors.Is(err, sqldb.ErrNoRows) {
		return Login{}, err
	}
	a, err := s.reserve(ctx, acct, email, from)
	if err != nil {
		return Login{}, err
	}
	defer a.Done()
	ok, stale, err := s.verify(ctx, a, acct.hash, password)
	if err != nil {
		return Login{}, err
	}
	if ok && acct.Status == StatusActive {
		l, err := s.begin(ctx, a, acct, password, stale, from)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errLogin) {
			return Login{}, s.unjudged(ctx, a, err)
		}
	}
	if err := s.recordFailure(ctx, a, acct, email, ok); err != nil {
		return Login{}, err
	}
	return Login{}, errLogin
}

func (s *Sessions) reserve(ctx context.Context, acct account, email string, from Client) (*Attempt, error) {
	source := sourceOf(from.Address)
	known, err := knownSource(ctx, s.authority.db.Tenant(acct.Group), acct.ID, source, s.authority.now().Add(-knownSourceFor))
	if err != nil {
		return nil, err
	}
	return s.throttle.Reserve(ctx, email, source, known)
}

// verify costs the same without an account.
func (s *Sessions) verify(ctx context.Context, a *Attempt, hash, password string) (ok, stale bool, err error) {
	if hash == "" {
		err = s.passwords.VerifyNobody(ctx, password)
	} else {
		ok, stale, err = s.passwords.Verify(ctx, hash, password)
	}
	if err != nil {
		return false, false, s.unjudged(ctx, a, err)
	}
	return ok, stale, nil
}

// unjudged gives an attempt back that failed for other reasons than its password, and returns the reason.
func (s *Sessions) unjudged(ctx context.Context, a *Attempt, reason error) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(reason, s.authority.db.Transact(ctx, func(tx *sqldb.DB) error { return a.GiveBack(ctx, tx) }))
}

// begin stores the session, unless the account changed while its password was verified.
func (s *Sessions) begin(ctx context.Context, a *Attempt, acct account, password string, stale bool, from Client) (Login, error) {
	hash := ""
	if stale {
		var err error
		if hash, err = s.passwords.Hash(ctx, password); err != nil {
			return Login{}, err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Login{}, err
	}
	now := s.authority.now()
	row := sessionRow{id: id.String(), personID: acct.ID, createdAt: now, expiresAt: now.Add(s.lifetimes.Session), source: sourceOf(from.Address), client: from}
	token := NewRefreshToken()
	l, err := s.login(acct.Person, row.id, token, now, row.expiresAt)
	if err != nil {
		return Login{}, err
	}
	err = s.authority.db.Tenant(acct.Group).Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockPerson(ctx, tx, acct.ID); err != nil {
			return err
		}
		current, err := accountByID(ctx, tx, acct.ID)
		if err != nil {
			return sqldb.Found(err, errLogin)
		}
		if current.hash != acct.hash || current.Status != StatusActive {
			return errLogin
		}
		if hash != "" {
			if err := updatePasswordHash(ctx, tx.DB(), acct.ID, hash); err != nil {
				return err
			}
		}
		if err := insertSession(ctx, tx, row); err != nil {
			return err
		}
		if err := insertRefresh(ctx, tx, s.refresh.Digest(token), row.id, now, l.RefreshUntil); err != nil {
			return err
		}
		if err := a.GiveBack(ctx, tx.DB()); err != nil {
			return err
		}
		return audit.Record(ctx, tx.DB(), acct.Group, now, audit.Event{
			Name: "login.succeeded", Actor: acct.actor(), SubjectType: "session", SubjectID: row.id,
			Detail: map[string]any{"userAgent": from.UserAgent},
		})
	})
	return l, err
}

// login puts the answer together; end is the session's absolute end.
func (s *Sessions) login(p Person, sessionID string, refresh RefreshToken, now, end time.Time) (Login, error) {
	jti, err := uuid.NewRandom()
	if err != nil {
		return Login{}, err
	}
	l := Login{Person: p, SessionID: sessionID, ExpiresIn: s.lifetimes.Token, Refresh: refresh, RefreshUntil: earlier(now.Add(s.lifetimes.Refresh), end)}
	l.Token, err = s.signer.Sign(Claims{
		Subject: p.ID, ID: jti.String(), SessionID: sessionID, DealerGroupID: p.Group, Email: p.Email, Name: p.Name, Roles: []string{string(p.Role)},
		IssuedAt: now, NotBefore: now, ExpiresAt: now.Add(s.lifetimes.Token),
	})
	return l, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// maxAuditEmail bounds what is kept of an address somebody tried to log in with.
const maxAuditEmail = 254

func (s *Sessions) recordFailure(ctx context.Context, a *Attempt, acct account, email string, passwordRight bool) error {
	reason := "wrong_password"
	switch {
	case acct.ID == "":
		reason = "unknown_address"
	case passwordRight:
		reason = "disabled"
	}
	detail := map[string]any{"email": clipText(email, maxAuditEmail), "reason": reason}
	if a.Exhausted {
		detail["throttled"] = true
	}
	ctx = context.WithoutCancel(ctx) // nor does it help to hang up
	return audit.Record(ctx, s.authority.db, acct.Group, s.authority.now(), audit.Event{
		Name: "login.failed", Actor: audit.Actor{Type: "anonymous"}, SubjectType: "person", SubjectID: acct.ID, Detail: detail,
	})
}

// Refresh exchanges a refresh token. Inside RefreshGrace the same token leads to the same successor; later it
// ends the session.
func (s *Sessions) Refresh(ctx context.Context, text string, from Client) (Login, error) {
	token, ok := ParseRefreshToken(text)
	if !ok {
		return Login{}, errRefreshInvalid
	}
	digest := s.refresh.Digest(token)
	group, err := refreshGroup(ctx, s.authority.db, digest)
	if err != nil {
		return Login{}, sqldb.Found(err, errRefreshInvalid)
	}
	successor, now := s.refresh.Successor(token), s.authority.now()
	var grant refreshGrant
	var refusal error
	err = s.authority.Commit(ctx, group, func(tx *sqldb.Tenant) (refs []Ref, err error) {
		if err := tx.Lock(ctx, "refresh "+digest); err != nil { // a client's many tabs come at once
			return nil, err
		}
		if grant, err = selectRefresh(ctx, tx, digest); err != nil {
			return nil, sqldb.Found(err, errRefreshInvalid)
		}
		switch grant.verdict(now) {
		case refreshFirst:
			until := earlier(now.Add(s.lifetimes.Refresh), grant.sessionEnd)
			return nil, exchangeRefresh(ctx, tx, digest, s.refresh.Digest(successor), grant.sessionID, now, until, from)
		case refreshAgain:
			return nil, nil
		case refreshReused:
			refusal = errRefreshReused
			return s.endReused(ctx, tx, grant, now)
		}
		refusal = errRefreshInvalid
		return nil, nil
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return Login{}, err
	}
	return s.login(grant.person, grant.sessionID, successor, now, grant.sessionEnd)
}

// endReused ends the session of a token that came a second time. Whoever else holds a token of it is out.
func (s *Sessions) endReused(ctx context.Context, tx *sqldb.Tenant, g refreshGrant, now time.Time) ([]Ref, error) {
	err := endSession(ctx, tx, g.person.ID, g.sessionID, endedByReuse, now)
	if errors.Is(err, sqldb.ErrNoRows) {
		return nil, nil // it had ended before
	}
	if err != nil {
		return nil, err
	}
	return []Ref{{SessionRef, g.sessionID}}, audit.Record(ctx, tx.DB(), g.person.Group, now, audit.Event{
		Name: "refresh.reused", Actor: audit.Actor{Type: "anonymous"}, SubjectType: "session", SubjectID: g.sessionID,
		Detail: map[string]any{"email": g.person.Email, "firstUsedAt": g.usedAt.UTC().Format(time.RFC3339)},
	})
}

// Logout ends the caller's session; that it had ended already is fine.
func (s *Sessions) Logout(ctx context.Context, p Principal) error {
	err := s.end(ctx, p, p.SessionID, endedByLogout)
	if errs.KindOf(err) == errs.KindNotFound {
		return nil
	}
	return err
}

// End ends one of the caller's sessions. When it returns no replica accepts a token of it.
func (s *Sessions) End(ctx context.Context, p Principal, id string) error {
	return s.end(ctx, p, id, endedByOwner)
}

func (s *Sessions) end(ctx context.Context, p Principal, id, reason string) error {
	return s.authority.Commit(ctx, p.Group, func(tx *sqldb.Tenant) ([]Ref, error) {
		now := s.authority.now()
		if err := endSession(ctx, tx, p.ID, id, reason, now); err != nil {
			return nil, sqldb.Found(err, rest.NotFound("session"))
		}
		return []Ref{{SessionRef, id}}, audit.Record(ctx, tx.DB(), p.Group, now, audit.Event{
			Name: "session.ended", Actor: p.Actor(), SubjectType: "session", SubjectID: id, Detail: map[string]any{"reason": reason},
		})
	})
}

// List returns the caller's sessions that go on, newest first.
func (s *Sessions) List(ctx context.Context, p Principal, page rest.Page) ([]Session, int64, error) {
	now := s.authority.now()
	list, total, err := listSessions(ctx, s.authority.db.Tenant(p.Group), p.ID, now, now.Add(-s.lifetimes.Refresh), page)
	for i := range list {
		list[i].ExpiresAt = earlier(list[i].LastSeenAt.Add(s.lifetimes.Refresh), list[i].ExpiresAt)
	}
	return list, total, err
}

// ChangePassword replaces the caller's password and ends the caller's other sessions. Guessing the current
// one is throttled like a login.
func (s *Sessions) ChangePassword(ctx context.Context, p Principal, current, next string, from Client) error {
	t := s.authority.db.Tenant(p.Group)
	acct, err := accountByID(ctx, t, p.ID)
	if err != nil {
		return sqldb.Found(err, errSessionEnded)
	}
	a, err := s.reserve(ctx, acct, acct.Email, from)
	if err != nil {
		return err
	}
	defer a.Done()
	ok, _, err := s.verify(ctx, a, acct.hash, current)
	if err != nil {
		return err
	}
	var faults []errs.Fault
	if !ok {
		faults = append(faults, errs.At("#/currentPassword", "is not your password"))
	}
	group, err := getGroup(ctx, s.authority.db, p.Group)
	if err != nil {
		return err
	}
	faults = append(faults, s.blocklist.Check("#/newPassword", next, Personal{acct.Email, acct.Name, group.Name})...)
	if ok && len(faults) == 0 {
		if err := s.replacePassword(ctx, a, p, acct, next); err != nil {
			return s.unjudged(ctx, a, err)
		}
		return nil
	}
	if err := s.recordRefusedChange(ctx, a, p, ok); err != nil {
		return err
	}
	return errs.Invalid("invalid", "The password was not changed; errors lists every fault.", faults...)
}

func (s *Sessions) recordRefusedChange(ctx context.Context, a *Attempt, p Principal, currentRight bool) error {
	return s.authority.db.Transact(context.WithoutCancel(ctx), func(tx *sqldb.DB) error {
		if currentRight {
			return a.GiveBack(ctx, tx)
		}
		return audit.Record(context.WithoutCancel(ctx), tx, p.Group, s.authority.now(), audit.Event{
			Name: "password.change_failed", Actor: p.Actor(), SubjectType: "person", SubjectID: p.ID, Detail: map[string]any{"reason": "wrong_password"},
		})
	})
}

func (s *Sessions) replacePassword(ctx context.Context, a *Attempt, p Principal, acct account, next string) error {
	hash, err := s.passwords.Hash(ctx, next)
	if err != nil {
		return err
	}
	return s.authority.Commit(ctx, p.Group, func(tx *sqldb.Tenant) ([]Ref, error) {
		now := s.authority.now()
		if err := lockPerson(ctx, tx, p.ID); err != nil {
			return nil, err
		}
		stored, err := accountByID(ctx, tx, p.ID)
		if err != nil {
			return nil, sqldb.Found(err, errSessionEnded)
		}
		if stored.hash != acct.hash {
			return nil, errs.Conflict("conflict", "The password was changed by another request meanwhile.")
		}
		if err := updatePasswordHash(ctx, tx.DB(), p.ID, hash); err != nil {
			return nil, err
		}
		if err := a.GiveBack(ctx, tx.DB()); err != nil {
			return nil, err
		}
		refs, err := endSessions(ctx, tx, p.ID, p.SessionID, endedByPassword, now)
		if err != nil {
			return nil, err
		}
		return refs, audit.Record(ctx, tx.DB(), p.Group, now, audit.Event{
			Name: "password.changed", Actor: p.Actor(), SubjectType: "person", SubjectID: p.ID, Detail: map[string]any{"sessionsEnded": len(refs)},
		})
	})
}

// Prune forgets sessions that ended longer ago than knownSourceFor, refresh tokens that have expired and are no sign
// of theft, and counts of the guessing throttle whose windows are over.
func (s *Sessions) Prune(ctx context.Context) error {
	groups, err := listGroups(ctx, s.authority.db)
	if err != nil {
		return err
	}
	now := s.authority.now()
	before := now.Add(-knownSourceFor)
	for _, g := range groups {
		err := s.authority.db.Tenant(g.ID).Transact(ctx, func(tx *sqldb.Tenant) error {
			if err := deleteExpiredRefresh(ctx, tx, now); err != nil {
				return err
			}
			return deleteSessionsEndedBefore(ctx, tx, before, before.Add(-s.lifetimes.Refresh))
		})
		if err != nil {
			return err
		}
	}
	return s.throttle.Prune(ctx)
}

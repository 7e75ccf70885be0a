package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/quota"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
)

// Guard stands in front of every operation: credential → fresh record → credit → scope.
type Guard struct {
	Authority *Authority
	Keys      *Keys
	Tokens    *Verifier
	Quota     *quota.Ledger
	Addresses *quota.Addresses
	// SessionLimit is what a person may call per window over all sessions.
	SessionLimit int64
	Now          func() time.Time

	refusals refusals
}

// refusalsAudited bounds the refused admin calls of one caller that are audited in a minute.
const refusalsAudited = 60

// refusals counts the refused admin calls of this minute by caller.
type refusals struct {
	mu     sync.Mutex
	minute int64
	counts map[string]int
}

// add returns how many refusals of the caller there are in this minute, this one included.
func (r *refusals) add(caller string, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if minute := now.Unix() / 60; minute != r.minute || r.counts == nil {
		r.minute, r.counts = minute, map[string]int{}
	}
	r.counts[caller]++
	return r.counts[caller]
}

// Gate is the guard as the routes know it.
func (g *Guard) Gate() rest.Gate { return rest.Gate{Admit: g.Admit, Allow: g.Allow, Renew: g.Renew} }

// Admit finds out who calls and takes a credit: from the caller's own limit with a valid credential, else
// from its address's. A bad credential is only remembered; open operations don't mind it.
func (g *Guard) Admit(x *rest.Exchange) error {
	ctx := x.Request().Context()
	text, err := credentialIn(x.Request().Header)
	if err == nil && text == "" {
		return g.admitAddress(x)
	}
	if errs.KindOf(err) == errs.KindMalformed {
		return errors.Join(err, g.admitAddress(x))
	}
	var p *Principal
	if err == nil {
		p, err = g.identify(ctx, text)
	}
	if err != nil {
		if errs.KindOf(err) != errs.KindUnauthenticated {
			if charge := g.Addresses.Look(x.IP); charge != nil { // nobody knows whose call it is, and it was our failure
				x.Charge = charge
			}
			return err
		}
		x.Refused = err
		return g.admitAddress(x)
	}
	x.Caller, x.Actor = p, p.logged
	charge, err := g.Quota.Take(ctx, quota.Subject{Group: p.Group, ID: p.ID}, quota.Limit{Calls: p.RateLimit, AsOf: p.limitAsOf})
	x.Charge = charge
	return err
}

// Renew finds out again who calls: a key may be revoked, a session ended, while its call is answered.
func (g *Guard) Renew(x *rest.Exchange) error {
	text, err := credentialIn(x.Request().Header)
	if err != nil || text == "" { // an address
		return err
	}
	p, err := g.identify(x.Request().Context(), text)
	if err != nil {
		return err
	}
	x.Caller = p
	return nil
}

func (g *Guard) admitAddress(x *rest.Exchange) error {
	charge, err := g.Addresses.Take(x.IP)
	if charge != nil {
		x.Charge = charge
	}
	return err
}

// credentialIn reads the credential of a request: a key in X-API-Key, or a key or token in Authorization with
// the Bearer scheme. "" when there is none. Two different ones are refused (RFC 6750 §2), and so is what stands
// where it does not belong.
func credentialIn(h http.Header) (string, error) {
	key, err := only(h["X-Api-Key"])
	if err != nil {
		return "", err
	}
	authorization, err := only(h["Authorization"])
	if err != nil {
		return "", err
	}
	scheme, bearer, _ := strings.Cut(authorization, " ")
	bearer = strings.TrimSpace(bearer)
	known := strings.EqualFold(scheme, "Bearer") && bearer != ""
	switch {
	case key == "" && authorization == "":
		return "", nil
	case key != "" && authorization != "" && (!known || bearer != key):
		return "", errTwoCredentials
	case key == "" && known:
		return bearer, nil
	case strings.HasPrefix(key, KeyPrefix):
		return key, nil
	}
	return "", errBadCredential
}

// only is the one value of a header; "" when it is absent or blank.
func only(values []string) (string, error) {
	found := ""
	for _, v := range values {
		v = strings.TrimSpace(v)
		if v != "" && found != "" && v != found {
			return "", errTwoCredentials
		}
		if v != "" {
			found = v
		}
	}
	return found, nil
}

var (
	errTwoCredentials = errs.New(errs.KindMalformed, "multiple_credentials", "Two different credentials came with this request. Send one, in X-API-Key or Authorization.")
	errBadCredential  = errs.New(errs.KindUnauthenticated, "credentials_invalid", "The credential is not valid here.")
	errNoCredential   = errs.New(errs.KindUnauthenticated, "credentials_missing", "Send an API key in X-API-Key, or a session token in Authorization: Bearer.")
	errKeyRevoked     = errs.New(errs.KindUnauthenticated, "key_revoked", "This key was revoked. Ask your administrator for a new one.")
	errTokenExpired   = errs.New(errs.KindUnauthenticated, "token_expired", "The session token has expired. Exchange the refresh token at /api/v1/auth/refresh.")
	errSessionEnded   = errs.New(errs.KindUnauthenticated, "token_revoked", "The session of this token was ended. Log in again.")
)

func (g *Guard) identify(ctx context.Context, text string) (*Principal, error) {
	if strings.HasPrefix(text, KeyPrefix) {
		return g.Keys.Verify(ctx, text)
	}
	return g.verifyToken(ctx, text)
}

// Verify is the principal of a key. A text that can't be a key costs no read of the store. One that was looked up
// before is known by its digest, and its record with it until the next change of any.
func (ks *Keys) Verify(ctx context.Context, text string) (*Principal, error) {
	c, err := ks.credential(ctx, text)
	if err != nil {
		return nil, err
	}
	if c.id == "" {
		return nil, errBadCredential
	}
	k, err := c.key(ctx, ks.authority)
	switch {
	case errors.Is(err, sqldb.ErrNoRows):
		return nil, errBadCredential
	case err != nil:
		return nil, err
	case k.revoked:
		return nil, errKeyRevoked
	}
	return &k.principal, nil
}

// credential is of a text whose form and checksum are right; of one in memory they are known to be.
func (ks *Keys) credential(ctx context.Context, text string) (*credential, error) {
	if len(text) != keyLength {
		return nil, errBadCredential
	}
	a, digest := ks.authority, digestOfKey(text)
	if a.replica.Fresh() {
		if c, ok := a.digests.Peek(digest); ok {
			return c, nil
		}
	}
	if !ValidKeyText(text) {
		return nil, errBadCredential
	}
	return a.digests.Get(ctx, digest, func(ctx context.Context) (*credential, error) { return ks.find(ctx, text) })
}

// digestOfKey is for the look-up in memory, by a plain hash: the text has 190 bits, and the hash never leaves the
// process. It copies to the stack, because the conversion of a string goes to the heap.
func digestOfKey(text string) [sha256.Size]byte {
	var buf [keyLength]byte
	return sha256.Sum256(buf[:copy(buf[:], text)])
}

// find reads whose key it is. That there is none is remembered too: keys are random, this one will never come to
// exist.
func (ks *Keys) find(ctx context.Context, text string) (*credential, error) {
	c, err := loadCredential(ctx, ks.authority.db, KeyRef, ks.digester.digest(text))
	if errors.Is(err, sqldb.ErrNoRows) {
		return &credential{}, nil
	}
	return c, err
}

// key is the record of a key's credential.
func (c *credential) key(ctx context.Context, a *Authority) (*keyRecord, error) {
	era := a.replica.Era()
	if k := c.known.Load(); k != nil && k.era == era {
		return k.record, nil
	}
	k, err := a.keys.Get(ctx, c.id, func(ctx context.Context) (*keyRecord, error) {
		asOf := a.replica.Applied()
		k, err := loadKeyRecord(ctx, a.db.Tenant(c.group), c.id)
		if err == nil {
			k.principal.limitAsOf = asOf
		}
		return k, err
	})
	if err == nil {
		c.known.Store(&known[keyRecord]{era, k})
	}
	return k, err
}

func (g *Guard) verifyToken(ctx context.Context, text string) (*Principal, error) {
	now := g.Now()
	c, know, err := g.Tokens.verify(text, now)
	switch {
	case errors.Is(err, ErrTokenExpired):
		return nil, errTokenExpired
	case err != nil:
		return nil, errBadCredential
	}
	l, err := g.login(ctx, c, know)
	if err != nil {
		return nil, missing(err)
	}
	if l.session.ended || !now.Before(l.session.expires) || l.session.personID != c.Subject || !l.active {
		return nil, errSessionEnded
	}
	return &l.principal, nil
}

// login is what the records say of a token's session and person.
type login struct {
	session   *sessionRecord
	active    bool
	principal Principal
}

func (g *Guard) login(ctx context.Context, c *Claims, know *knownLogin) (*login, error) {
	a := g.Authority
	if err := a.replica.Refresh(ctx); err != nil {
		return nil, err
	}
	era := a.replica.Era()
	if l := know.Load(); l != nil && l.era == era {
		return l.record, nil
	}
	s, err := a.sessions.Get(ctx, c.SessionID, func(ctx context.Context) (*sessionRecord, error) {
		return loadSessionRecord(ctx, a.db.Tenant(c.DealerGroupID), c.SessionID)
	})
	if err != nil {
		return nil, err
	}
	p, err := a.people.Get(ctx, c.Subject, func(ctx context.Context) (*personRecord, error) {
		return loadPersonRecord(ctx, a.db.Tenant(c.DealerGroupID), c.Subject)
	})
	if err != nil {
		return nil, err
	}
	l := &login{session: s, active: p.active, principal: Principal{
		Kind: PersonKind, Group: p.group, ID: p.id, Name: p.name, Email: p.email, Role: p.role, Scopes: p.role.Scopes(),
		SessionID: c.SessionID, RateLimit: g.SessionLimit, logged: logged(PersonKind, p.id),
	}}
	know.Store(&known[login]{era, l})
	return l, nil
}

// missing: the token's signature is right, so its session or person did exist.
func missing(err error) error {
	if errors.Is(err, sqldb.ErrNoRows) {
		return errSessionEnded
	}
	return err
}

// Allow checks an operation's declared security.
func (g *Guard) Allow(x *rest.Exchange, s rest.Security) error {
	if s.IsOpen() {
		return nil
	}
	p, ok := x.Caller.(*Principal)
	if !ok {
		if x.Refused != nil {
			return x.Refused
		}
		return errNoCredential
	}
	if s.PeopleOnly() && p.Kind != PersonKind {
		return &errs.Error{
			Kind: errs.KindForbidden, Code: "session_required", Detail: "This call is for people: log in and send the session token.",
			GrantedScopes: p.Scopes.Names(),
		}
	}
	need := s.Needs()
	if need == "" {
		return nil
	}
	want, known := ParseScope(need)
	if known && p.Scopes.Has(want) {
		return nil
	}
	if want == Admin {
		g.auditRefusal(x, p)
	}
	return &errs.Error{
		Kind: errs.KindForbidden, Code: "insufficient_scope", Detail: "This call needs " + need + ".",
		RequiredScopes: []string{need}, GrantedScopes: p.Scopes.Names(),
	}
}

// auditRefusal records a refused admin call, whether or not its client is still there. When it can't be written
// (full disk) the refusal stands all the same.
func (g *Guard) auditRefusal(x *rest.Exchange, p *Principal) {
	now, detail := g.Now(), map[string]any{}
	switch n := g.refusals.add(p.ID, now); {
	case n > refusalsAudited:
		return
	case n == refusalsAudited:
		detail["furtherNotRecorded"] = "until the minute ends"
	}
	err := audit.Record(context.WithoutCancel(x.Request().Context()), g.Authority.db, p.Group, now, audit.Event{
		Name: "admin.refused", Actor: p.Actor(), SubjectType: "route", SubjectID: x.Route(), Detail: detail,
	})
	if err != nil {
		g.Authority.log.Warn("refused admin call not audited", "request_id", x.RequestID, "error", err)
	}
}

package auth

import (
	"context"
	"encoding/hex"
	"sync"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/quota"
	"carfluence/internal/sqldb"
)

// budget is how many failed logins are evaluated in a window. A window begins with its first failure, so
// any stretch of its length touches two.
type budget struct {
	failures int64
	window   time.Duration
}

// Budgets of the guessing throttle. A person who has logged in from a source in the last month is measured
// there by pairBudget alone, so nobody elsewhere can lock that person out. For all other sources together at
// most 100 guesses at one account are evaluated in any hour (SP 800-63B-4 section 3.2.2).
var (
	pairBudget    = budget{10, 15 * time.Minute}  // one account from one source
	accountBudget = budget{50, time.Hour}         // one account from all sources it is not known at
	sourceBudget  = budget{100, 15 * time.Minute} // all accounts from one source
)

// knownSourceFor is how long after a login its source counts as the person's own.
const knownSourceFor = 30 * 24 * time.Hour

// Throttle slows down guessing of passwords. Failures alone count; each attempt is reserved before its
// password is looked at, so parallel guesses can't overtake the count, and given back when it succeeds. The
// counts are in the store and survive a restart.
type Throttle struct {
	db  *sqldb.DB
	key []byte
	now func() time.Time

	mu       sync.Mutex
	inFlight map[string]*flight // by subject
	returned int                // attempts given back so far
}

// flight is the attempts of one subject that are being evaluated.
type flight struct {
	n     int
	ended chan struct{} // closed when one of them ends
}

// NewThrottle makes a throttle on the accounts store; secret is the server's.
func NewThrottle(db *sqldb.DB, secret []byte, now func() time.Time) *Throttle {
	return &Throttle{db: db, key: Subkey(secret, purposeThrottle), now: now, inFlight: map[string]*flight{}}
}

// Attempt is one reserved evaluation of a password. Call Done when it is over.
type Attempt struct {
	throttle  *Throttle
	counters  []counter
	boarded   bool
	givenBack bool
	// Exhausted says that this attempt was the last one of a budget.
	Exhausted bool
}

// counter is one budget of one subject, and the beginning of the window in which the attempt counts.
type counter struct {
	subject string
	budget  budget
	since   time.Time
}

// Reserve takes one attempt at an account (by address, existing or not) from a source. known says that the
// account's owner has logged in from there lately. Over a budget the error is login_throttled.
func (t *Throttle) Reserve(ctx context.Context, email, source string, known bool) (*Attempt, error) {
	for {
		returned := t.givenBack()
		a, full, err := t.reserve(ctx, t.counters(email, source, known))
		if err != nil || full == nil {
			return a, err
		}
		// Attempts under evaluation may be given back: wait for those, instead of refusing some of many
		// right passwords that came at once.
		ended := t.ending(full.subject)
		switch {
		case ended == nil && t.givenBack() != returned:
			continue
		case ended == nil:
			return nil, &errs.Error{
				Kind: errs.KindRateLimited, Code: "login_throttled", RetryAfter: full.retry,
				Detail: "Too many failed attempts. Wait as long as Retry-After says.",
			}
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

type exhausted struct {
	subject string
	retry   time.Duration
}

// reserve counts in all budgets or in none; then full names the one that must wait longest.
func (t *Throttle) reserve(ctx context.Context, counters []counter) (a *Attempt, full *exhausted, err error) {
	now := t.now()
	err = t.db.Transact(ctx, func(tx *sqldb.DB) error {
		a, full = &Attempt{throttle: t, counters: counters}, nil
		if err := lockThrottle(ctx, tx, counters); err != nil {
			return err
		}
		failures := make([]int64, len(counters))
		for i := range counters {
			c := &counters[i]
			if c.since, failures[i], err = selectThrottle(ctx, tx, c.subject); err != nil {
				return err
			}
			if !now.Before(c.since.Add(c.budget.window)) {
				c.since, failures[i] = now, 0
			}
			if c.since.After(now) { // the clock was ahead, and was set right: the window begins again
				c.since = now
				if err := upsertThrottle(ctx, tx, c.subject, now, failures[i]); err != nil {
					return err
				}
			}
			if left := c.since.Add(c.budget.window).Sub(now); failures[i] >= c.budget.failures && (full == nil || left > full.retry) {
				full = &exhausted{c.subject, left}
			}
		}
		if full != nil {
			return nil
		}
		for i, c := range counters {
			a.Exhausted = a.Exhausted || failures[i]+1 == c.budget.failures
			if err := upsertThrottle(ctx, tx, c.subject, c.since, failures[i]+1); err != nil {
				return err
			}
		}
		t.board(counters) // before the commit: who sees the count sees the flight
		a.boarded = true
		return nil
	})
	if err != nil && a != nil && a.boarded {
		a.Done()
	}
	if err != nil || full != nil {
		return nil, full, err
	}
	return a, nil, nil
}

func (t *Throttle) counters(email, source string, known bool) []counter {
	pair := counter{subject: t.subject("pair", email, source), budget: pairBudget}
	if known {
		return []counter{pair}
	}
	return []counter{pair,
		{subject: t.subject("account", email, ""), budget: accountBudget},
		{subject: t.subject("source", "", source), budget: sourceBudget}}
}

// subject names a count without saying whose it is.
func (t *Throttle) subject(kind, email, source string) string {
	return hex.EncodeToString(mac(t.key, []byte(kind+"\x00"+email+"\x00"+source))[:16])
}

func (t *Throttle) board(counters []counter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range counters {
		f := t.inFlight[c.subject]
		if f == nil {
			f = &flight{ended: make(chan struct{})}
			t.inFlight[c.subject] = f
		}
		f.n++
	}
}

// GiveBack uncounts the attempt in the caller's transaction: the password was right, or never looked at.
func (a *Attempt) GiveBack(ctx context.Context, tx *sqldb.DB) error {
	if err := lockThrottle(ctx, tx, a.counters); err != nil {
		return err
	}
	for _, c := range a.counters {
		if err := uncountThrottle(ctx, tx, c.subject, c.since); err != nil {
			return err
		}
	}
	a.givenBack = true
	return nil
}

// Done ends the attempt. What was not given back stays counted.
func (a *Attempt) Done() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.givenBack {
		t.returned++
	}
	for _, c := range a.counters {
		f := t.inFlight[c.subject]
		close(f.ended)
		f.ended = make(chan struct{})
		if f.n--; f.n == 0 {
			delete(t.inFlight, c.subject)
		}
	}
}

// ending is closed when an attempt of the subject ends; nil when none is being evaluated.
func (t *Throttle) ending(subject string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.inFlight[subject]; f != nil {
		return f.ended
	}
	return nil
}

func (t *Throttle) givenBack() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.returned
}

// Prune forgets counts whose windows are over.
func (t *Throttle) Prune(ctx context.Context) error {
	return deleteThrottles(ctx, t.db, t.now().Add(-accountBudget.window))
}

// sourceOf is what one client controls: its IPv4 address, or its IPv6 /64.
func sourceOf(address string) string { return quota.Network(address).String() }

package lease

import (
	"context"
	"time"
)

// How often replicas' rows are read for a confirmation; all that wait share a read. Under steady changes replicas beat
// beatsApart, so rarer reads would only find later what they reported.
const (
	pollFirst = 5 * time.Millisecond
	pollEvery = beatsApart
)

// Confirmation says how a change came into force. It is in force on all replicas in any case: those that have not
// confirmed it can't use what they knew before, since their lease has run out.
type Confirmation struct {
	Confirmed, Replicas int
	Took                time.Duration
}

// Confirm returns when change n, committed before the call, is in force on every replica. A client's leaving does
// not end it, and a failure to ask does not fail the change: then it waits the lease out.
func (r *Replica) Confirm(ctx context.Context, n int64) Confirmation {
	ctx = context.WithoutCancel(ctx)
	began := r.opt.Now()
	if r.opt.Notify != nil {
		r.opt.Notify(ctx)
	}
	pause := pollFirst
	for {
		c, all := r.confirmed(ctx, n)
		c.Took = r.opt.Now().Sub(began)
		left := Outwait - c.Took
		if all || left <= 0 {
			return c
		}
		r.opt.Wait(ctx, nil, min(pause, left))
		pause = min(2*pause, pollEvery)
	}
}

// confirmed asks once.
func (r *Replica) confirmed(ctx context.Context, n int64) (c Confirmation, all bool) {
	if r.applied.Load() < n {
		if err := r.Beat(ctx); err != nil {
			r.opt.Log.Warn("change not confirmed yet", "change", n, "error", err)
		}
	}
	here := r.applied.Load() >= n
	if !r.opt.Shared {
		c.Replicas = 1
		if here {
			c.Confirmed = 1
		}
		return c, here
	}
	roster, err := r.poll(ctx)
	if err != nil {
		r.opt.Log.Warn("change not confirmed yet", "change", n, "error", err)
		return c, false
	}
	c.Replicas = len(roster)
	for _, row := range roster {
		if row.Seen >= n {
			c.Confirmed++
		}
	}
	return c, here && c.Confirmed == c.Replicas
}

// poll reads the roster, sent after it was asked for.
func (r *Replica) poll(ctx context.Context) ([]Row, error) {
	return r.polls.do(ctx, func() ([]Row, error) {
		ctx, cancel := context.WithTimeout(ctx, beatTimeout)
		defer cancel()
		return r.store.Roster(ctx)
	})
}

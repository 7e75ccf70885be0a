package inventory

import (
	"context"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/vehicle"
)

// Followed says which vehicles a follower of changes keeps a copy of.
type Followed string

// What can be followed. Of the first two, a vehicle that changes its status leaves the copy.
const (
	FollowActive Followed = "active"
	FollowSold   Followed = "sold"
	FollowAll    Followed = "all"
)

// has tells that a vehicle of this status belongs into the copy.
func (f Followed) has(status string) bool { return f == FollowAll || string(f) == status }

// place is how far a follower has come: vehicles are followed by the version they were written in last, then by VIN.
type place struct {
	version int64
	vin     string
}

// Cursor is what a follower has got so far, as of its latest answer.
type Cursor struct {
	Followed Followed
	at       place
	began    int64 // version up to which the copy was filled: nobody was given what had left it by then
	strays   int64 // changes that vehicles do not tell of
}

// News are the next changes for a follower.
type News struct {
	List []byte // JSON array
	Next Cursor
	More bool // there are more already

	seen version // that this was read after
	none bool
}

// Limits of one reading of changes.
const (
	DefaultChanges = 200
	MaxChanges     = 1000
	// maxPassed bounds the vehicles that are passed over because they are not followed, so that no call has to read a whole group.
	maxPassed = 5000
)

// Changes returns up to limit changes after a cursor, nil for the beginning. Each vehicle comes as it is now, once: as it
// comes last in the order of versions, a follower that goes on until there are no more has them all.
//
// The version is read before the vehicles. So whatever a program that does not note versions writes in between is found out
// with the next call, and a vehicle written meanwhile is either here or after the next cursor.
func (s *Stock) Changes(ctx context.Context, t *sqldb.Tenant, followed Followed, since *Cursor, limit int) (News, error) {
	v, err := selectVersion(ctx, t)
	if err != nil {
		return News{}, err
	}
	next := Cursor{Followed: followed, began: v.changes, strays: v.strays()}
	if since != nil {
		next = *since
	}
	if next.began > v.changes || next.at.version > v.changes || next.strays != v.strays() {
		return News{}, errCursorExpired
	}
	days, err := s.calendarAt(ctx, t, v)
	if err != nil {
		return News{}, err
	}
	out := News{List: []byte{'['}, seen: v}
	now := s.now()
	found, passed := 0, 0
	for asked := limit + 1; found < limit && passed < maxPassed; asked = min(max(2*asked, DefaultChanges), MaxChanges) {
		rows, err := selectFollowed(ctx, t, followed, next.at, asked)
		if err != nil {
			return News{}, err
		}
		i := 0
		for ; i < len(rows) && found < limit; i++ {
			next.at = rows[i].place
			if list := rows[i].append(out.List, &next, days, now); len(list) > len(out.List) {
				out.List = list
				found++
			} else {
				passed++
			}
		}
		if out.More = i < len(rows) || i == asked; !out.More {
			break
		}
	}
	out.List, out.Next, out.none = append(out.List, ']'), next, found == 0 && !out.More
	return out, nil
}

// changed is a vehicle as a follower needs it.
type changed struct {
	place
	status     string
	soldAt     time.Time
	relistedAt time.Time // zero if it was never sold before
	lotSince   Day
	dealership string
	document   string // "" if it is not followed
}

// append appends the change to a list, or nothing where who follows knows nothing of the vehicle.
func (c *changed) append(b []byte, to *Cursor, days calendar, now time.Time) []byte {
	switch {
	case to.Followed.has(c.status):
		b = append(separated(b), `{"type":"upsert","vehicle":`...)
		b = appendListDocument(b, c.document, int64(days.today(c.dealership, now)-c.lotSince))
		return append(b, '}')
	case c.version <= to.began: // it had left before the copy was filled
		return b
	case c.status == vehicle.StatusSold:
		return c.appendRemoval(b, "sold", c.soldAt)
	case !c.relistedAt.IsZero():
		return c.appendRemoval(b, "relisted", c.relistedAt)
	}
	return b // it was never sold
}

func (c *changed) appendRemoval(b []byte, reason string, at time.Time) []byte {
	b = vehicle.AppendString(append(separated(b), `{"type":"remove","vin":`...), c.vin)
	b = append(append(append(b, `,"reason":"`...), reason...), `","removed_at":`...)
	return append(appendTime(b, at), '}')
}

// Follow is Changes, but when there are none it waits for some, at most so long; not beyond the server's end, and not for a
// follower that has left.
func (s *Stock) Follow(ctx context.Context, t *sqldb.Tenant, followed Followed, since *Cursor, limit int, wait time.Duration) (News, error) {
	c, err := s.Changes(ctx, t, followed, since, limit)
	if err != nil || !c.none || wait <= 0 {
		return c, err
	}
	w, err := s.waits.enter(t.Group(), func(ctx context.Context) (version, error) { return s.pages.version(ctx, t, s.now()) })
	if err != nil {
		return c, err
	}
	defer s.waits.leave(t.Group())
	end := time.NewTimer(wait)
	defer end.Stop()
	for c.none {
		again, err := w.await(ctx, c.seen, end.C, s.waits.ended)
		if err != nil || !again {
			return c, err
		}
		if c, err = s.Changes(ctx, t, followed, &c.Next, limit); err != nil {
			return c, err
		}
	}
	return c, nil
}

package inventory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
	"carfluence/internal/vehicle"
)

// TestAHundredWaitAsOne: one look for changes every half second, however many wait, none when nobody does; all hear of the change.
func TestAHundredWaitAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ws := newWaits(100)
		var looks, n atomic.Int64
		look := func(context.Context) (version, error) {
			looks.Add(1)
			return version{n: n.Load(), changes: n.Load()}, nil
		}
		var heard atomic.Int64
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				w, err := ws.enter(group, look)
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.leave(group)
				if again, err := w.await(t.Context(), version{}, time.After(time.Minute), ws.ended); again && err == nil {
					heard.Add(1)
				}
			})
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if _, err := ws.enter(group, look); !isUnavailable(err) {
			t.Errorf("one more than may: %v", err)
		}
		if got := looks.Load(); got != 21 {
			t.Errorf("%d looks in ten seconds", got)
		}
		n.Store(1)
		ws.wrote(group)
		ws.wrote("another group")
		all.Wait()
		if heard.Load() != 100 {
			t.Errorf("%d heard", heard.Load())
		}
		before := looks.Load()
		time.Sleep(time.Minute)
		if got := looks.Load(); got > before+1 {
			t.Errorf("%d looks while nobody waits", got-before)
		}
	})
}

func TestAWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ws := newWaits(10)
		look := func(context.Context) (version, error) { return version{}, errors.New("the store is away") }
		wait := func(ctx context.Context) (again bool, took time.Duration, err error) {
			w, err := ws.enter(group, look)
			if err != nil {
				return false, 0, err
			}
			defer ws.leave(group)
			began := time.Now()
			again, err = w.await(ctx, version{}, time.After(20*time.Second), ws.ended)
			return again, time.Since(began), err
		}
		if again, took, err := wait(t.Context()); again || err != nil || took != 20*time.Second {
			t.Errorf("in its time: %v %v after %s", again, err, took)
		}
		left, leave := context.WithTimeout(t.Context(), 3*time.Second)
		defer leave()
		if again, took, err := wait(left); again || !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("when the client leaves: %v %v after %s", again, err, took)
		}
		s := &Stock{waits: ws}
		time.AfterFunc(2*time.Second, func() { s.EndWaits(); s.EndWaits() })
		if again, took, err := wait(t.Context()); again || err != nil || took != 2*time.Second {
			t.Errorf("when the server stops: %v %v after %s", again, err, took)
		}
		if _, _, err := wait(t.Context()); !isUnavailable(err) {
			t.Errorf("while the server stops: %v", err)
		}
		if ws.now != 0 || len(ws.groups) != 0 {
			t.Errorf("%d places are taken", ws.now)
		}
	})
}

// TestAnotherServersWrites come within about a second, one's own at once; what changes no vehicle wakes nobody.
func TestAnotherServersWrites(t *testing.T) {
	place := sqldbtest.New(t)
	here, there := place.Open(t, sqldb.Stock), place.Open(t, sqldb.Stock)
	mine, other := NewStock(here, Options{Waiting: 10}), NewStock(there, Options{})
	r := follower(mine, here.Tenant(group), FollowActive)
	r.catchUp(t, 10)
	for i, by := range []*Stock{other, mine} {
		tenant := by.db.Tenant(group)
		var wrote time.Time
		go func() {
			time.Sleep(300 * time.Millisecond)
			if err := tenant.Transact(t.Context(), func(tx *sqldb.Tenant) error { return by.Bump(t.Context(), tx) }); err != nil {
				t.Error(err)
			}
			by.Committed(group)
			time.Sleep(700 * time.Millisecond)
			wrote = time.Now()
			c := vehicle.Change{VIN: truck}
			c.Put(vehicle.Price, fmt.Sprintf("%d.00", 1000+i))
			if _, _, err := by.Upsert(t.Context(), tenant, c, Source{Name: SourceAPI}); err != nil {
				t.Error(err)
			}
		}()
		n, more, err := r.step(t.Context(), 10, 30*time.Second)
		took := time.Since(wrote)
		if n != 1 || more || err != nil || took > 10*time.Second {
			t.Fatalf("%d %v %v", n, more, err)
		}
		t.Logf("after %s", took)
	}
	r.equalsList(t)
}

// Who loses its rights while it waits is shown nothing.
func TestRightsAreLookedAtAfterAWait(t *testing.T) {
	h := open(t)
	h.stock.waits.max = 10
	cursor := cursorOf(h, "")
	h.api.Gate.Renew = func(*rest.Exchange) error { return errs.New(errs.KindUnauthenticated, "key_revoked", "Gone.") }
	h.imports(row(truck, 2, map[vehicle.Field]string{vehicle.Price: "1"}))
	if code, text, _ := h.call("", "GET", "/inventory/changes?wait=1&since="+cursor, ""); code != 401 {
		t.Errorf("%d %s", code, text)
	}
	if code, text, _ := h.call("", "GET", "/inventory/changes?since="+cursor, ""); code != 200 {
		t.Errorf("without a wait: %d %s", code, text)
	}
}

package quota

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/lease"
)

// office is some replicas on one clock and a database that answers at once and counts.
type office struct {
	t    *testing.T
	now  time.Time
	shop *shop
	all  []*desk
	rng  *rand.Rand
}

// desk is one replica.
type desk struct {
	office  *office
	replica *lease.Replica
	ledger  *Ledger
	port    *counter

	later []func() // what was begun in the background

	duty, due time.Duration // of the half-second duties: where in it, since the start
}

// counter is the database as one replica reaches it.
type counter struct {
	port
	roundTrips int // of beats and settlements
	takes      int // rows asked for calls that wait
	calls      int // credits called in
	rows       int
}

func newOffice(t *testing.T, replicas int) *office {
	o := &office{t: t, rng: rand.New(rand.NewPCG(1, 2)), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), shop: &shop{rows: map[rowKey]*row{}, accounts: map[string]*account{}}}
	for i := range replicas {
		d := &desk{office: o, port: &counter{}, duty: time.Duration(i) * 137 * time.Millisecond}
		d.port.port = port{w: &world{shop: o.shop}, m: &member{}}
		log := slog.New(slog.DiscardHandler)
		d.replica = lease.New(d.port, lease.Options{Shared: true, Now: o.clock, Log: log, Wait: o.wait})
		d.replica.Hold(d)
		l, err := New(nil, Options{Window: time.Hour, Now: o.clock, Log: log, Replica: d.replica})
		if err != nil {
			t.Fatal(err)
		}
		l.store, l.begin = d.port, func(f func()) { d.later = append(d.later, f) }
		d.ledger = l
		o.all = append(o.all, d)
	}
	for range 2 { // register, and see the others
		for _, d := range o.all {
			d.beat()
		}
	}
	return o
}

func (o *office) clock() time.Time { return o.now }

// wait lets time pass for everybody.
func (o *office) wait(_ context.Context, ch <-chan struct{}, d time.Duration) {
	for end := o.now.Add(d); o.now.Before(end) && len(ch) == 0; {
		o.pass(time.Millisecond)
	}
}

func (o *office) pass(d time.Duration) {
	o.now = o.now.Add(d)
	for _, d := range o.all {
		d.work()
	}
}

// work does what Ledger.Run and lease.Replica.Run do, the half-second duties not all at once.
func (d *desk) work() {
	select {
	case <-d.ledger.wake:
		d.ledger.serve(context.Background())
		if d.replica.Seen() < d.replica.Applied() {
			d.beat()
		}
	default:
	}
	since := d.office.now.Sub(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) - d.duty
	if since < d.due {
		return
	}
	d.due += settleEvery
	d.beat()
	before := d.port.rows
	_ = d.ledger.settle(context.Background(), false)
	if d.port.rows > before {
		d.port.roundTrips++
	}
}

func (d *desk) beat() {
	if err := d.replica.Beat(context.Background()); err != nil {
		d.office.t.Fatal(err)
	}
}

// Forget, Apply and Unsettled implement lease.Holder.
func (d *desk) Forget() {}

func (d *desk) Apply(_ context.Context, changes []lease.Change, _ bool) error {
	for _, c := range changes {
		d.ledger.CalledIn(c)
	}
	return nil
}

func (d *desk) Unsettled() int64 { return d.ledger.Unsettled() }

// call is one request; it tells whether it was let in.
func (d *desk) call(id string, limit int64) bool {
	meter := d.ledger.meter(Subject{"group", id})
	state, w, _, err := meter.take(Limit{Calls: limit}, d.office.now)
	if w != nil {
		for range 10_000 {
			d.ledger.serve(context.Background())
			begun := d.later
			d.later = nil
			for _, f := range begun {
				f()
			}
			if w.settled {
				break
			}
			d.office.pass(time.Millisecond)
		}
		state, err = meter.await(context.Background(), w, d.office.now)
	}
	c := &Charge{meter: meter, state: state, held: err == nil}
	if err != nil && errs.KindOf(err) != errs.KindRateLimited {
		d.office.t.Fatal(err)
	}
	c.Settle(200)
	return err == nil
}

func (c *counter) apply(_ context.Context, entries []entry) error {
	for i := range entries {
		if entries[i].need > 0 {
			c.takes++
		}
		c.w.shop.apply(&entries[i])
	}
	c.rows += len(entries)
	return nil
}

func (c *counter) callIn(_ context.Context, s Subject, window int64, _ time.Time) (int64, error) {
	c.calls++
	r := c.w.shop.row(s.ID, window)
	if r.calledIn == 0 {
		r.calledIn = c.w.shop.log(lease.Change{Kind: Hungry, Group: s.Group, ID: s.ID, Window: window})
	}
	return r.calledIn, nil
}

func (c *counter) Number(context.Context) (int64, error) { return c.w.shop.n, nil }

func (c *counter) Register(_ context.Context, id string, _ []string, _ time.Time) (int64, error) {
	c.w.shop.roster = append(c.w.shop.roster, &lease.Row{ID: id, Seen: c.w.shop.n})
	return c.w.shop.n, nil
}

func (c *counter) Beat(_ context.Context, id string, seen int64) (lease.Pulse, error) {
	c.roundTrips++
	r := c.w.shop.find(id)
	p := lease.Pulse{N: c.w.shop.n, Roster: c.w.shop.rosterNow()}
	r.Seen, r.Beats = seen, r.Beats+1
	return p, nil
}

func (c *counter) Changes(_ context.Context, after, upTo int64) ([]lease.Change, error) {
	return c.w.shop.changes[after:upTo], nil
}

func (c *counter) Roster(context.Context) ([]lease.Row, error) { return c.w.shop.rosterNow(), nil }

// sums are the counts of all replicas.
func (o *office) sums() (takes, calledIn, roundTrips int) {
	o.t.Helper()
	for _, d := range o.all {
		if told := d.ledger.Takes(); told != int64(d.port.takes) {
			o.t.Errorf("the ledger tells of %d takes, there were %d", told, d.port.takes)
		}
		takes, calledIn, roundTrips = takes+d.port.takes, calledIn+d.port.calls, roundTrips+d.port.roundTrips
	}
	return takes, calledIn, roundTrips
}

// pick chooses the replica a call comes to.
type pick func(*office) *desk

var picks = map[string]pick{
	"even":   func(o *office) *desk { return o.all[o.rng.IntN(len(o.all))] },
	"skewed": func(o *office) *desk { return o.all[0] },
	"mostly one": func(o *office) *desk {
		return o.all[max(0, o.rng.IntN(10)-10+len(o.all))]
	},
}

// Below 80 % of their limit calls hardly ever wait for the store, at 3,000 a second over 100 keys, and whatever the
// load, a replica speaks to it four times a second for all of them.
func TestCallsRarelyWaitForTheStore(t *testing.T) {
	const keys, limit, perSecond = 100, 1000, 3000
	for name, pick := range picks {
		for _, replicas := range []int{1, 3, 6} {
			o := newOffice(t, replicas)
			_, _, before := o.sums()
			calls, began := 0, o.now
			for calls < keys*limit*8/10 {
				for range perSecond / 1000 {
					if !pick(o).call(strconv.Itoa(calls%keys), limit) {
						t.Fatalf("%s: call %d was refused", name, calls)
					}
					calls++
				}
				o.pass(time.Millisecond)
			}
			takes, calledIn, roundTrips := o.sums()
			waits := float64(takes) * 1000 / float64(calls)
			rate := float64(roundTrips-before) / o.now.Sub(began).Seconds() / float64(replicas)
			t.Logf("%s, %d replicas: %.1f takes waited for per 1,000 calls; %.2f round trips a second and replica; %d called in", name, replicas, waits, rate, calledIn)
			if waits > 20 || rate > 4.1 {
				t.Errorf("%s, %d replicas: %.1f takes waited for per 1,000 calls, %.2f round trips a second and replica", name, replicas, waits, rate)
			}
		}
	}
}

// A key driven into its limit as fast as one client can, every credit spent.
func TestAKeyIsDrivenIntoItsLimit(t *testing.T) {
	const limit = 1000
	for name, pick := range picks {
		for _, replicas := range []int{1, 3} {
			for _, perSecond := range []int{100, 1000, 10_000} {
				o := newOffice(t, replicas)
				let := 0
				for refused := 0; refused < 20; {
					for range max(1, perSecond/1000) {
						if pick(o).call("key", limit) {
							let++
						} else {
							refused++
						}
					}
					o.pass(max(time.Millisecond, time.Second/time.Duration(perSecond)))
				}
				takes, calledIn, _ := o.sums()
				t.Logf("%s, %d replicas, %d/s: %d let in, %d takes waited for, %d called in", name, replicas, perSecond, let, takes, calledIn)
				if let != limit || takes > 80 || calledIn > replicas {
					t.Errorf("%s, %d replicas, %d/s: %d let in, %d takes waited for, %d called in", name, replicas, perSecond, let, takes, calledIn)
				}
			}
		}
	}
}

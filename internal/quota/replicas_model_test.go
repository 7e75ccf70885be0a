package quota

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/lease"
)

// TestReplicasModel holds several replicas, the real Ledger and the real lease.Replica on a database in memory,
// against what is promised of all of them together, under random schedules. Every replica's code runs as
// coroutines that stop where it waits for the database or the clock, so that anything else can come between, and a
// history follows from its seed alone. CARFLUENCE_SOAK runs fifty million steps, CARFLUENCE_MODEL_SEED one history.
func TestReplicasModel(t *testing.T) {
	if text := os.Getenv("CARFLUENCE_MODEL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if _, fault := history(seed, t.Logf); fault != "" {
			t.Fatal(fault)
		}
		return
	}
	steps, most, end := 0, 1<<62, time.Now().Add(3*time.Second)
	if os.Getenv("CARFLUENCE_SOAK") != "" {
		most, end = 50_000_000, time.Now().Add(time.Hour)
	}
	began, histories := time.Now(), 0
	var sum tally
	for seed := uint64(1); steps < most && time.Now().Before(end); seed++ {
		w, fault := history(seed, nil)
		if fault != "" {
			t.Fatalf("seed %d, step %d: %s", seed, w.steps, fault)
		}
		steps += w.steps
		histories++
		sum.add(w.tally)
	}
	t.Logf("%d histories, %d steps, %.0f steps/s: %+v", histories, steps, float64(steps)/time.Since(began).Seconds(), sum)
	if sum.Refused == 0 || sum.CalledIn == 0 || sum.Revoked == 0 {
		t.Error("the histories do not reach what they are to test")
	}
}

// What a history may hold. A quiet one has no faults; a plain one nor anything that gives credits back.
type weather int

const (
	plain weather = iota
	quiet
	stormy
)

const (
	historySteps = 4000
	modelWindow  = 12 * time.Second
	// prompt is how long a statement takes at most without faults.
	prompt = 100 * time.Millisecond
	// believed is how long a refusal may be behind credits that came back elsewhere: it is remembered, and a return
	// is written with a settlement.
	believed = refusalMemory + 2*settleEvery + 4*prompt
	maxCalls = 30
)

// tally says what the histories held.
type tally struct{ Admitted, Refused, Unavailable, CalledIn, Revoked, Crashes, Pauses, Lost, Registered int }

func (t *tally) add(o tally) {
	t.Admitted += o.Admitted
	t.Refused += o.Refused
	t.Unavailable += o.Unavailable
	t.CalledIn += o.CalledIn
	t.Revoked += o.Revoked
	t.Crashes += o.Crashes
	t.Pauses += o.Pauses
	t.Lost += o.Lost
	t.Registered += o.Registered
}

// world is one history.
type world struct {
	*rand.Rand
	shop    *shop
	weather weather
	now     time.Time
	members []*member
	keys    []*key
	old     []*key // revoked, confirmed or not
	tasks   []*task
	ghosts  []*op // statements nobody waits for any more, that may still be carried out
	under   []*served
	calls   int
	steps   int
	current *task
	trace   func(string, ...any)
	fault   string
	calm    bool // the faults are over
	refunds float64
	loss    float64
	only    string // the statements that get lost, "" for all; then nothing else happens
	changes bool   // of limits
	made    int    // keys and members so far
	tally   tally
}

// member is a replica's process.
type member struct {
	w       *world
	name    int
	skew    time.Duration
	replica *lease.Replica
	ledger  *Ledger
	records *lease.Records[string, account]
	port    port
	paused  time.Time // until then
	cut     bool      // the ledger's connection
	leaving bool
	dead    bool
}

// key is what was promised of an API key.
type key struct {
	id      string
	limits  []int64         // all it ever had, in the store's order
	since   int             // those before are in force nowhere
	revoked bool            // confirmed
	loose   time.Time       // when a credit last came back, or the limit changed
	count   map[int64]int64 // by window: calls let in and not given back
	late    map[int64]int64 // of these, those that began before a lower limit was confirmed and were let in after
}

// modelRequest is one call.
type modelRequest struct {
	key     *key
	began   time.Time
	most    int64
	revoked bool // when it began
}

// served is a request that was let in and is not answered yet.
type served struct {
	m      *member
	key    *key
	charge *Charge
	late   bool
}

// task is code of a member that runs until it waits.
type task struct {
	m    *member
	next func() (struct{}, bool)
	stop func()
	wait func(struct{}) bool
	op   *op // nil before the first
	call *modelRequest
	busy bool // a request under way that is not a call
}

type killed struct{}

// history runs one.
func history(seed uint64, trace func(string, ...any)) (w *world, fault string) {
	w = &world{
		Rand: rand.New(rand.NewPCG(seed, 0)), trace: trace, weather: weather(seed % 3),
		shop: &shop{rows: map[rowKey]*row{}, accounts: map[string]*account{}}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	defer func() {
		for _, t := range w.tasks {
			t.stop()
		}
	}()
	if w.weather == stormy {
		w.loss = []float64{0.002, 0.01, 0.05}[w.IntN(3)]
		w.only = []string{"", "", "apply"}[w.IntN(3)]
	}
	if w.weather != plain {
		w.refunds, w.changes = []float64{0, 0.002, 0.2}[w.IntN(3)], w.chance(0.5)
	}
	for range 1 + w.IntN(3) {
		w.addKey()
	}
	for range 2 + w.IntN(3) {
		w.join()
	}
	for w.fault == "" && w.steps < historySteps {
		w.step()
	}
	w.drain()
	return w, w.fault
}

func (w *world) failf(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
	}
}

func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		w.trace("%d %s "+format, append([]any{w.steps, w.now.Format("04:05.000")}, args...)...)
	}
}

func (w *world) chance(p float64) bool { return w.Float64() < p }

func (w *world) faulty() bool { return w.weather == stormy && !w.calm }

// step is one event.
func (w *world) step() {
	w.steps++
	switch p := w.IntN(1000); {
	case p < 560:
		w.progress()
	case p < 740:
		w.arrive()
	case p < 870:
		w.finish()
	case p < 985:
		w.pass()
	case p < 992:
		w.change()
	case p < 994:
		w.comeOrGo()
	case w.faulty() && w.only == "":
		w.disturb()
	}
}

// --- tasks

func (w *world) spawn(m *member, body func()) *task {
	t := &task{m: m}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.wait = yield
		defer func() {
			if p := recover(); p != nil && p != (killed{}) {
				panic(p)
			}
		}()
		body()
	})
	w.tasks = append(w.tasks, t)
	return t
}

// park stops the task that runs until its op is over.
func (w *world) park(o *op) {
	t := w.current
	o.since = w.now
	t.op = o
	if t.m.dead || !t.wait(struct{}{}) {
		panic(killed{})
	}
}

func (w *world) resume(t *task) {
	w.current = t
	_, alive := t.next()
	w.current = nil
	if !alive {
		w.forget(t)
	}
}

func (w *world) forget(t *task) {
	i := slices.Index(w.tasks, t)
	last := len(w.tasks) - 1
	w.tasks[i] = w.tasks[last]
	w.tasks = w.tasks[:last]
	if t.call != nil {
		w.calls--
	}
}

// ready tells whether something can happen to a task now.
func (w *world) ready(t *task) bool {
	stopped := w.now.Before(t.m.paused)
	switch {
	case t.op == nil:
		return !stopped
	case t.op.steps != nil:
		return !stopped || t.op.done < len(t.op.steps)
	case stopped:
		return false
	}
	if len(t.op.ch) > 0 { // a notice, which the task takes
		return true
	}
	if cap(t.op.ch) == 0 {
		select {
		case <-t.op.ch: // closed
			return true
		default:
		}
	}
	return !t.op.until.IsZero() && !w.now.Before(t.op.until)
}

// progress does the next thing to some task that can go on.
func (w *world) progress() {
	if w.faulty() && len(w.ghosts) > 0 && w.chance(0.05) {
		w.haunt()
		return
	}
	for i, n := w.IntN(max(1, len(w.tasks))), 0; n < len(w.tasks); i, n = i+1, n+1 {
		if t := w.tasks[i%len(w.tasks)]; w.ready(t) {
			w.advance(t)
			return
		}
	}
}

// advance carries a statement out, answers it, or lets the task run.
func (w *world) advance(t *task) {
	o := t.op
	if o == nil || o.steps == nil {
		w.resume(t)
		return
	}
	if w.faulty() && o.fail == nil && (w.only == "" || w.only == o.name) && w.chance(w.loss) { // lost before, after, or for now
		w.tally.Lost++
		o.fail = errLost
		if o.done < len(o.steps) {
			w.ghosts = append(w.ghosts, &op{name: o.name, steps: o.steps, done: o.done})
			o.done = len(o.steps)
		}
		w.note("replica %d: %s is lost", t.m.name, o.name)
		if w.now.Before(t.m.paused) {
			return
		}
	}
	if o.done < len(o.steps) {
		o.steps[o.done]()
		o.done++
		w.note("replica %d: %s is carried out %s", t.m.name, o.name, entriesText(o.entries))
		if w.faulty() && (o.name == "number" || o.name == "register") && w.chance(0.3) {
			w.change() // while the replica is about to begin anew
		}
		if w.faulty() && o.twice && w.chance(w.loss) {
			w.ghosts = append(w.ghosts, &op{name: o.name, steps: o.steps})
		}
		return
	}
	w.resume(t)
}

func entriesText(entries []entry) (s string) {
	for _, e := range entries {
		s += fmt.Sprintf(" %s/%d: limit %d used %+d spent %+d need %d surplus %d → granted %d used %d spent %d called in %d;",
			e.subject.ID, e.window, e.limit, e.used, e.spent, e.need, e.surplus, e.granted, e.stored, e.storedSpent, e.calledIn)
	}
	return s
}

// haunt carries out a statement late, or never.
func (w *world) haunt() {
	i := w.IntN(len(w.ghosts))
	o := w.ghosts[i]
	w.ghosts = slices.Delete(w.ghosts, i, i+1)
	if w.chance(0.5) {
		w.note("late: %s", o.name)
		for ; o.done < len(o.steps); o.done++ {
			o.steps[o.done]()
		}
	}
}

// --- members

func (w *world) join() {
	w.made++
	m := &member{w: w, name: w.made}
	if w.weather == stormy || w.chance(0.5) {
		m.skew = time.Duration(w.IntN(6000)-3000) * time.Millisecond
	}
	m.port = port{w, m}
	now := func() time.Time { return w.now.Add(m.skew) }
	log := slog.New(slog.DiscardHandler)
	m.replica = lease.New(m.port, lease.Options{Shared: true, Now: now, Log: log, Wait: m.wait})
	m.records = lease.NewRecords[string, account](m.replica, 64)
	m.replica.Hold(m)
	l, err := New(nil, Options{Window: modelWindow, Now: now, Log: log, Replica: m.replica})
	if err != nil {
		panic(err)
	}
	l.store = m.port
	l.begin = func(f func()) {
		w.tally.CalledIn++
		w.spawn(m, f)
	}
	m.ledger = l
	w.members = append(w.members, m)
	w.note("replica %d joins, its clock %s off", m.name, m.skew)
	w.spawn(m, func() { _ = m.replica.Run(context.Background()) })
	w.spawn(m, m.runLedger)
}

// wait is lease.Wait.
func (m *member) wait(_ context.Context, ch <-chan struct{}, d time.Duration) {
	o := &op{name: "wait", ch: ch}
	if d >= 0 {
		o.until = m.w.now.Add(d)
	}
	m.w.park(o)
	select { // Run takes what woke it
	case <-ch:
	default:
	}
}

// runLedger is Ledger.Run by the model's clock.
func (m *member) runLedger() {
	ctx := context.Background()
	tick := m.w.now.Add(settleEvery)
	for !m.leaving {
		m.w.park(&op{name: "ledger", ch: m.ledger.wake, until: tick})
		select {
		case <-m.ledger.wake:
			m.ledger.serve(ctx)
		default:
		}
		if !m.w.now.Before(tick) {
			_ = m.ledger.settle(ctx, false)
			tick = m.w.now.Add(settleEvery)
		}
	}
	for range endTries {
		m.ledger.serve(ctx)
		if m.ledger.settle(ctx, true) == nil && len(m.ledger.owed) == 0 {
			break
		}
	}
	_ = m.replica.Stop(ctx)
	m.w.note("replica %d has left", m.name)
	m.die()
}

// Forget implements lease.Holder.
func (m *member) Forget() {
	m.w.tally.Registered++
	m.records.DropAll()
	m.ledger.ForgetAll()
}

// Apply implements lease.Holder.
func (m *member) Apply(_ context.Context, changes []lease.Change, all bool) error {
	if all {
		m.Forget()
	}
	for _, c := range changes {
		m.w.note("replica %d applies %+v", m.name, c)
		if c.Kind == Hungry {
			m.ledger.CalledIn(c)
			continue
		}
		m.records.Drop(c.ID)
		m.ledger.Forget(Subject{c.Group, c.ID})
	}
	return nil
}

// Unsettled implements lease.Holder.
func (m *member) Unsettled() int64 { return m.ledger.Unsettled() }

func (m *member) die() {
	m.dead = true
	m.w.members = slices.DeleteFunc(m.w.members, func(o *member) bool { return o == m })
	m.w.under = slices.DeleteFunc(m.w.under, func(s *served) bool { return s.m == m })
}

// crash is kill -9.
func (w *world) crash(m *member) {
	w.tally.Crashes++
	w.note("replica %d crashes", m.name)
	m.die()
	for _, t := range slices.Clone(w.tasks) {
		if t.m != m {
			continue
		}
		if t.op != nil && t.op.done < len(t.op.steps) {
			w.ghosts = append(w.ghosts, t.op)
		}
		t.stop()
		w.forget(t)
	}
}

// some is a member that takes requests.
func (w *world) some() *member {
	var open []*member
	for _, m := range w.members {
		if !m.leaving {
			open = append(open, m)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[w.IntN(len(open))]
}

func (w *world) comeOrGo() {
	m := w.some()
	switch {
	case len(w.members) < 2 || w.chance(0.5) && len(w.members) < 4:
		w.join()
	case m != nil && len(w.members) > 1:
		for _, t := range w.tasks {
			if t.m == m && (t.call != nil || t.busy) {
				return // requests under way are finished first
			}
		}
		w.under = slices.DeleteFunc(w.under, func(s *served) bool {
			if s.m == m {
				s.charge.Settle(200)
			}
			return s.m == m
		})
		m.leaving = true
		m.ledger.rouse()
		w.note("replica %d leaves", m.name)
	}
}

func (w *world) disturb() {
	m := w.some()
	switch {
	case m == nil:
	case w.chance(0.3):
		w.crash(m)
		w.join()
	case w.chance(0.8):
		w.tally.Pauses++
		d := time.Duration(w.IntN(4000)) * time.Millisecond
		if w.chance(0.2) {
			d = time.Duration(w.IntN(15)) * time.Second
		}
		m.paused = w.now.Add(d)
		w.note("replica %d stops for %s", m.name, d)
	default:
		d := time.Duration(w.IntN(4000)) * time.Millisecond
		w.now = w.now.Add(d)
		w.note("nothing happens for %s", d)
	}
}

// --- time

// pass lets time pass. Without faults statements are prompt, and replicas do what they have to do in time.
func (w *world) pass() {
	d := time.Duration(w.IntN(60)) * time.Millisecond
	if w.chance(0.02) {
		d = time.Duration(w.IntN(8000)) * time.Millisecond
	}
	if w.faulty() {
		w.now = w.now.Add(d)
		return
	}
	for end := w.now.Add(d); w.now.Before(end) && w.fault == ""; {
		w.now = w.now.Add(min(20*time.Millisecond, end.Sub(w.now)))
		w.keepUp()
	}
}

// keepUp lets everything happen that is due.
func (w *world) keepUp() {
	for again := true; again && w.fault == ""; {
		again = false
		for _, t := range slices.Clone(w.tasks) {
			late := t.op == nil || t.op.steps == nil || w.now.Sub(t.op.since) >= prompt || w.chance(0.3)
			if !t.m.dead && late && w.ready(t) {
				w.advance(t)
				w.steps++
				again = true
			}
		}
	}
}

// --- requests

func (w *world) addKey() *key {
	w.made++
	k := &key{id: strconv.Itoa(w.made), limits: []int64{w.limit()}, count: map[int64]int64{}, late: map[int64]int64{}}
	w.keys = append(w.keys, k)
	w.shop.accounts[k.id] = &account{limit: k.limits[0]}
	return k
}

func (w *world) limit() int64 { return int64(1 + w.IntN([]int{3, 20, 100, 400}[w.IntN(4)])) }

func (k *key) most() int64 { return slices.Max(k.limits[k.since:]) }

func (k *key) subject() Subject { return Subject{"group", k.id} }

// arrive lets some requests come, often more of one key to one replica.
func (w *world) arrive() {
	m := w.some()
	if m == nil {
		return
	}
	k := w.keys[w.IntN(len(w.keys))]
	if len(w.old) > 0 && w.chance(0.03) {
		k = w.old[w.IntN(len(w.old))]
	}
	for range 1 + w.IntN(6) {
		if w.calls >= maxCalls {
			return
		}
		w.request(m, k)
	}
}

func (w *world) request(m *member, k *key) *modelRequest {
	c := &modelRequest{key: k, began: w.now, most: k.most(), revoked: k.revoked}
	t := w.spawn(m, func() { m.handle(c) })
	t.call = c
	w.calls++
	if !w.now.Before(m.paused) {
		w.resume(t)
	}
	return c
}

// handle is what the guard does.
func (m *member) handle(c *modelRequest) {
	w, ctx := m.w, context.Background()
	var asOf int64
	a, err := m.records.Get(ctx, c.key.id, func(context.Context) (account, error) {
		asOf = m.replica.Applied()
		a, err := m.port.load(c.key.id)
		a.limit = a.limit<<20 | asOf // travels with the record
		return a, err
	})
	if err != nil {
		w.unavailable(m, c, err)
		return
	}
	if a.revoked {
		if !w.shop.accounts[c.key.id].revoked {
			w.failf("a key was refused that is not revoked")
		}
		return
	}
	if w.chance(0.03) { // held up between what it knows and what it takes
		longest := prompt
		if w.faulty() {
			longest = 3 * time.Second
		}
		m.wait(ctx, nil, time.Duration(w.IntN(int(longest))))
	}
	m.take(c, Limit{Calls: a.limit >> 20, AsOf: a.limit & (1<<20 - 1)})
}

func (m *member) take(c *modelRequest, limit Limit) {
	w := m.w
	for {
		meter, now := m.ledger.meter(c.key.subject()), m.ledger.opt.Now()
		state, wt, ok, err := meter.take(limit, now)
		if !ok {
			continue
		}
		if wt != nil {
			w.park(&op{name: "credit", ch: wt.done, waiter: wt})
			state, err = meter.await(context.Background(), wt, now)
		}
		w.judge(m, c, &Charge{meter: meter, state: state, held: err == nil}, err)
		return
	}
}

// judge holds an outcome against the promises.
func (w *world) judge(m *member, c *modelRequest, charge *Charge, err error) {
	k, window := c.key, charge.state.window
	switch {
	case err == nil:
		k.count[window]++
		w.tally.Admitted++
		w.note("replica %d lets key %s in: %d in window %d", m.name, k.id, k.count[window], window)
		late := c.most > k.most()
		if late {
			k.late[window]++
		}
		counted := k.count[window]
		if !late {
			counted -= k.late[window]
		}
		if counted > c.most {
			w.failf("%d calls of key %s let in under a limit of %d", k.count[window], k.id, c.most)
		}
		if c.revoked {
			w.failf("a call of key %s was let in that began after its revocation was confirmed", k.id)
		}
		w.under = append(w.under, &served{m, k, charge, late})
	case errs.KindOf(err) == errs.KindRateLimited:
		w.tally.Refused++
		w.note("replica %d refuses key %s: %d in window %d", m.name, k.id, k.count[window], window)
		if w.weather != stormy && w.now.Sub(k.loose) > believed {
			if n := w.unspent(k, window); n > 0 {
				w.failf("a call of key %s was refused while %d credits are unspent, %d let in of %d", k.id, n, k.count[window], k.most())
			}
		}
	default:
		w.unavailable(m, c, err)
	}
}

func (w *world) unavailable(m *member, c *modelRequest, err error) {
	w.tally.Unavailable++
	w.note("replica %d can't answer key %s: %v", m.name, c.key.id, err)
	if w.weather != stormy {
		w.failf("a call was not answered without any fault: %v", err)
	}
}

// unspent is how many credits of a window no call has, nor is about to get. Where they are, nobody knows.
func (w *world) unspent(k *key, window int64) int64 {
	n := w.shop.row(k.id, window).lim - k.count[window]
	for _, t := range w.tasks {
		if t.op == nil {
			continue
		}
		if wt := t.op.waiter; wt != nil && t.call.key == k && wt.granted && wt.state.window == window {
			n--
		}
		for _, e := range t.op.entries {
			if e.subject.ID == k.id && e.window == window && t.op.done > 0 {
				n -= min(e.granted, e.need)
			}
		}
	}
	return n
}

// finish answers a request; some cost nothing.
func (w *world) finish() {
	if len(w.under) == 0 {
		return
	}
	i := w.IntN(len(w.under))
	s := w.under[i]
	if w.now.Before(s.m.paused) {
		return
	}
	w.under = slices.Delete(w.under, i, i+1)
	if !w.chance(w.refunds) {
		s.charge.Settle(200)
		return
	}
	s.key.count[s.charge.state.window]--
	if s.late {
		s.key.late[s.charge.state.window]--
	}
	s.key.loose = w.now
	s.charge.Settle(304)
	w.note("replica %d gives a credit of key %s back", s.m.name, s.key.id)
}

// --- changes

// change has a replica revoke a key, change its limit, or its name.
func (w *world) change() {
	m := w.some()
	if m == nil || w.now.Before(m.paused) {
		return
	}
	i := w.IntN(len(w.keys))
	k := w.keys[i]
	revoke, limit := w.chance(0.3), k.limits[len(k.limits)-1]
	if w.changes && w.chance(0.7) {
		limit = w.limit()
	}
	if revoke {
		w.old = append(w.old, k)
		w.keys[i] = w.addKey()
		w.keys = w.keys[:len(w.keys)-1]
	}
	t := w.spawn(m, func() { m.commit(k, revoke, limit) })
	t.busy = true
	w.resume(t)
	if w.chance(0.8) { // calls of a revoked key go on coming
		for range w.IntN(3) {
			w.request(m, k)
		}
	}
}

func (m *member) commit(k *key, revoke bool, limit int64) {
	w := m.w
	var n int64
	index := 0
	err := m.port.send("commit", false, func() {
		a := w.shop.accounts[k.id]
		a.revoked, a.limit = a.revoked || revoke, limit
		n = w.shop.log(lease.Change{Kind: "api_key", Group: "group", ID: k.id})
		k.limits, index = append(k.limits, limit), len(k.limits)
		if limit != k.limits[len(k.limits)-2] {
			k.loose = w.now
		}
		for _, t := range w.tasks {
			if t.call != nil && t.call.key == k {
				t.call.most = max(t.call.most, limit)
			}
		}
	})
	if err != nil {
		return
	}
	began := w.now
	c := m.replica.Confirm(context.Background(), n)
	w.note("change %d is confirmed by %d of %d after %s", n, c.Confirmed, c.Replicas, c.Took)
	k.since = max(k.since, index)
	if w.weather != stormy && w.now.Sub(began) >= lease.Outwait {
		w.failf("change %d took %s to be confirmed without any fault", n, w.now.Sub(began))
	}
	if revoke {
		k.revoked = true
		w.tally.Revoked++
		for _, m := range w.members { // at once, and everywhere
			if !m.leaving {
				w.after(m, k)
			}
		}
	}
}

// after lets a request begin right after what happens now.
func (w *world) after(m *member, k *key) {
	c := &modelRequest{key: k, began: w.now, most: k.most(), revoked: k.revoked}
	w.spawn(m, func() { m.handle(c) }).call = c
	w.calls++
}

// drain ends the faults: then every call ends, and a credit nobody has spent is there for the next call.
func (w *world) drain() {
	w.calm = true
	for _, m := range w.members {
		m.paused = time.Time{}
	}
	w.settleDown(20 * time.Second)
	if w.fault == "" && w.calls > 0 {
		w.failf("%d calls hang", w.calls)
	}
	if w.fault != "" || w.weather == stormy {
		return
	}
	for _, k := range w.keys {
		w.probe(k)
	}
}

func (w *world) settleDown(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end) && w.fault == ""; {
		w.now = w.now.Add(50 * time.Millisecond)
		w.keepUp()
	}
}

// probe calls once more.
func (w *world) probe(k *key) {
	m := w.some()
	if m == nil {
		return
	}
	meter := m.ledger.meter(k.subject())
	window := meter.windowAt(m.ledger.opt.Now())
	left, admitted := k.most()-k.count[window], w.tally.Admitted
	w.request(m, k)
	w.settleDown(4 * time.Second)
	if w.fault == "" && (left > 0) != (w.tally.Admitted > admitted) && meter.window == window {
		w.failf("a call of key %s with %d left in the window: let in is %v", k.id, left, w.tally.Admitted > admitted)
	}
}

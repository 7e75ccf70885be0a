package auth

import (
	"context"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/lease"
	"carfluence/internal/quota"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// replica is one server of several on a database.
type replica struct {
	house
	lease  *lease.Replica
	ledger *quota.Ledger
	stop   func() // in order
	kill   func() // it beats no more, and settles no more
}

// replicas are servers on one database, each with its own connections. notices says that they hear of changes at
// once, as by LISTEN, else with their next beat.
func replicas(t *testing.T, n int, notices bool) []*replica {
	t.Helper()
	place := sqldbtest.New(t)
	all := make([]*replica, n)
	var wake atomic.Bool
	wakeAll := func(context.Context) {
		if wake.Load() {
			for _, r := range all {
				r.lease.Wake()
			}
		}
	}
	for i := range all {
		all[i] = newReplica(t, place, wakeAll)
	}
	wake.Store(notices)
	group, err := NewGroups(all[0].db, time.Now).Add(t.Context(), audit.System("test"), "Test Group")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		r.group = group
	}
	all[0].admin = all[0].key("admin")
	for _, r := range all {
		r.admin = all[0].admin
		for r.lease.Count() != int64(n) {
			if err := r.authority.Beat(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

func newReplica(t *testing.T, place sqldbtest.Place, notify func(context.Context)) *replica {
	t.Helper()
	db := place.Open(t, sqldb.Accounts)
	log := slog.New(slog.DiscardHandler)
	r := &replica{lease: lease.New(lease.NewStore(db), lease.Options{Shared: true, Now: time.Now, Log: log, Notify: notify})}
	r.house = house{t: t, db: db}
	var err error
	if r.ledger, err = quota.New(db, quota.Options{Window: time.Hour, Now: r.lease.StoreNow, Log: log, Replica: r.lease}); err != nil {
		t.Fatal(err)
	}
	r.authority = NewSharedAuthority(r.lease, db, r.ledger, log)
	r.furnish(r.ledger, log)
	r.run()
	return r
}

func (r *replica) run() {
	var parts sync.WaitGroup
	beats, endBeats := context.WithCancel(context.Background())
	counts, endCounts := context.WithCancel(context.Background())
	parts.Go(func() { _ = r.authority.Run(beats) })
	parts.Go(func() { _ = r.ledger.Run(counts) })
	r.kill = endBeats
	r.stop = sync.OnceFunc(func() {
		endCounts()
		endBeats()
		parts.Wait()
		if err := r.authority.Stop(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(r.stop)
}

func (r *replica) read(text string) int {
	return r.do("GET", "/api/v1/read", "", "X-API-Key: "+text).StatusCode
}

// A limit is exact over all replicas, however the calls are spread.
func TestALimitIsExactOverReplicas(t *testing.T) {
	spreads := map[string]func(i int) int{
		"even":       func(i int) int { return i % 3 },
		"skewed":     func(int) int { return 0 },
		"mostly one": func(i int) int { return max(0, i%12-9) },
	}
	for name, spread := range spreads {
		t.Run(name, func(t *testing.T) {
			all := replicas(t, 3, true)
			_, text := all[0].keyOf(all[0].group.ID, 1000, "inventory:read")
			var let, refused atomic.Int64
			next := make(chan int)
			var clients sync.WaitGroup
			for range 64 {
				clients.Go(func() {
					for i := range next {
						switch status := all[spread(i)].read(text); status {
						case 200:
							let.Add(1)
						case 429:
							refused.Add(1)
						default:
							t.Errorf("status %d", status)
						}
					}
				})
			}
			for i := range 5000 {
				next <- i
			}
			close(next)
			clients.Wait()
			if let.Load() != 1000 || refused.Load() != 4000 {
				t.Errorf("%d let in and %d refused of 5000 under a limit of 1000", let.Load(), refused.Load())
			}
		})
	}
}

// What one replica has in hand is not lost to the calls of another.
func TestCreditsElsewhereAreCalledIn(t *testing.T) {
	all := replicas(t, 3, false)
	_, text := all[0].keyOf(all[0].group.ID, 100, "inventory:read")
	for range 40 {
		all[0].read(text)
	}
	let := 0
	for all[1].read(text) == 200 {
		let++
	}
	if let != 60 {
		t.Errorf("%d of the 60 calls left were let in", let)
	}
	for _, r := range all {
		if status := r.read(text); status != 429 {
			t.Errorf("after the limit: %d", status)
		}
	}
}

// No request that begins after a revocation was answered succeeds, on any replica.
func TestRevocationsAreInForceEverywhereWhenAnswered(t *testing.T) {
	all := replicas(t, 3, true)
	keys := 1000
	if testing.Short() {
		keys = 200
	}
	next := make(chan int)
	var clients sync.WaitGroup
	var slowest atomic.Int64
	for range 16 {
		clients.Go(func() {
			for i := range next {
				at := all[i%3]
				k, text := at.keyOf(at.group.ID, 1000, "inventory:read")
				for _, r := range all {
					if status := r.read(text); status != 200 {
						t.Errorf("before: %d", status)
					}
				}
				began := time.Now()
				if a := at.do("DELETE", "/api/v1/api-keys/"+k.ID, "", "X-API-Key: "+at.admin); a.StatusCode != 204 {
					t.Errorf("revoke: %d %s", a.StatusCode, a.body)
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
				for _, r := range all {
					if status := r.read(text); status != 401 {
						t.Errorf("after: %d", status)
					}
				}
			}
		})
	}
	for i := range keys {
		next <- i
	}
	close(next)
	clients.Wait()
	t.Logf("the slowest of %d took %s", keys, time.Duration(slowest.Load()))
}

var confirmedForm = regexp.MustCompile(`^(\d+);of=(\d+);ms=(\d+)$`)

// confirmed reads the header that says how a change came into force.
func confirmed(t *testing.T, a answer) (by, of, ms int) {
	t.Helper()
	m := confirmedForm.FindStringSubmatch(a.Header.Get("Carfluence-Confirmed"))
	if m == nil {
		t.Fatalf("%s %d: confirmed %q", a.body, a.StatusCode, a.Header.Get("Carfluence-Confirmed"))
	}
	by, _ = strconv.Atoi(m[1])
	of, _ = strconv.Atoi(m[2])
	ms, _ = strconv.Atoi(m[3])
	return by, of, ms
}

// An answer says who confirmed. A replica that beats no more is waited for as long as its lease may last, and lets
// nobody in afterwards; one that has left is not waited for.
func TestAChangeWaitsForReplicasThatMayStillLetCallersIn(t *testing.T) {
	all := replicas(t, 3, true)
	at := all[0]
	revoke := func() (text string, by, of, ms int) {
		k, text := at.keyOf(at.group.ID, 1000, "inventory:read")
		for _, r := range all[:2] {
			r.read(text)
		}
		by, of, ms = confirmed(t, at.do("DELETE", "/api/v1/api-keys/"+k.ID, "", "X-API-Key: "+at.admin))
		return text, by, of, ms
	}
	if _, by, of, ms := revoke(); by != 3 || of != 3 || ms > 1500 {
		t.Errorf("confirmed by %d of %d in %d ms", by, of, ms)
	}
	all[2].stop()
	if _, by, of, ms := revoke(); by != 2 || of != 2 || ms > 1500 {
		t.Errorf("with one replica gone in order: confirmed by %d of %d in %d ms", by, of, ms)
	}
	k, text := at.keyOf(at.group.ID, 1000, "inventory:read")
	all[1].read(text)
	all[1].kill()
	time.Sleep(50 * time.Millisecond) // its last beat
	by, of, ms := confirmed(t, at.do("DELETE", "/api/v1/api-keys/"+k.ID, "", "X-API-Key: "+at.admin))
	if by != 1 || of != 2 || ms < 2000 || ms > 3000 {
		t.Errorf("with one replica stuck: confirmed by %d of %d in %d ms", by, of, ms)
	}
	if status := all[1].read(text); status != 401 {
		t.Errorf("a replica that had not heard of it: %d", status)
	}
}

// Every change of who may do what says how it came into force, as its operation declares.
func TestChangesSayHowTheyCameIntoForce(t *testing.T) {
	h := newHouse(t)
	k, _ := h.keyOf(h.group.ID, 1000, "inventory:read")
	admin := "X-API-Key: " + h.admin
	for _, a := range []answer{
		h.do("POST", "/api/v1/api-keys", `{"name":"n","scopes":["inventory:read"]}`, admin),
		h.do("PATCH", "/api/v1/api-keys/"+k.ID, `{"rateLimitPerHour":5}`, admin),
		h.do("DELETE", "/api/v1/api-keys/"+k.ID, "", admin),
	} {
		if by, of, _ := confirmed(t, a); by != 1 || of != 1 {
			t.Errorf("confirmed by %d of %d", by, of)
		}
	}
	if a := h.do("DELETE", "/api/v1/api-keys/"+k.ID, "", admin); a.StatusCode != 404 || a.Header.Get("Carfluence-Confirmed") != "" {
		t.Errorf("%d, confirmed %q", a.StatusCode, a.Header.Get("Carfluence-Confirmed"))
	}
}

// A replica that is gone is forgotten after ten seconds; one that comes back begins anew.
func TestAReplicaThatIsGoneIsTakenOut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	all := replicas(t, 2, true)
	gone := all[1]
	_, text := all[0].keyOf(all[0].group.ID, 1000, "inventory:read")
	gone.read(text)
	gone.kill()
	for end := time.Now().Add(15 * time.Second); all[0].lease.Count() != 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still registered")
		}
	}
	k, revoked := all[0].keyOf(all[0].group.ID, 1000, "inventory:read")
	if by, of, _ := confirmed(t, all[0].do("DELETE", "/api/v1/api-keys/"+k.ID, "", "X-API-Key: "+all[0].admin)); by != 1 || of != 1 {
		t.Errorf("confirmed by %d of %d", by, of)
	}
	if a, b := gone.read(text), gone.read(revoked); a != 200 || b != 401 {
		t.Errorf("the replica that came back answers %d and %d", a, b)
	}
	if n := gone.lease.Count(); n != 2 {
		t.Errorf("%d replicas after one came back", n)
	}
}

// One beat is one statement, and nobody's hanging up fails it.
func TestCallersShareABeat(t *testing.T) {
	all := replicas(t, 1, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := all[0].authority.Beat(ctx); err == nil {
		t.Error("a beat for nobody")
	}
	var beats int64
	read := func() (n int64) {
		if err := all[0].db.QueryRow(t.Context(), `SELECT beats FROM replica`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	all[0].kill()
	time.Sleep(50 * time.Millisecond)
	beats = read()
	err := all[0].db.Transact(t.Context(), func(*sqldb.DB) error { // the beat that runs first waits for this
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				if err := all[0].authority.Beat(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		t.Cleanup(callers.Wait)
		time.Sleep(200 * time.Millisecond)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); read() < beats+2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	if n := read() - beats; n != 2 { // the one that ran, and one for all who asked meanwhile
		t.Errorf("%d beats for 50 callers at once", n)
	}
}

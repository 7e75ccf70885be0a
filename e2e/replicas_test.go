package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The limit that replicas share, and the calls that are driven against it.
const (
	sharedLimit = 1000
	sharedCalls = 5000
	// surplus is the most that one of three replicas has in hand of a window of sharedLimit: a grant holds, beyond the
	// calls that wait for it, at most 1/(4·3) of what is left.
	surplus = sharedLimit / (4 * 3)
)

var (
	evenly = []int{sharedCalls / 3, sharedCalls / 3, sharedCalls - 2*(sharedCalls/3)}
	skewed = []int{sharedCalls, 0, 0}
)

// key makes a key with the shared limit, of which one call is spent.
func (rs *replicas) key() string {
	rs.t.Helper()
	return freshKey(rs.t, rs.all[0], rs.admin, sharedLimit)
}

// within checks that no more calls succeeded than the limit has left for them, and no fewer but for a surplus and
// those whose answers were lost.
func (rs *replicas) within(what string, sum *spent, surplus int64) {
	rs.t.Helper()
	rs.t.Logf("%s: %s", what, sum)
	ok, unknown := sum.ok.Load()+1, sum.lost.Load()+sum.unavailable.Load() // the key's first call
	if ok > sharedLimit || ok+unknown < sharedLimit-surplus {
		rs.t.Errorf("%s: %s, under a limit of %d of which 1 was spent", what, sum, sharedLimit)
	}
}

func TestPostgreSQLReplicasShareALimitExactly(t *testing.T) {
	rs := serveReplicas(t, nil)
	for name, calls := range map[string][]int{"evenly": evenly, "all to one": skewed} {
		for range rounds(2, 10) {
			sum := rs.spend(rs.key(), calls, 64/len(rs.all), nil)
			if sum.ok.Load()+1 != sharedLimit || sum.refused.Load() != sharedCalls-sharedLimit+1 {
				t.Errorf("%s: %s, want exactly %d in all", name, sum, sharedLimit)
			}
		}
	}
	for _, s := range rs.all {
		s.stop()
	}
}

// A dead replica takes with it what it had in hand, and answers that were under way.
func TestPostgreSQLReplicasShareALimitWhenOneIsKilled(t *testing.T) {
	rs := serveReplicas(t, nil)
	for round := range rounds(1, 10) {
		dies := rs.all[1+round%2]
		rs.within("one killed", rs.spend(rs.key(), evenly, 20, dies.kill), surplus)
		rs.all[1+round%2] = rs.start(dies.data)
		rs.together()
	}
}

func TestPostgreSQLReplicasShareALimitWhenOneStands(t *testing.T) {
	rs := serveReplicas(t, nil)
	for round := range rounds(1, 10) {
		stands, key := rs.all[round%3], rs.key()
		var goOn sync.WaitGroup
		sum := rs.spend(key, evenly, 20, func() {
			resume := stands.pause()
			goOn.Go(func() { time.Sleep(5 * time.Second); resume() })
		})
		goOn.Wait()
		late := rs.spend(key, []int{200, 200, 200}, 10, nil) // also on what the one that stood still had in hand
		sum.add(late)
		rs.within("one stopped for 5 s", sum, surplus)
		rs.together()
	}
}

// Lost answers cost credits, and connections, but nothing is let in twice.
func TestPostgreSQLReplicasShareALimitWhenAnswersOfTheDatabaseAreLostOrLate(t *testing.T) {
	var all []*flaky
	rs := serveReplicas(t, func(database string) string {
		all = append(all, newFlaky(t, database))
		return all[len(all)-1].url()
	})
	turn := func(on bool) {
		for _, f := range all {
			f.on.Store(on)
		}
	}
	for range rounds(3, 20) {
		key := rs.key()
		turn(true)
		sum := rs.spend(key, evenly, 20, nil)
		turn(false)
		rs.within("answers lost or late", sum, sharedLimit)
		rs.together()
	}
	var lost, late int64
	for _, f := range all {
		lost, late = lost+f.lost.Load(), late+f.late.Load()
	}
	t.Logf("%d answers lost, %d late", lost, late)
	if lost == 0 || late == 0 {
		t.Error("the database was not flaky")
	}
}

// What a revocation takes at most, with a replica that does not answer; 100 ms of 99 in 100 is what is aimed at while
// all do.
const slowestChange = 2500 * time.Millisecond

// revoke makes keys and revokes them under fire, 16 at a time, and returns how long each revocation took. The changes
// are asked of these replicas; the keys are used on all.
func (rs *replicas) revoke(keys int, at []*server, faults bool) []time.Duration {
	rs.t.Helper()
	times, confirming := make([]time.Duration, keys), make([]time.Duration, keys)
	var next, before, after atomic.Int64
	var clients sync.WaitGroup
	for range min(16, keys) {
		clients.Go(func() {
			for i := int(next.Add(1) - 1); i < keys; i = int(next.Add(1) - 1) {
				made := at[i%len(at)].must(201, "POST", "/api/v1/api-keys", `{"name":"to revoke","scopes":["inventory:read"],"rateLimitPerHour":1000000}`, rs.admin)
				key := "X-API-Key: " + made.text("key")
				f := &fire{want: http.StatusUnauthorized, faults: faults, ask: func(s *server) (reply, error) {
					return s.call("GET", "/api/v1/inventory?limit=1", "", key)
				}}
				r, took := rs.change(f, func() reply {
					return at[(i+1)%len(at)].must(204, "DELETE", "/api/v1/api-keys/"+made.text("id"), "", rs.admin)
				})
				by, of, said := rs.confirmed(r)
				times[i], confirming[i] = took, said
				if said > took || by > of || !faults && (by != len(rs.all) || of != len(rs.all)) {
					rs.t.Errorf("revoked in %s, confirmed by %d of %d in %s", took, by, of, said)
				}
				before.Add(f.before.Load())
				after.Add(f.after.Load())
			}
		})
	}
	clients.Wait()
	slices.Sort(times)
	slices.Sort(confirming)
	rs.t.Logf("%d revocations: median %s, p99 %s, slowest %s, of which the confirmation %s, %s and %s; %d calls before, %d after", keys,
		at50(times), at99(times), times[keys-1].Round(time.Millisecond), at50(confirming), at99(confirming), confirming[keys-1], before.Load(), after.Load())
	if times[keys-1] > slowestChange {
		rs.t.Errorf("a revocation took %s", times[keys-1])
	}
	return times
}

func at50(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2].Round(time.Millisecond) }
func at99(sorted []time.Duration) time.Duration {
	return sorted[len(sorted)*99/100].Round(time.Millisecond)
}

// No call that begins after a revocation was answered succeeds, on any replica.
func TestPostgreSQLRevocationsAreInForceOnEveryReplica(t *testing.T) {
	rs := serveReplicas(t, nil)
	rs.revoke(rounds(160, 1000), rs.all, false)

	t.Run("notices are cut", func(t *testing.T) {
		stop := rs.cutNotices()
		rs.revoke(rounds(48, 320), rs.all, false)
		t.Logf("%d connections cut", stop())
	})
	t.Run("one replica stands", func(t *testing.T) {
		for round := range rounds(1, 5) {
			stands, others := rs.without(round % 3)
			var ended sync.WaitGroup
			resume := rs.pauseAmidChanges(stands, &ended)
			ended.Go(func() { time.Sleep(5 * time.Second); resume() })
			rs.revoke(32, others, true)
			ended.Wait()
			rs.together()
		}
	})
	t.Run("one replica is dead", func(t *testing.T) {
		for round := range rounds(1, 5) {
			dead, others := rs.without(1 + round%2)
			dead.kill()
			rs.revoke(32, others, true)
			rs.all[1+round%2] = rs.start(dead.data)
			rs.together()
		}
	})
}

// pauseAmidChanges stops a replica while it makes changes, so that none may wait for what it has under way.
func (rs *replicas) pauseAmidChanges(s *server, calls *sync.WaitGroup) (resume func()) {
	rs.t.Helper()
	end := time.Now().Add(300 * time.Millisecond)
	for range 8 {
		calls.Go(func() {
			for time.Now().Before(end) {
				_, _ = s.call("POST", "/api/v1/api-keys", `{"name":"test","scopes":["inventory:read"]}`, rs.admin)
			}
		})
	}
	time.Sleep(time.Until(end) - 20*time.Millisecond)
	return s.pause()
}

// without is one replica, and the others.
func (rs *replicas) without(i int) (one *server, others []*server) {
	return rs.all[i], slices.Delete(slices.Clone(rs.all), i, i+1)
}

// right is something callers may do, and the change that ends it.
type right struct {
	ask  func(*server) (reply, error)
	want int // status once the change is answered
	end  func() reply
}

// What holds of revocations holds of every change of who may do what.
func TestPostgreSQLChangesAreInForceOnEveryReplica(t *testing.T) {
	rs := serveReplicas(t, nil)
	get := func(path, credential string) func(*server) (reply, error) {
		return func(s *server) (reply, error) { return s.call("GET", "/api/v1"+path, "", credential) }
	}
	key := func(s *server, scopes string) (id, key string) {
		r := s.must(201, "POST", "/api/v1/api-keys", `{"name":"test","scopes":`+scopes+`,"rateLimitPerHour":100000}`, rs.admin)
		return r.text("id"), "X-API-Key: " + r.text("key")
	}
	people := 0
	person := func(s *server) (id, token string) {
		people++
		email := fmt.Sprintf("person%d@example.com", people)
		r := s.must(201, "POST", "/api/v1/users", fmt.Sprintf(`{"email":%q,"name":"Jane Doe","role":"admin","password":%q}`, email, adminPassword), rs.admin)
		in := s.must(200, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, adminPassword))
		return r.text("user.id"), "Authorization: Bearer " + in.text("token")
	}
	patch := func(s *server, path, body string) func() reply {
		return func() reply { return s.must(200, "PATCH", "/api/v1"+path, body, rs.admin) }
	}
	for name, of := range map[string]func(made, ended *server) right{
		"scopes of a key": func(made, ended *server) right {
			id, key := key(made, `["inventory:read","dealers:read"]`)
			return right{get("/inventory?limit=1", key), 403, patch(ended, "/api-keys/"+id, `{"scopes":["dealers:read"]}`)}
		},
		"limit of a key": func(made, ended *server) right {
			id, key := key(made, `["inventory:read"]`)
			return right{get("/inventory?limit=1", key), 429, patch(ended, "/api-keys/"+id, `{"rateLimitPerHour":1}`)}
		},
		"disabled person": func(made, ended *server) right {
			id, token := person(made)
			return right{get("/auth/me", token), 401, patch(ended, "/users/"+id, `{"status":"disabled"}`)}
		},
		"role": func(made, ended *server) right {
			id, token := person(made)
			return right{get("/users?limit=1", token), 403, patch(ended, "/users/"+id, `{"role":"viewer"}`)}
		},
		"session": func(made, ended *server) right {
			_, token := person(made)
			return right{get("/auth/me", token), 401, func() reply { return ended.must(204, "POST", "/api/v1/auth/logout", "", token) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			times := []time.Duration{}
			for i := range rounds(4, 20) {
				right := of(rs.all[i%3], rs.all[(i+1)%3])
				r, took := rs.change(&fire{ask: right.ask, want: right.want}, right.end)
				if by, of, said := rs.confirmed(r); by != 3 || of != 3 || said > took || took > slowestChange {
					t.Errorf("took %s, confirmed by %d of %d in %s", took, by, of, said)
				}
				times = append(times, took)
			}
			slices.Sort(times)
			t.Logf("median %s, slowest %s", at50(times), times[len(times)-1].Round(time.Millisecond))
		})
	}
}

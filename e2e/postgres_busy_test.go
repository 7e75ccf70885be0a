package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// besides is how many connections a server takes for locks that outlast transactions, see docs/operating.md.
const besides = 7

// TestPostgreSQLPoolExhausted has a lock in the database hold up every writer, with few connections and many requests:
// quick refusals and no pile-up, what needs no connection goes on, and all goes on when the lock is gone.
func TestPostgreSQLPoolExhausted(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "an embedded store has no pool of connections")
	const connections, requests, wait = 4, 200, time.Second
	data := t.TempDir()
	s := serve(t, data, "--database-connections", fmt.Sprint(connections), "--database-wait", wait.String())
	admin := s.login()
	key := s.key(admin, 1_000_000, "inventory:read", "inventory:write")
	put := func(n int) (reply, time.Duration) {
		begun := time.Now()
		r, err := s.call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"1.00"}`, vinOf("7FT", n)), key)
		if err != nil {
			t.Error(err)
			return reply{}, 0
		}
		return r, time.Since(begun)
	}
	if r, _ := put(0); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	watch := administer(t, databasesOf(t, data).accounts)
	lock, err := administer(t, databasesOf(t, data).accounts).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `LOCK TABLE stock.vehicle IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}

	var all sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	stop := make(chan struct{})
	most := mostConnections(t, watch, stop)
	for n := range requests {
		all.Go(func() {
			r, took := put(n)
			if r.Response == nil || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
		})
	}
	time.Sleep(wait / 4)
	for _, path := range []string{"/healthz", "/api/v1/auth/me", "/api/v1/api-keys"} { // which wait for nobody's vehicles
		begun := time.Now()
		s.must(200, "GET", path, "", admin)
		if took := time.Since(begun); took > wait/2 {
			t.Errorf("%s: answered after %v", path, took)
		}
	}
	all.Wait()
	close(stop)
	n := <-most
	t.Logf("the slowest refusal took %v; at most %d connections", ms(slowest), n)
	if slowest > wait+500*time.Millisecond {
		t.Errorf("a refusal took %v, want little more than %v", slowest, wait)
	}
	if n > connections+besides {
		t.Errorf("%d connections, want at most %d", n, connections+besides)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if r, took := put(n); r.StatusCode > 201 || took > wait {
			t.Errorf("with the lock gone: %d after %v", r.StatusCode, took)
		}
	}
	s.stop()
}

// mostConnections counts the program's connections to the stock until it is told to stop.
func mostConnections(t *testing.T, watch *pgx.Conn, stop <-chan struct{}) <-chan int {
	most := make(chan int, 1)
	go func() {
		highest := 0
		for {
			var n int
			if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'carfluence stock'`).Scan(&n); err != nil {
				t.Error(err)
			}
			highest = max(highest, n)
			select {
			case <-stop:
				most <- highest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return most
}

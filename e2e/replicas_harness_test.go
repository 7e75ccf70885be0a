package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"carfluence/internal/sqldb/sqldbtest"
)

// replicas are servers on one database.
type replicas struct {
	t        *testing.T
	database string
	all      []*server
	admin    string // Authorization header
}

// serveReplicas starts three servers on a new database and waits until each counts on the others. reach gives the
// URL by which each of them goes to the database; nil for the database's own.
func serveReplicas(t *testing.T, reach func(database string) string) *replicas {
	t.Helper()
	rs := &replicas{t: t, database: sqldbtest.Empty(t), all: make([]*server, 3)}
	var starts sync.WaitGroup
	for i := range rs.all {
		folder, database := t.TempDir(), rs.database
		if reach != nil {
			database = reach(database)
		}
		databases{accounts: database}.place(folder)
		starts.Go(func() { rs.all[i] = rs.start(folder) })
	}
	starts.Wait()
	for _, s := range rs.all {
		if s == nil {
			t.FailNow()
		}
	}
	rs.admin = rs.all[0].login()
	rs.together()
	return rs
}

func (rs *replicas) start(folder string) *server {
	cmd := exec.Command(binary, "serve", "--session-rate-per-hour", "1000000", "--anonymous-rate-per-hour", "0", "--log-level", "warn")
	cmd.Env = environment(rs.t, folder)
	return launch(rs.t, cmd, folder)
}

// together waits until a change is confirmed by all replicas, and none that is gone.
func (rs *replicas) together() {
	rs.t.Helper()
	eventually(rs.t, "all replicas confirm a change", time.Minute, func() bool {
		r := rs.all[0].must(201, "POST", "/api/v1/api-keys", `{"name":"together","scopes":["inventory:read"]}`, rs.admin)
		by, of, _ := rs.confirmed(r)
		return by == len(rs.all) && of == len(rs.all)
	})
}

var confirmedForm = regexp.MustCompile(`^(\d+);of=(\d+);ms=(\d+)$`)

// confirmed reads the header that says how a change came into force.
func (rs *replicas) confirmed(r reply) (by, of int, took time.Duration) {
	rs.t.Helper()
	m := confirmedForm.FindStringSubmatch(r.Header.Get("Carfluence-Confirmed"))
	if m == nil {
		rs.t.Errorf("%d %s: confirmed %q", r.StatusCode, r.body, r.Header.Get("Carfluence-Confirmed"))
		return 0, 0, 0
	}
	by, _ = strconv.Atoi(m[1])
	of, _ = strconv.Atoi(m[2])
	ms, _ := strconv.Atoi(m[3])
	return by, of, time.Duration(ms) * time.Millisecond
}

// pause stops a server's process, with its connections open, and returns what lets it go on.
func (s *server) pause() (goOn func()) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
}

// flaky stands between servers and the database. Once it is on, answers come late, or never: their connection is
// cut after the statement went through.
type flaky struct {
	database *pgx.ConnConfig
	at       string // its own address
	on       atomic.Bool
	lost     atomic.Int64
	late     atomic.Int64
}

// How often an answer of the database is lost or late, and how late; it may be later than what replicas wait.
const (
	lostOneIn   = 60
	lateOneIn   = 60
	latest      = 3 * time.Second
	usuallyLate = 5 * time.Millisecond
)

// newFlaky opens a port of its own in front of the database.
func newFlaky(t *testing.T, database string) *flaky {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{database: config, at: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.carry(conn)
		}
	}()
	return f
}

// url leads to the database through the port.
func (f *flaky) url() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(f.database.User, f.database.Password), Host: f.at, Path: "/" + f.database.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (f *flaky) carry(client net.Conn) {
	defer client.Close()
	network, address := pgconn.NetworkAddress(f.database.Host, f.database.Port)
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || !f.deliver() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// deliver tells whether an answer reaches who waits for it, and takes its time.
func (f *flaky) deliver() bool {
	switch {
	case !f.on.Load():
	case rand.IntN(lostOneIn) == 0:
		f.lost.Add(1)
		return false
	case rand.IntN(lateOneIn) == 0:
		f.late.Add(1)
		time.Sleep(rand.N(latest))
	default:
		time.Sleep(rand.N(usuallyLate))
	}
	return true
}

// spent is what calls came to.
type spent struct {
	ok, refused atomic.Int64
	unavailable atomic.Int64 // 503: not counted by whom answered, but perhaps in the database
	lost        atomic.Int64 // they were under way when their server was killed, and may have been counted
}

// spend sends a number of calls to each replica, from the same number of clients each, all at once. During it the
// event happens, once, when so many calls have succeeded that the window is well under way.
func (rs *replicas) spend(key string, calls []int, clients int, event func()) *spent {
	sum := &spent{}
	var once sync.Once
	var wg sync.WaitGroup
	for i, s := range rs.all {
		left := &atomic.Int64{}
		left.Store(int64(calls[i]))
		for range clients {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					sum.count(rs.t, s, key)
					if event != nil && sum.ok.Load() >= eventAfter {
						once.Do(event)
					}
				}
			})
		}
	}
	wg.Wait()
	return sum
}

const eventAfter = 300

func (sum *spent) count(t *testing.T, s *server, key string) {
	r, err := s.call("GET", "/api/v1/inventory?limit=1", "", key)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
	case err != nil:
		sum.lost.Add(1)
	case r.StatusCode == http.StatusOK:
		sum.ok.Add(1)
	case r.StatusCode == http.StatusTooManyRequests:
		sum.refused.Add(1)
	case r.StatusCode == http.StatusServiceUnavailable:
		sum.unavailable.Add(1)
	default:
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func (sum *spent) add(o *spent) {
	sum.ok.Add(o.ok.Load())
	sum.refused.Add(o.refused.Load())
	sum.unavailable.Add(o.unavailable.Load())
	sum.lost.Add(o.lost.Load())
}

func (sum *spent) String() string {
	return fmt.Sprintf("%d calls succeeded, %d were refused, %d unavailable, %d lost", sum.ok.Load(), sum.refused.Load(), sum.unavailable.Load(), sum.lost.Load())
}

// cutNotices ends the connections on which replicas hear of changes, again and again, until stop.
func (rs *replicas) cutNotices() (stop func() (cut int)) {
	rs.t.Helper()
	conn, err := pgx.Connect(rs.t.Context(), sqldbtest.AdminURL(rs.database))
	if err != nil {
		rs.t.Fatal(err)
	}
	end, done := make(chan struct{}), make(chan struct{})
	cut := 0
	go func() {
		defer close(done)
		defer conn.Close(rs.t.Context())
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			tag, err := conn.Exec(rs.t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'`)
			if err != nil {
				rs.t.Error(err)
				return
			}
			cut += int(tag.RowsAffected())
		}
	}()
	return func() int { close(end); <-done; return cut }
}

// fire sends calls to every replica, as fast as they are answered, with a pause in between, while a change is made
// that ends a right of theirs.
type fire struct {
	ask     func(s *server) (reply, error)
	want    int  // status of whoever begins after the change was answered
	faults  bool // replicas may be away: then calls may fail, but never succeed
	before  atomic.Int64
	after   atomic.Int64
	changed atomic.Bool
}

// Calls of each client after the change was answered, and the pause between two of its calls.
const (
	shotsAfter = 3
	betweenTwo = 3 * time.Millisecond
)

// change makes the change under fire and returns its answer, and how long that took.
func (rs *replicas) change(f *fire, do func() reply) (r reply, took time.Duration) {
	rs.t.Helper()
	var clients, warm sync.WaitGroup
	warm.Add(len(rs.all))
	for _, s := range rs.all {
		clients.Go(func() { f.shoot(rs.t, s, sync.OnceFunc(warm.Done)) })
	}
	if !f.faults {
		warm.Wait()
	}
	began := time.Now()
	r = do()
	took = time.Since(began)
	f.changed.Store(true)
	clients.Wait()
	return r, took
}

func (f *fire) shoot(t *testing.T, s *server, warm func()) {
	defer warm()
	for left := shotsAfter; left > 0; time.Sleep(betweenTwo) {
		after := f.changed.Load()
		r, err := f.ask(s)
		switch {
		case err != nil && f.faults:
		case err != nil:
			t.Error(err)
		case after && r.StatusCode != f.want && !(f.faults && r.StatusCode == http.StatusServiceUnavailable):
			t.Errorf("a call that began after the change was answered: %d %s", r.StatusCode, r.body)
		case after:
			f.after.Add(1)
		case r.StatusCode < 300:
			f.before.Add(1)
		}
		if warm(); after {
			left--
		}
	}
}

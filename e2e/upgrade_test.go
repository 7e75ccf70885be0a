package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carfluence/internal/sqldb/sqldbtest"
)

// nextMigrations are those of the version after this one.
var nextMigrations = map[string]string{
	"accounts/0901_key_mark.sql":                "ALTER TABLE api_key ADD COLUMN mark TEXT NOT NULL DEFAULT '';",
	"accounts/0902_contract_drop_key_index.sql": "DROP INDEX api_key_created;",
	"stock/0901_vehicle_mark.sql":               "ALTER TABLE vehicle ADD COLUMN mark TEXT NOT NULL DEFAULT '';",
	"stock/0902_index_vehicle_mark.sql":         "CREATE INDEX vehicle_mark ON vehicle (dealer_group_id, mark);",
	"stock/0903_contract_drop_mark.sql":         "ALTER TABLE vehicle DROP COLUMN mark;\nDROP INDEX vehicle_created;",
}

// buildNext builds the program with further migrations.
func buildNext(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	folder, err := filepath.Abs("../internal/sqldb/migrations")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for name, text := range nextMigrations {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(file, []byte("-- +goose Up\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(folder, name)] = file
	}
	overlay, _ := json.Marshal(map[string]any{"Replace": replace})
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "carfluence")
	if out, err := exec.Command("go", "build", "-overlay", list, "-o", program, "../cmd/carfluence").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// balancer sends requests in turn to the servers whose /readyz is 200, and to another one only when a connection was refused.
type balancer struct {
	mu    sync.Mutex
	all   map[string]bool // by URL: whether it is ready
	turn  int
	check http.Client
	send  http.Transport
}

// set replaces the server of a place; "" for none.
func (b *balancer) set(from, to string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, from)
	if to != "" {
		b.all[to] = false
	}
}

func (b *balancer) watch(stop <-chan struct{}) {
	for {
		b.mu.Lock()
		list := make([]string, 0, len(b.all))
		for server := range b.all {
			list = append(list, server)
		}
		b.mu.Unlock()
		for _, server := range list {
			r, err := b.check.Get(server + "/readyz")
			ready := err == nil && r.StatusCode == 200
			if err == nil {
				_ = r.Body.Close()
			}
			b.mu.Lock()
			if _, still := b.all[server]; still {
				b.all[server] = ready
			}
			b.mu.Unlock()
		}
		select {
		case <-stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ready are the servers to try, the next in turn first.
func (b *balancer) ready() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for server, ready := range b.all {
		if ready {
			list = append(list, server)
		}
	}
	if len(list) > 0 {
		b.turn++
		n := b.turn % len(list)
		list = append(list[n:], list[:n]...)
	}
	return list
}

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(r *http.Request) (res *http.Response, err error) {
	err = errors.New("no server is ready")
	for _, server := range b.ready() {
		to, _ := url.Parse(server)
		r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
		if res, err = b.send.RoundTrip(r); !errors.Is(err, syscall.ECONNREFUSED) {
			return res, err
		}
	}
	return nil, err
}

// front starts a balancer and returns it as a server that all requests go to.
func front(t *testing.T) (*balancer, *server) {
	t.Helper()
	b := &balancer{all: map[string]bool{}, check: http.Client{Timeout: 2 * time.Second}, send: http.Transport{MaxIdleConnsPerHost: 64}}
	stop := make(chan struct{})
	go b.watch(stop)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: b, Rewrite: func(*httputil.ProxyRequest) {}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}})
	t.Cleanup(func() { close(stop); proxy.Close(); b.send.CloseIdleConnections() })
	return b, &server{t: t, url: proxy.URL, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// traffic is what clients do the whole time; each call has to be answered as it should.
type traffic struct {
	answered atomic.Int64
	stop     chan struct{}
	wait     sync.WaitGroup
}

func (c *traffic) repeat(t *testing.T, pause time.Duration, call func(i int) (reply, error)) {
	c.wait.Go(func() {
		for i := 0; ; i++ {
			begun := time.Now()
			r, err := call(i)
			if err != nil || r.StatusCode != 200 && r.StatusCode != 201 {
				t.Errorf("%s: a call failed after %s: %v %s", begun.Format(time.TimeOnly), time.Since(begun).Round(time.Millisecond), err, r.body)
			}
			c.answered.Add(1)
			select {
			case <-c.stop:
				return
			case <-time.After(pause):
			}
		}
	})
}

// begin starts reads and writes, by keys and by sessions.
func begin(t *testing.T, s *server) *traffic {
	t.Helper()
	admin := s.login()
	key := s.key(admin, 1_000_000, "inventory:read", "inventory:write")
	c := &traffic{stop: make(chan struct{})}
	for w := range 2 {
		vin := func(i int) string { return vinOf("5FT", 1000*w+i%200) }
		c.repeat(t, 10*time.Millisecond, func(i int) (reply, error) {
			return s.call("POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"%d.00"}`, vin(i), 10_000+i), key)
		})
		s.must(201, "POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"1.00"}`, vinOf("6FT", w)), key)
		c.repeat(t, 10*time.Millisecond, func(i int) (reply, error) {
			return s.call("PATCH", "/api/v1/inventory/"+vinOf("6FT", w), fmt.Sprintf(`{"mileage":%d}`, i), key)
		})
		c.repeat(t, 5*time.Millisecond, func(i int) (reply, error) {
			return s.call("GET", fmt.Sprintf("/api/v1/inventory?limit=%d", 1+i%50), "", key)
		})
		c.repeat(t, 20*time.Millisecond, func(int) (reply, error) { return s.call("GET", "/api/v1/auth/me", "", admin) })
		c.repeat(t, 20*time.Millisecond, func(int) (reply, error) { return s.call("GET", "/api/v1/api-keys", "", admin) })
	}
	c.repeat(t, 200*time.Millisecond, func(int) (reply, error) {
		return s.call("POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword))
	})
	return c
}

func (c *traffic) end(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.wait.Wait()
	t.Logf("%d calls", c.answered.Load())
	if c.answered.Load() < 500 {
		t.Errorf("only %d calls were made", c.answered.Load())
	}
}

// run is carfluence by another version of the program.
func (d databases) run(t *testing.T, program string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = environment(t, d.folder(t))
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

// folder is a new data folder for them.
func (d databases) folder(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	d.place(data)
	return data
}

// TestPostgreSQLUpgradeUnderLoad rolls two servers to the next version, one of them back in between, and to the end.
func TestPostgreSQLUpgradeUnderLoad(t *testing.T) {
	d := databases{accounts: sqldbtest.Empty(t)}
	next := buildNext(t)
	b, all := front(t)
	folders, servers := [2]string{d.folder(t), d.folder(t)}, [2]*server{}
	roll := func(i int, program string) {
		t.Helper()
		old := ""
		if servers[i] != nil {
			old = servers[i].url
			servers[i].stop()
		}
		cmd := exec.Command(program, "serve", "--drain", "1s", "--public-url", "https://cars.example.com", "--anonymous-rate-per-hour", "0", "--session-rate-per-hour", "1000000")
		cmd.Env = environment(t, folders[i])
		servers[i] = launch(t, cmd, folders[i])
		b.set(old, servers[i].url)
		eventually(t, "the server is ready", 10*time.Second, func() bool { return len(b.ready()) == 2 || servers[1] == nil })
	}
	roll(0, binary)
	roll(1, binary)
	calls := begin(t, all)
	roll(0, next)
	if !strings.Contains(servers[0].logged(), "run carfluence migrate") {
		t.Errorf("the new server does not say what is left to do:\n%s", servers[0].logged())
	}
	roll(0, binary) // the way back
	roll(0, next)
	if out, code := d.run(t, next, "migrate"); code != 1 || !strings.Contains(out, "earlier version is at work") {
		t.Errorf("finished beside the version before: %d %s", code, out)
	}
	roll(1, next)
	if out, code := d.run(t, next, "migrate"); code != 0 {
		t.Errorf("migrate: %d %s", code, out)
	}
	roll(0, next)
	calls.end(t)
	if out, code := d.run(t, binary, "serve"); code != 1 || !strings.Contains(out, "a later version of the program has upgraded it for good") {
		t.Errorf("the version before starts: %d %s", code, out)
	}
	for _, s := range servers {
		s.stop()
	}
}

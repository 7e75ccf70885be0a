package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/auth"
	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// skewedServer runs a server on a database whose clock is off, and returns its URL.
func skewedServer(t *testing.T, database string, off time.Duration, window time.Duration) (*Server, string) {
	t.Helper()
	t.Setenv("CARFLUENCE_SECRET", "0123456789abcdef0123456789abcdef")
	c := testConfig(t, t.TempDir())
	c.Database.Database, c.QuotaWindow, c.Listen, c.MetricsListen = database, window, "127.0.0.1:0", "off"
	stores, err := OpenStores(t.Context(), c.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stores.Close() })
	s, err := newServerAt(t.Context(), c, stores, "test", slog.New(slog.DiscardHandler), func() time.Time { return time.Now().Add(off) })
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, s.URL(l)
}

// call sends one request to a server's URL; the body is JSON, "" for none.
func call(t *testing.T, method, url, body, header, value string) (status int, h http.Header, answer map[string]any) {
	r, err := http.NewRequest(method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Error(err)
		return 0, nil, nil
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(header, value)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil, nil
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	_ = json.Unmarshal(b, &answer)
	return res.StatusCode, res.Header, answer
}

// Replicas disagree about the time by seconds. The windows of a limit are the store's all the same, each is used up to
// the last call and no further, and who logged in at one replica is known to the others at once.
func TestReplicasWhoseClocksAreOff(t *testing.T) {
	sqldbtest.Only(t, sqldb.PostgreSQL, "embedded stores have one server")
	const window, limit = 3 * time.Second, 200
	database := sqldbtest.New(t).URL()
	var urls []string
	var servers []*Server
	for _, off := range []time.Duration{3 * time.Second, 0, -3 * time.Second} {
		s, url := skewedServer(t, database, off, window)
		servers, urls = append(servers, s), append(urls, url)
	}
	first := servers[0]
	group, err := first.Groups.Add(t.Context(), audit.System("test"), "Group")
	if err != nil {
		t.Fatal(err)
	}
	const email, password = "jane@cars.example", "a long enough pass phrase 42"
	text := password
	if _, _, err := first.People.Create(t.Context(), group.ID, audit.System("test"), auth.PersonDraft{Email: email, Name: "Jane", Role: auth.RoleAdmin, Password: &text}); err != nil {
		t.Fatal(err)
	}
	for _, at := range urls {
		status, _, in := call(t, "POST", at+"/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password), "Accept", "application/json")
		if status != 200 {
			t.Fatalf("login: %d %v", status, in)
		}
		for _, url := range urls {
			if status, _, answer := call(t, "GET", url+"/api/v1/auth/me", "", "Authorization", fmt.Sprint("Bearer ", in["token"])); status != 200 {
				t.Errorf("a token of %s at %s: %d %v", at, url, status, answer)
			}
		}
	}
	_, key, err := first.Keys.Create(t.Context(), group.ID, audit.System("test"), auth.RoleAdmin.Scopes(), auth.KeyDraft{Name: "k", Scopes: []string{"inventory:read"}, RateLimitPerHour: limit})
	if err != nil {
		t.Fatal(err)
	}
	windows := driveWindows(t, urls, key, 5*window)
	t.Logf("calls in each window: %v", windows)
	resets := slices.Sorted(maps.Keys(windows))
	for i, reset := range resets {
		if n := windows[reset]; n > limit || n < limit && i > 0 && i < len(resets)-1 {
			t.Errorf("%d calls in the window that ends at %d", n, reset)
		}
	}
	if len(resets) < 4 {
		t.Errorf("windows %v", windows)
	}
}

// driveWindows calls all servers for a time, and counts by the end of their window the calls that were let in.
func driveWindows(t *testing.T, urls []string, key string, long time.Duration) map[int64]int {
	windows, end := map[int64]int{}, time.Now().Add(long)
	var mu sync.Mutex
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			for time.Now().Before(end) {
				status, h, answer := call(t, "GET", urls[i%len(urls)]+"/api/v1/inventory?limit=1", "", "X-API-Key", key)
				switch status {
				case 200:
					reset, _ := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
					mu.Lock()
					windows[reset]++
					mu.Unlock()
				case 429:
				default:
					t.Errorf("%d %v", status, answer)
					return
				}
			}
		})
	}
	clients.Wait()
	return windows
}

package e2e

import (
	"context"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// vinOf makes a valid VIN: the maker's letters, a number, and the check digit of 49 CFR 565.15.
func vinOf(maker string, n int) string {
	const values = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ" // position mod 10 is the letter's value
	weights := [17]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}
	b := fmt.Appendf(nil, "%-8.8s0HF%06d", maker+"W1EF8AAA", n)
	sum := 0
	for i, c := range b {
		sum += strings.IndexByte(values, c) % 10 * weights[i]
	}
	b[8] = "0123456789X"[sum%11]
	return string(b)
}

// feedFile writes a feed of n vehicles that all cost the same.
func feedFile(t testing.TB, dir, maker string, n, price int) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("feed-%s-%d.csv", maker, price))
	if err := os.WriteFile(path, []byte(feedText(maker, n, price, "One owner, no accidents, all records.")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// feedText is a feed of n vehicles that all cost the same and are described the same.
func feedText(maker string, n, price int, description string) string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"VIN", "Stock #", "New/Used", "Year", "Make", "Model", "Odometer", "Price", "Description"}) // to memory
	for i := range n {
		_ = w.Write([]string{vinOf(maker, i), maker + strconv.Itoa(i), "U", "2017", "Ford", "F-150", strconv.Itoa(1000 + i), strconv.Itoa(price), description})
	}
	w.Flush()
	return b.String()
}

// writers send vehicles until they are told to stop, and remember what was acknowledged.
type writers struct {
	mu    sync.Mutex
	acked map[string]int // VIN → price of the last acknowledged write
	sent  map[string]int // VIN → price of a write that was not answered; it may be there or not

	again   bool         // what is answered with 503 is sent again
	refused atomic.Int64 // answers 503

	stop chan struct{}
	wg   sync.WaitGroup
}

// seenElsewhere is when a running server shows what another process has written: within two seconds.
const seenElsewhere = 2100 * time.Millisecond

// write starts clients that create vehicles and change them again. Each VIN has one writer, so the last
// acknowledged price is what must be found.
func write(t *testing.T, s *server, key, maker string, clients int) *writers {
	w := &writers{acked: map[string]int{}, sent: map[string]int{}, stop: make(chan struct{})}
	w.write(t, s, key, maker, clients)
	return w
}

func (w *writers) write(t *testing.T, s *server, key, maker string, clients int) {
	for c := range clients {
		w.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-w.stop:
					return
				default:
				}
				vin, price := vinOf(maker, c*100_000+i/2), 10_000+i
				w.note(w.sent, vin, price)
				method, path, body := "POST", "/api/v1/inventory", fmt.Sprintf(`{"vin":%q,"price":"%d.00"}`, vin, price)
				if i%4 == 3 {
					method, path, body = "PATCH", path+"/"+vin, fmt.Sprintf(`{"price":"%d.00"}`, price)
				}
				r, err := s.call(method, path, body, key)
				if err != nil {
					return // the server is gone
				}
				if w.again && r.StatusCode == 503 && r.Header.Get("Retry-After") != "" {
					w.refused.Add(1)
					time.Sleep(20 * time.Millisecond)
					i--
					continue
				}
				if r.StatusCode != 200 && r.StatusCode != 201 {
					t.Errorf("%s %s: %d %s", method, path, r.StatusCode, r.body)
					return
				}
				w.note(w.acked, vin, price)
			}
		})
	}
}

func (w *writers) note(m map[string]int, vin string, price int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m[vin] = price
}

// end waits for the writers.
func (w *writers) end() {
	close(w.stop)
	w.wg.Wait()
}

// check holds what the server has against what it acknowledged.
func (w *writers) check(t *testing.T, found map[string]string) {
	t.Helper()
	lost := 0
	for vin, price := range w.acked {
		got := found[vin]
		if got != fmt.Sprintf("%d.00", price) && got != fmt.Sprintf("%d.00", w.sent[vin]) {
			if lost++; lost <= 5 {
				t.Errorf("%s: acknowledged with %d.00, found %q", vin, price, got)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(w.acked))
	}
}

// inventoryOfAll is the inventory once the server shows what others had written before, which takes it two seconds at most.
func inventoryOfAll(t *testing.T, s *server, key string) map[string]string {
	t.Helper()
	time.Sleep(2 * time.Second)
	return inventory(t, s, key)
}

// inventory reads the price of every vehicle, page by page.
func inventory(t *testing.T, s *server, key string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for offset := 0; ; offset += 200 {
		r := s.must(200, "GET", fmt.Sprintf("/api/v1/inventory?status=all&limit=200&offset=%d", offset), "", key)
		list, _ := r.json("vehicles").([]any)
		for _, v := range list {
			m, _ := v.(map[string]any)
			vin, _ := m["vin"].(string)
			price, _ := m["price"].(string)
			if _, twice := found[vin]; twice || vin == "" {
				t.Errorf("the list shows %q twice", vin)
			}
			found[vin] = price
		}
		if total, _ := r.json("pagination.total").(float64); offset+len(list) >= int(total) || len(list) == 0 {
			if len(found) != int(total) {
				t.Errorf("pagination says %v, there are %d", total, len(found))
			}
			return found
		}
	}
}

// checkStores opens both stores, which checks SQLite's files, and returns how many vehicles there are.
func checkStores(t *testing.T, data string) (vehicles int) {
	t.Helper()
	withStock(t, data, func(stock *sqldb.Tenant) error {
		return stock.QueryRow(t.Context(), "SELECT count(*) FROM vehicle WHERE dealer_group_id = $1").Scan(&vehicles)
	})
	return vehicles
}

// feedWhole checks that all vehicles of a maker's feed have one price, and returns it; 0 when there are none.
func feedWhole(t *testing.T, found map[string]string, maker string, n int) int {
	t.Helper()
	prices := map[string]int{}
	for i := range n {
		prices[found[vinOf(maker, i)]]++
	}
	if len(prices) != 1 {
		t.Errorf("half an import: %v", prices)
		return -1
	}
	for text := range prices {
		price, _ := strconv.Atoi(strings.TrimSuffix(text, ".00"))
		return price
	}
	return 0
}

// longestImport is about how long one of 2,000 rows takes.
func longestImport() time.Duration {
	if sqldbtest.Engine() == sqldb.PostgreSQL {
		return 2 * time.Second
	}
	return 550 * time.Millisecond
}

func TestKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	const rows = 2000
	data, files := t.TempDir(), t.TempDir()
	s := serve(t, data)
	key := s.key(s.login(), 1_000_000, "inventory:read", "inventory:write")
	whole := 0 // price of the last import known to be in
	all := &writers{acked: map[string]int{}, sent: map[string]int{}}
	for round := range rounds(5, 50) {
		feed := feedFile(t, files, "9FT", rows, 20_000+round)
		w := write(t, s, key, fmt.Sprintf("8%02dFT", round), 6)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		load := exec.Command(binary, "import", feed, "--dealer", "Crash Motors")
		load.Env = environment(t, data)
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50*time.Millisecond + rand.N(longestImport()))
		if round%3 == 1 { // the import outlives the server, or the other way round
			s.kill()
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			_ = load.Process.Kill()
		} else {
			_ = load.Process.Kill()
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			s.kill()
		}
		loaded := load.Wait() == nil
		w.end()
		for vin, price := range w.acked {
			all.acked[vin] = price
		}
		for vin, price := range w.sent {
			all.sent[vin] = price
		}
		s = serve(t, data)
		found := inventory(t, s, key)
		all.check(t, found)
		switch now := feedWhole(t, found, "9FT", rows); {
		case now != whole && now != 20_000+round:
			t.Errorf("round %d: the feed's price is %d, want %d or %d", round, now, whole, 20_000+round)
		case loaded && now != 20_000+round:
			t.Errorf("round %d: the import said it was done, its price is not there", round)
		default:
			whole = now
		}
		if n := checkStores(t, data); n != len(found) {
			t.Errorf("round %d: %d rows, %d shown", round, n, len(found))
		}
		if n := s.must(200, "GET", "/api/v1/inventory/stats/summary", "", key).text("stats.total_count"); n != strconv.Itoa(len(found)) {
			t.Errorf("round %d: stats count %s, there are %d", round, n, len(found))
		}
		t.Logf("round %d: %d vehicles, %d acknowledged in it, import done %v", round, len(found), len(w.acked), loaded)
		if t.Failed() {
			return
		}
	}
	// After all that an import goes through, and once more changes nothing.
	feed := feedFile(t, files, "9FT", rows, 30_000)
	mustRun(t, data, "import", feed, "--dealer", "Crash Motors")
	time.Sleep(seenElsewhere)
	if got := feedWhole(t, inventory(t, s, key), "9FT", rows); got != 30_000 {
		t.Errorf("the last import left the price %d", got)
	}
	s.stop()
}

// A killed import leaves nothing behind, not even the dealership it made.
func TestKilledFirstImportLeavesNothing(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := serve(t, data)
	key := s.key(s.login(), 10_000, "inventory:read", "dealers:read")
	feed := feedFile(t, t.TempDir(), "7FT", 20_000, 25_000)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	load := exec.CommandContext(ctx, binary, "import", feed, "--dealer", "Ghost Motors")
	load.Env = environment(t, data)
	if err := load.Run(); err == nil {
		t.Skip("LEFT OUT: the machine loads 20,000 rows within 300 ms, so none was cut short")
	}
	if r := s.must(200, "GET", "/api/v1/inventory?status=all", "", key); r.json("pagination.total") != 0.0 {
		t.Errorf("a part of the import is shown: %.200s", r.body)
	}
	if r := s.must(200, "GET", "/api/v1/dealers", "", key); strings.Contains(string(r.body), "Ghost Motors") {
		t.Errorf("the dealership is left: %s", r.body)
	}
	if n := checkStores(t, data); n != 0 {
		t.Errorf("%d rows", n)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// side is what serves requests under comparison: one or more servers, and PostgreSQL, where they work on it.
type side struct {
	name     string
	servers  []*process
	postgres *postgres
	key      string

	cpu, database, rate, ratio []float64
}

// kind is a sort of request.
type kind struct {
	name   string
	part   int // as many requests are sent as -requests by this
	method string
	path   func() string
	body   func() string
}

func (b *bench) kinds() []kind {
	list := func(limit int, offset func() int) func() string {
		return func() string { return fmt.Sprintf("/api/v1/inventory?limit=%d&offset=%d", limit, offset()) }
	}
	first := func() int { return 0 }
	vehicle := func() string { return "/api/v1/inventory/" + feedVIN(rand.IntN(*vehicles)) }
	none := func() string { return "" }
	return []kind{
		{"hot page, `limit=1`", 1, http.MethodGet, list(1, first), none},
		{"hot page, `limit=50`", 1, http.MethodGet, list(50, first), none},
		{"pages of 50 from anywhere", 20, http.MethodGet, list(50, func() int { return rand.IntN(*vehicles - 50) }), none},
		{"one vehicle of any", 4, http.MethodGet, vehicle, none},
		{"`PATCH` of a vehicle's price", 20, http.MethodPatch, vehicle, func() string { return fmt.Sprintf(`{"price":%d}`, 10_000+rand.IntN(50_000)) }},
	}
}

// stores compares one server on SQLite with one, and with three, on PostgreSQL, in turn.
func (b *bench) stores(w io.Writer) error {
	pg, err := openPostgres(b.ctx)
	if err != nil {
		return err
	}
	defer pg.close()
	sides, err := b.sides(pg)
	defer func() {
		for _, s := range sides {
			for _, p := range s.servers {
				p.kill()
			}
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "| request | server | CPU µs a request, of the servers | ratio one on SQLite/this | CPU µs a request, PostgreSQL's | requests/s |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, k := range b.kinds() {
		if err := b.contest(w, k, sides); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	fmt.Fprintln(w)
	return nil
}

// sides starts them all with the same vehicles.
func (b *bench) sides(pg *postgres) (sides []*side, err error) {
	file := filepath.Join(b.dir, "stock.csv")
	if err := writeFeed(file, *vehicles); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name, database string
		servers        int
	}{{"one on SQLite", "", 1}, {"one on PostgreSQL", "bench_one", 1}, {"three on PostgreSQL", "bench_three", 3}} {
		own := *b
		own.data = filepath.Join(b.dir, strings.ReplaceAll(s.name, " ", "-"))
		next := &side{name: s.name}
		sides = append(sides, next)
		if s.database != "" {
			next.postgres = pg
			if own.database, err = pg.database(b.ctx, s.database, "template0"); err != nil {
				return sides, err
			}
		}
		if err := own.fill(next, file); err != nil {
			return sides, err
		}
		for i := range s.servers {
			each := own
			if i > 0 {
				each.data = fmt.Sprintf("%s-%d", own.data, i)
			}
			p, err := each.start()
			if err != nil {
				return sides, err
			}
			next.servers = append(next.servers, p)
		}
	}
	return sides, nil
}

// fill makes the dealer group with its vehicles, and the key.
func (b *bench) fill(s *side, file string) error {
	p, err := b.start()
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	if _, err := b.command("import", file, "--dealer", "Bench Motors", "--json").Output(); err != nil {
		return fmt.Errorf("import: %w\n%s", err, exitText(err))
	}
	out, err := b.command("key", "create", "bench", "--scopes", "inventory:read,inventory:write", "--rate-limit-per-hour", "1000000").Output()
	if err != nil {
		return fmt.Errorf("key: %w\n%s", err, exitText(err))
	}
	s.key = strings.TrimSpace(string(out))
	return nil
}

// contest lets all sides, and bare servers that write the answer of the first, serve requests in turn.
func (b *bench) contest(w io.Writer, k kind, sides []*side) error {
	body, err := sides[0].ask(newClient(1), k, 0)
	if err != nil {
		return err
	}
	one, three := &side{name: "one bare"}, &side{name: "three bare"}
	for _, s := range []*side{one, three, three, three} {
		bare, err := b.bare(body)
		if err != nil {
			return err
		}
		defer bare.kill()
		s.servers = append(s.servers, bare)
	}
	all := append([]*side{one, three}, sides...)
	for _, s := range all {
		s.cpu, s.database, s.rate, s.ratio = nil, nil, nil, nil
	}
	for range *rounds {
		for _, s := range all {
			if err := s.load(k); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		n := len(sides[0].cpu) - 1
		for _, s := range all {
			s.ratio = append(s.ratio, sides[0].cpu[n]/s.cpu[n])
		}
	}
	for _, s := range all {
		own := ""
		if s.postgres != nil {
			own = fmt.Sprintf("%.0f", median(s.database))
		}
		fmt.Fprintf(w, "| %s | %s | %.1f | %.2f | %s | %.0f |\n", k.name, s.name, median(s.cpu), median(s.ratio), own, median(s.rate))
	}
	return nil
}

// bare starts a bare server that answers so.
func (b *bench) bare(body []byte) (*process, error) {
	page := filepath.Join(b.dir, "page.json")
	if err := os.WriteFile(page, body, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startProcess(exec.CommandContext(b.ctx, self, "bare", page))
}

// load measures one round. Each server has as many connections and requests, however many there are: one that is busy
// less costs more a request.
func (s *side) load(k kind) error {
	client := newClient(*clients * len(s.servers))
	defer client.CloseIdleConnections()
	for i := range s.servers { // connections and caches
		if _, err := s.ask(client, k, i); err != nil {
			return err
		}
	}
	n := *requests / k.part * len(s.servers)
	servers, database, err := s.used()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := s.askAll(client, k, n); err != nil {
		return err
	}
	took := time.Since(begun)
	serversAfter, databaseAfter, err := s.used()
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	s.cpu, s.database = append(s.cpu, each(serversAfter-servers)), append(s.database, each(databaseAfter-database))
	s.rate = append(s.rate, float64(n)/took.Seconds())
	return err
}

func (s *side) askAll(client *http.Client, k kind, n int) error {
	var sent atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range *clients * len(s.servers) {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(sent.Add(1))
				if i > n {
					return
				}
				if _, err := s.ask(client, k, i%len(s.servers)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return *e
	}
	return nil
}

// used is the processor time so far.
func (s *side) used() (servers, database time.Duration, err error) {
	for _, p := range s.servers {
		d, err := p.cpu()
		if err != nil {
			return 0, 0, err
		}
		servers += d
	}
	if s.postgres != nil {
		database, err = s.postgres.cpu()
	}
	return servers, database, err
}

// ask sends one request to one of the servers.
func (s *side) ask(client *http.Client, k kind, server int) ([]byte, error) {
	req, err := http.NewRequest(k.method, s.servers[server].url+k.path(), strings.NewReader(k.body()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", s.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %w: %s", req.URL, statusError(res.StatusCode), body))
	}
	return body, err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const hotPage = "/api/v1/inventory?limit=1"

// cluster is some replicas on one database, each with its wire.
type cluster struct {
	replicas []*process
	wires    []*wire
}

func (b *bench) cluster(name string, n int) (_ *cluster, err error) {
	if _, err := b.pg.database(b.ctx, name, "template0"); err != nil {
		return nil, err
	}
	c := &cluster{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for i := range n {
		w := openWire(b.pg.socket)
		c.wires = append(c.wires, w)
		own := &place{b: b, on: b.this, engine: onPostgres, data: filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, i)), database: through(w, name)}
		p, err := own.start()
		if err != nil {
			return nil, err
		}
		c.replicas = append(c.replicas, p)
	}
	return c, nil
}

func (c *cluster) close() {
	for _, p := range c.replicas {
		_ = p.stop()
	}
	for _, w := range c.wires {
		w.close()
	}
}

func (c *cluster) tally() (sum tally) {
	for _, w := range c.wires {
		sum.add(w.tally(), 1)
	}
	return sum
}

// session logs the administrator in.
func (p *process) session() (token string, err error) {
	var answer struct{ Token string }
	err = p.post("/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword), &answer)
	return answer.Token, err
}

func (p *process) keys(n, limit int) (keys []string, err error) {
	token, err := p.session()
	if err != nil {
		return nil, err
	}
	for range n {
		var answer struct{ Key string }
		if err := p.post("/api-keys", token, fmt.Sprintf(`{"name":"bench","scopes":["inventory:read"],"rateLimitPerHour":%d}`, limit), &answer); err != nil {
			return nil, err
		}
		keys = append(keys, answer.Key)
	}
	return keys, nil
}

func (p *process) post(path, token, body string, into any) error {
	req, err := http.NewRequest(http.MethodPost, p.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("POST %s: %s %s", path, res.Status, text)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// demand is what callers ask of the replicas.
type demand struct {
	name        string
	keys, limit int
	perSecond   int
	lasts       time.Duration
	known       bool // every replica has seen each key before anything is counted
	goal        int  // takes a call waits for, of 1,000 calls
}

var demands = []demand{
	{name: "idle", lasts: 15 * time.Second},
	{name: "100 keys of 1,000 an hour, 28 calls/s", keys: 100, limit: 1000, perSecond: 28, lasts: 90 * time.Second, known: true, goal: 20},
	{name: "100 keys of 1,000 an hour to 80 %, 3,000 calls/s", keys: 100, limit: 1000, perSecond: 3000, lasts: 26 * time.Second, goal: 20},
	{name: "100 keys of a high limit, 3,000 calls/s", keys: 100, limit: 1_000_000, perSecond: 3000, lasts: 20 * time.Second, goal: 20},
}

// replicas counts what three replicas send to PostgreSQL under these demands, and while keys are driven into their limit.
func (b *bench) replicas(w io.Writer) error {
	const n = 3
	c, err := b.cluster("bench_wires", n)
	if err != nil {
		return err
	}
	defer c.close()
	fmt.Fprintf(w, "| %d replicas | calls/s | beats | settlements | both | goal | takes a call waits for, of 1,000 calls | goal | calls that wait, of 1,000 | other round trips, accounts | stock |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", n)
	for _, d := range demands {
		if err := c.measure(b.ctx, w, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	fmt.Fprintf(w, "\nRound trips are those of a second and replica. A take asks for all calls of a key that wait at that moment.\n\n")
	fmt.Fprintf(w, "| a key of 1,000 driven into its limit | keys | admitted | takes a call waits for, at most | goal |\n| --- | --- | --- | --- | --- |\n")
	for _, clients := range []int{n, 8 * n} {
		if err := c.exhaust(b.ctx, w, clients); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	return nil
}

func (c *cluster) measure(ctx context.Context, w io.Writer, d demand) error {
	keys, err := c.replicas[0].keys(d.keys, d.limit)
	if err != nil {
		return err
	}
	if d.known {
		if err := c.greet(keys); err != nil {
			return err
		}
	}
	before, begun := c.tally(), time.Now()
	calls, err := c.drive(ctx, d, keys, d.lasts)
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	t := c.tally()
	t.add(before, -1)
	each := func(trips int) float64 { return float64(trips) / seconds / float64(len(c.replicas)) }
	thousand := func(n int) string {
		if calls == 0 {
			return ""
		}
		return fmt.Sprintf("%.1f", 1000*float64(n)/float64(calls))
	}
	goal := ""
	if d.goal > 0 {
		goal = fmt.Sprint(d.goal)
	}
	fmt.Fprintf(w, "| %s | %.0f | %.2f | %.2f | %.2f | 4 | %s | %s | %s | %.2f | %.2f |\n", d.name, float64(calls)/seconds,
		each(t.beats), each(t.settlements), each(t.beats+t.settlements), thousand(t.takes), goal, thousand(t.waited), each(t.others), each(t.stock))
	return nil
}

// greet uses each key once on every replica.
func (c *cluster) greet(keys []string) error {
	for _, key := range keys {
		for _, p := range c.replicas {
			if err := get(http.DefaultClient, p.url+hotPage, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// drive sends calls at random to replicas with keys at random, at a rate as far as the machine gives it.
func (c *cluster) drive(ctx context.Context, d demand, keys []string, lasts time.Duration) (calls int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	if len(keys) == 0 {
		<-ctx.Done()
		return 0, nil
	}
	client := newClient(64)
	defer client.CloseIdleConnections()
	due, failed := make(chan struct{}, 64), atomic.Pointer[error]{}
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range due {
				url := c.replicas[rand.IntN(len(c.replicas))].url + hotPage
				if err := get(client, url, keys[rand.IntN(len(keys))]); err != nil {
					failed.Store(&err)
				}
				done.Add(1)
			}
		})
	}
	tick := time.NewTicker(max(time.Millisecond, time.Second/time.Duration(d.perSecond)))
	defer tick.Stop()
	begun, sent := time.Now(), 0
	for ctx.Err() == nil && failed.Load() == nil {
		if sent >= int(time.Since(begun).Seconds()*float64(d.perSecond)) {
			<-tick.C
			continue
		}
		due <- struct{}{}
		sent++
	}
	close(due)
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return int(done.Load()), nil
}

// exhaust drives keys into their limit, one after the other, as fast as some clients can, over all replicas evenly.
func (c *cluster) exhaust(ctx context.Context, w io.Writer, clients int) error {
	const limit, keys, goal = 1000, 5, 80
	list, err := c.replicas[0].keys(keys, limit)
	if err != nil {
		return err
	}
	client := newClient(clients)
	defer client.CloseIdleConnections()
	least, most := limit, 0
	for _, key := range list {
		before := c.tally()
		admitted, err := c.spend(ctx, client, key, clients)
		if err != nil {
			return err
		}
		t := c.tally()
		t.add(before, -1)
		least, most = min(least, admitted), max(most, t.takes)
		if admitted > limit {
			return fmt.Errorf("%d calls admitted under a limit of %d; was it the end of the key's hour?", admitted, limit)
		}
	}
	fmt.Fprintf(w, "| %d clients | %d | %d | %d | %d |\n", clients, keys, least, most, goal)
	return nil
}

// spend calls until each client has been refused several times.
func (c *cluster) spend(ctx context.Context, client *http.Client, key string, clients int) (admitted int, err error) {
	var count atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			url := c.replicas[i%len(c.replicas)].url + hotPage
			for refused := 0; refused < 5 && ctx.Err() == nil; {
				err := get(client, url, key)
				status := statusError(0)
				switch {
				case err == nil:
					count.Add(1)
				case errors.As(err, &status) && status == http.StatusTooManyRequests:
					refused++
				default:
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return int(count.Load()), nil
}

func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}, Timeout: 10 * time.Second}
}

func get(client *http.Client, url, key string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", key)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", url, statusError(res.StatusCode))
	}
	return nil
}

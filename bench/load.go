package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// side is what serves requests under comparison: one or more servers, and PostgreSQL, where they work on it.
type side struct {
	name     string
	servers  []*process
	postgres *postgres
	auth     func(*rand.Rand) string // header
	tag      string                  // header of a conditional request, "" for none

	turns []sample
}

// sample is what one turn gave.
type sample struct {
	cpu, database float64 // µs of processor time a request: of the servers, and of PostgreSQL
	rate          float64 // requests a second
	p50, p99      float64 // ms
}

// query is a sort of request.
type query struct {
	name    string
	path    func(*rand.Rand) string
	varies  bool   // path gives another one each time
	header  string // lines
	method  string // GET unless given
	body    func(*rand.Rand) string
	want    int // status, 200 unless given
	clients int // connections, -clients unless given
}

func always(text string) func(*rand.Rand) string { return func(*rand.Rand) string { return text } }

func keyHeader(key string) string { return "X-API-Key: " + key + "\r\n" }

// contest lets all sides serve requests in turn. Each turn of a side asks for the same as that turn of the others, with a connection of
// its own for each client.
func contest(q query, sides []*side) error {
	for _, s := range sides {
		s.turns = nil
	}
	for round := range *rounds {
		for _, s := range sides {
			if err := s.turn(q, uint64(round+1), *turn); err != nil {
				return fmt.Errorf("%s: %s: %w", q.name, s.name, err)
			}
		}
	}
	return nil
}

// ratio is the median over the turns of the first side's processor time by the second's.
func ratio(of, by *side) float64 {
	var all []float64
	for i := range of.turns {
		all = append(all, of.turns[i].whole()/by.turns[i].whole())
	}
	return median(all)
}

// whole is the processor time of the whole server side.
func (s sample) whole() float64 { return s.cpu + s.database }

func (s *side) median(figure func(sample) float64) float64 {
	var all []float64
	for _, t := range s.turns {
		all = append(all, figure(t))
	}
	return median(all)
}

func (s *side) cpu() float64 { return s.median(sample.whole) }
func (s *side) p99() float64 { return s.median(func(t sample) float64 { return t.p99 }) }

// figures are columns of a table: processor time, requests a second, p50 and p99.
func (s *side) figures() string {
	cpu := fmt.Sprintf("%.1f", s.median(func(t sample) float64 { return t.cpu }))
	if s.postgres != nil {
		cpu += fmt.Sprintf(" + %.1f", s.median(func(t sample) float64 { return t.database }))
	}
	return fmt.Sprintf("%s | %.0f | %.2f | %.2f", cpu, s.median(func(t sample) float64 { return t.rate }), s.median(func(t sample) float64 { return t.p50 }), s.p99())
}

// turn measures once; who has the same seed asks for the same.
func (s *side) turn(q query, seed uint64, lasts time.Duration) error {
	callers, err := s.dial(q)
	if err != nil {
		return err
	}
	defer hangUp(callers)
	servers, database, err := s.used()
	if err != nil {
		return err
	}
	begun := time.Now()
	took, err := ask(callers, s, q, seed, begun.Add(lasts))
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	serversAfter, databaseAfter, err := s.used()
	n := float64(len(took))
	slices.Sort(took)
	at := func(part float64) float64 { return 1000 * took[min(len(took)-1, int(part*n))].Seconds() }
	s.turns = append(s.turns, sample{
		cpu: float64((serversAfter - servers).Microseconds()) / n, database: float64((databaseAfter - database).Microseconds()) / n,
		rate: n / seconds, p50: at(0.5), p99: at(0.99),
	})
	return err
}

// dial makes the connections, and uses each once.
func (s *side) dial(q query) (callers []*caller, err error) {
	n := q.clients
	if n == 0 {
		n = *clients
	}
	for i := range n * len(s.servers) {
		c, err := call(s.servers[i%len(s.servers)])
		if err != nil {
			hangUp(callers)
			return nil, err
		}
		callers = append(callers, c)
		if err := c.ask(s, q, rand.New(rand.NewPCG(0, uint64(i)))); err != nil {
			hangUp(callers)
			return nil, err
		}
	}
	return callers, nil
}

func hangUp(callers []*caller) {
	for _, c := range callers {
		_ = c.conn.Close()
	}
}

// ask sends requests on all connections until a time, and returns what each took.
func ask(callers []*caller, s *side, q query, seed uint64, until time.Time) ([]time.Duration, error) {
	took, failed := make([][]time.Duration, len(callers)), make([]error, len(callers))
	var wg sync.WaitGroup
	for i, c := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for begun := time.Now(); begun.Before(until) && failed[i] == nil; {
				failed[i] = c.ask(s, q, r)
				now := time.Now()
				took[i] = append(took[i], now.Sub(begun))
				begun = now
			}
		})
	}
	wg.Wait()
	return slices.Concat(took...), errors.Join(failed...)
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

// caller is a client with one connection. net/http's would cost more than what it measures.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func call(p *process) (*caller, error) {
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *caller) ask(s *side, q query, r *rand.Rand) error {
	method, want, body := cmp.Or(q.method, http.MethodGet), cmp.Or(q.want, http.StatusOK), ""
	if q.body != nil {
		body = q.body(r)
	}
	path := q.path(r)
	c.out = append(append(append(append(c.out[:0], method...), ' '), path...), " HTTP/1.1\r\nHost: bench\r\n"...)
	c.out = append(append(append(c.out, s.auth(r)...), s.tag...), q.header...)
	if body != "" {
		c.out = fmt.Appendf(c.out, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	c.out = append(append(c.out, "\r\n"...), body...)
	_ = c.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	status, err := c.answer()
	if err == nil && status != want {
		err = statusError(status)
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, path, err)
	}
	return err
}

// statusError is a status that was not to be answered.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// answer reads one whole.
func (c *caller) answer() (status int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("answered %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length, chunked := 0, false
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch {
		case !ok:
			if chunked {
				return status, c.skipChunks()
			}
			if status == http.StatusNotModified {
				return status, nil
			}
			_, err = c.in.Discard(length)
			return status, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
}

func (c *caller) skipChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return err
		}
		if _, err := c.in.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}

// record asks n times and keeps the answers.
func (s *side) record(q query, n int) (answers []answer, err error) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	r := rand.New(rand.NewPCG(1, 0))
	for range n {
		a, err := s.fetch(client, q, r)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a.answer)
	}
	return answers, nil
}

// fetched is an answer with its header.
type fetched struct {
	answer
	header http.Header
}

// fetch asks the first server once.
func (s *side) fetch(client *http.Client, q query, r *rand.Rand) (a fetched, err error) {
	body := ""
	if q.body != nil {
		body = q.body(r)
	}
	req, err := http.NewRequest(cmp.Or(q.method, http.MethodGet), s.servers[0].url+q.path(r), strings.NewReader(body))
	if err != nil {
		return a, err
	}
	for line := range strings.Lines(s.auth(r) + s.tag + q.header + "Content-Type: application/json\r\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if a.Body, err = io.ReadAll(res.Body); err != nil {
		return a, err
	}
	a.Status, a.Encoding, a.header = res.StatusCode, res.Header.Get("Content-Encoding"), res.Header
	if a.Status != cmp.Or(q.want, http.StatusOK) {
		err = fmt.Errorf("%s: %w: %.300s", req.URL, statusError(a.Status), a.Body)
	}
	return a, err
}

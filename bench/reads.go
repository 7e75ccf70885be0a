package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// read is a row of the table: a query, and what it is to reach.
type read struct {
	query
	goals map[string]goal // by engine, "" for both
}

// goal is a ratio, or with unit a time, to reach at least, and to aim at.
type goal struct {
	floor, aim float64
	unit       string
}

func (g goal) String() string {
	if g.floor == 0 {
		return ""
	}
	if g.unit != "" {
		return fmt.Sprintf("p99 %g / %g %s", g.floor, g.aim, g.unit)
	}
	return fmt.Sprintf("%.2f / %.2f", g.floor, g.aim)
}

func (r read) goal(engine string) goal {
	if g, ok := r.goals[engine]; ok {
		return g
	}
	return r.goals[""]
}

func bothEngines(floor, aim float64) map[string]goal {
	return map[string]goal{"": {floor: floor, aim: aim}}
}

// The settings under which the server is measured.
func inCache(vehicles int) []string {
	megabytes := 256 + vehicles*3/2000 // 1.5 KB for a vehicle
	pages := 32 + vehicles*8/1000      // half of it for full vehicles, of up to 4 KB
	return []string{fmt.Sprintf("CARFLUENCE_DOCUMENT_CACHE_MB=%d", megabytes), fmt.Sprintf("CARFLUENCE_INDEX_MB=%d", megabytes), fmt.Sprintf("CARFLUENCE_PAGE_CACHE_MB=%d", pages)}
}

func cacheOff(vehicles int) []string {
	return append(inCache(vehicles), "CARFLUENCE_DOCUMENT_CACHE_MB=0", "CARFLUENCE_PAGE_CACHE_MB=0")
}

const listPath = "/api/v1/inventory"

func page(limit int) func(*rand.Rand) string {
	return always(fmt.Sprintf("%s?limit=%d", listPath, limit))
}

// pageOf is any of the pages of active vehicles.
func pageOf(vehicles int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		return fmt.Sprintf("%s?limit=50&offset=%d", listPath, r.IntN(vehicles*85/100))
	}
}

func vehicleOf(vehicles int) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return listPath + "/" + vinOf(r.IntN(vehicles)) }
}

// searchOf looks for three characters that stand in a make, a model or a VIN.
func searchOf(vehicles int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		i := r.IntN(vehicles)
		m := models[modelOf(i)]
		text := strings.ReplaceAll([]string{m.make, m.name, vinOf(i)}[r.IntN(3)], " ", "")
		if len(text) < 3 {
			text = vinOf(i)
		}
		at := r.IntN(len(text) - 2)
		return listPath + "?limit=50&search=" + strings.ReplaceAll(text[at:at+3], "&", "%26")
	}
}

const gzipHeader = "Accept-Encoding: gzip\r\n"

// warmReads are asked of a server whose caches hold everything.
func warmReads(vehicles int) []read {
	return []read{
		{query{name: "`limit=50`, hot page", path: page(50)}, bothEngines(0.55, 0.75)},
		{query{name: "`limit=1`, hot page", path: page(1)}, bothEngines(0.50, 0.70)},
		{query{name: "`limit=50`, hot page, gzip", path: page(50), header: gzipHeader}, nil},
		{query{name: "`limit=50`, hot page, 304", path: page(50), want: http.StatusNotModified}, nil},
		{query{name: "`limit=50`, random pages, in cache", path: pageOf(vehicles), varies: true}, bothEngines(0.25, 0.40)},
		{query{name: "one vehicle, random, in cache", path: vehicleOf(vehicles), varies: true}, bothEngines(0.40, 0.60)},
	}
}

// coldReads are asked of one that keeps neither pages nor vehicles.
func coldReads(vehicles int) []read {
	return []read{
		{query{name: "`limit=50`, random pages, cache off", path: pageOf(vehicles), varies: true},
			map[string]goal{onSQLite: {floor: 0.06, aim: 0.10}, onPostgres: {floor: 0.04, aim: 0.08}}},
		{query{name: "one vehicle, random, cache off", path: vehicleOf(vehicles), varies: true}, map[string]goal{onSQLite: {floor: 0.22, aim: 0.35}}},
		{query{name: "search of three letters, cache off, one client", path: searchOf(vehicles), varies: true, clients: 1}, map[string]goal{"": {250, 50, "ms"}}},
		{query{name: "statistics, one client", path: always("/api/v1/inventory/stats/summary"), clients: 1}, map[string]goal{"": {5, 1, "ms"}}},
	}
}

// reads compares the answers to requests: with a bare server's, on each engine, or with another commit's.
func (b *bench) reads(w io.Writer) error {
	fmt.Fprintf(w, "%d vehicles, turns of %s over %d connections, medians of %d rounds. Ratio: the first line's processor time by this one's.\n\n", *vehicles, *turn, *clients, *rounds)
	fmt.Fprintf(w, "| request | server | ratio | floor / aim | CPU µs a request | requests/s | p50 ms | p99 ms | times the first's |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	places := map[string][]*place{}
	for _, engine := range b.engines() {
		var err error
		if places[engine], err = b.stockedEach(engine, *vehicles); err != nil {
			return err
		}
	}
	for _, setting := range []struct {
		env   []string
		warm  bool
		reads []read
	}{{inCache(*vehicles), true, warmReads(*vehicles)}, {cacheOff(*vehicles), false, coldReads(*vehicles)}} {
		if err := b.readsUnder(w, places, setting.env, setting.warm, setting.reads); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	return nil
}

// readsUnder compares servers that were started with these settings.
func (b *bench) readsUnder(w io.Writer, places map[string][]*place, env []string, warm bool, reads []read) error {
	var sides []*side
	defer func() { stopAll(sides) }()
	of := map[*side]*place{}
	for _, engine := range b.engines() {
		for _, p := range places[engine] {
			s, err := p.serve(env...)
			if err != nil {
				return err
			}
			sides, of[s] = append(sides, s), p
			if err := s.wake(p.vehicles, warm); err != nil {
				return err
			}
		}
	}
	for i, r := range reads {
		for s, p := range of {
			s.auth = always(keyHeader(p.keys[i%len(p.keys)]))
		}
		if err := b.compare(w, r, sides, of); err != nil {
			return err
		}
	}
	if warm {
		for _, s := range sides {
			if err := compareSession(w, s, of[s]); err != nil {
				return err
			}
		}
	}
	for _, s := range sides {
		fmt.Fprintf(os.Stderr, "bench: %s: %d MiB resident\n", s.name, s.servers[0].memory("VmRSS"))
	}
	return nil
}

// serve starts a place's server as a side.
func (p *place) serve(env ...string) (*side, error) {
	var calls atomic.Int64 // a key in turn: a million vehicles are more than one may ask for
	s := &side{name: p.on.name + " on " + p.engine, auth: func(*rand.Rand) string { return keyHeader(p.keys[int(calls.Add(1))%len(p.keys)]) }}
	if p.engine == onPostgres {
		s.postgres = p.b.pg
	}
	server, err := p.start(env...)
	s.servers = []*process{server}
	return s, err
}

func stopAll(sides []*side) {
	for _, s := range sides {
		for _, p := range s.servers {
			p.kill()
		}
	}
}

// wake waits until a server has read what it reads after its start, and fills its caches.
func (s *side) wake(vehicles int, warm bool) error {
	const most = time.Minute
	client := &http.Client{Timeout: 10 * time.Minute}
	defer client.CloseIdleConnections()
	if _, err := s.fetch(client, query{path: always(listPath + "?make=Ford")}, nil); err != nil || !warm {
		return err
	}
	begun := time.Now()
	for offset := 0; offset < vehicles; offset += 200 {
		if time.Since(begun) > most {
			fmt.Fprintf(os.Stderr, "bench: %s: caches hold %d of %d vehicles after %s\n", s.name, offset, vehicles, most)
			return nil
		}
		if _, err := s.fetch(client, query{path: always(fmt.Sprintf("%s?status=all&limit=200&offset=%d", listPath, offset))}, nil); err != nil {
			return err
		}
	}
	var next atomic.Int64
	q := query{path: func(*rand.Rand) string { return listPath + "/" + vinOf(int(next.Add(1))%vehicles) }, varies: true}
	callers, err := s.dial(q)
	if err != nil {
		return err
	}
	defer hangUp(callers)
	for begun = time.Now(); next.Load() < int64(vehicles) && err == nil; {
		if time.Since(begun) > 6*most {
			fmt.Fprintf(os.Stderr, "bench: %s: %d of %d vehicles asked for after %s\n", s.name, next.Load(), vehicles, 6*most)
			return nil
		}
		_, err = ask(callers, s, q, 99, time.Now().Add(time.Second/2))
	}
	return err
}

// compare writes a row for each side.
func (b *bench) compare(w io.Writer, r read, sides []*side, of map[*side]*place) error {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	if r.want == http.StatusNotModified {
		plain := r.query
		plain.want = 0
		for _, s := range sides {
			a, err := s.fetch(client, plain, nil)
			if err != nil {
				return err
			}
			s.tag = "If-None-Match: " + a.header.Get("ETag") + "\r\n"
			defer func() { s.tag = "" }()
		}
	}
	if r.header == gzipHeader {
		a, err := sides[0].fetch(client, r.query, nil)
		if err != nil {
			return err
		}
		r.name += fmt.Sprintf(" (%d bytes)", len(a.Body))
		if a.Encoding != "gzip" {
			r.name += ", which this version doesn't compress"
		}
	}
	if b.that != nil {
		for i := 0; i < len(sides); i += 2 { // the other, and this, on each engine
			if err := contestRow(w, r, sides[i:i+2], of); err != nil {
				return err
			}
		}
		return nil
	}
	bare, err := b.bare(sides[0], r.query)
	if err != nil {
		return err
	}
	defer bare.servers[0].kill()
	return contestRow(w, r, append([]*side{bare}, sides...), of)
}

// digits is the format of a ratio, however small.
func digits(ratio float64) string {
	if ratio < 0.1 {
		return "%.3f"
	}
	return "%.2f"
}

// contestRow measures, and writes a line for each side with its ratio to the first.
func contestRow(w io.Writer, r read, sides []*side, of map[*side]*place) error {
	if err := contest(r.query, sides); err != nil {
		return err
	}
	first := sides[0]
	fmt.Fprintf(w, "| %s | %s | 1 |  | %s |  |\n", r.name, first.name, first.figures())
	for _, s := range sides[1:] {
		g, figure := r.goal(of[s].engine), ratio(first, s)
		text, goals := atLeast(figure, g.floor, digits(figure)), g.String()
		switch {
		case first.name != "bare":
			text, goals = fmt.Sprintf(digits(figure), figure), ""
		case g.unit != "":
			text = fmt.Sprintf(digits(figure), figure)
			if s.p99() > g.floor {
				goals = "**" + goals + "**"
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.1f |\n", r.name, s.name, text, goals, s.figures(), s.p99()/first.p99())
	}
	return nil
}

// compareSession asks for the hot page with a key, with a person's session, and with a key beside a header as long as the session's
// token, in turn: the last tells what only the length costs.
func compareSession(w io.Writer, s *side, p *place) error {
	token, err := s.servers[0].session()
	if err != nil {
		return err
	}
	key, session, long := *s, *s, *s
	key.name, key.auth = s.name+", key", always(keyHeader(p.keys[len(p.keys)-1]))
	session.name, session.auth = s.name+", JWT", always("Authorization: Bearer "+token+"\r\n")
	long.name, long.auth = s.name+", key and a header of the JWT's length", always(keyHeader(p.keys[len(p.keys)-1])+"X-Length: "+strings.Repeat("x", len(token))+"\r\n")
	r := read{query{name: "`limit=50`, hot page, JWT instead of key", path: page(50)}, nil}
	if err := contest(r.query, []*side{&key, &session, &long}); err != nil {
		return err
	}
	fmt.Fprintf(w, "| %s | %s | 1 |  | %s |  |\n", r.name, key.name, key.figures())
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.1f |\n", r.name, session.name, atLeast(ratio(&key, &session), 0.95, "%.2f"), goal{floor: 0.95, aim: 1}, session.figures(), session.p99()/key.p99())
	fmt.Fprintf(w, "| %s | %s | %.2f |  | %s | %.1f |\n", r.name, long.name, ratio(&key, &long), long.figures(), long.p99()/key.p99())
	return nil
}

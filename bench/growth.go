package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// growth compares what a request costs in a small store with what it costs in a large one.
func (b *bench) growth(w io.Writer) error {
	if err := b.growthOfVehicles(w); err != nil {
		return err
	}
	return b.growthOfKeys(w)
}

func (b *bench) growthOfVehicles(w io.Writer) error {
	few, err := b.stocked(b.this, onSQLite, *vehicles/10)
	if err != nil {
		return err
	}
	many, err := b.stocked(b.this, onSQLite, *vehicles)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "On SQLite, turns of %s over %d connections, medians of %d rounds.\n\n", *turn, *clients, *rounds)
	fmt.Fprintf(w, "| CPU µs a request | %d vehicles | %d vehicles | times | at most / aim |\n| --- | --- | --- | --- | --- |\n", few.vehicles, many.vehicles)
	for _, setting := range []struct {
		name       string
		env        func(int) []string
		warm       bool
		floor, aim float64
	}{{"in cache", inCache, true, 1.6, 1.3}, {"cache off", cacheOff, false, 2.5, 1.9}} {
		err := b.growthUnder(w, few, many, setting.name, setting.env(many.vehicles), setting.warm, setting.floor, setting.aim)
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	return nil
}

func (b *bench) growthUnder(w io.Writer, few, many *place, name string, env []string, warm bool, floor, aim float64) error {
	var sides []*side
	defer func() { stopAll(sides) }()
	for _, p := range []*place{few, many} {
		s, err := p.serve(env...)
		if err != nil {
			return err
		}
		sides = append(sides, s)
		if err := s.wake(p.vehicles, warm); err != nil {
			return err
		}
	}
	if err := steady(sides, []query{{path: otherPageOf(few.vehicles)}, {path: otherPageOf(many.vehicles)}}); err != nil {
		return err
	}
	for _, kind := range []struct {
		name string
		path func(vehicles int) func(*rand.Rand) string
	}{{"`limit=50`, random pages", pageOf}, {"one vehicle, random", vehicleOf}} {
		queries := []query{{name: kind.name, path: kind.path(few.vehicles)}, {name: kind.name, path: kind.path(many.vehicles)}}
		for round := range *rounds {
			for i, s := range sides {
				if err := s.turn(queries[i], uint64(round+1), *turn); err != nil {
					return err
				}
			}
		}
		times := ratio(sides[1], sides[0])
		fmt.Fprintf(w, "| %s, %s | %.1f | %.1f | %s | %.1f / %.1f |\n", kind.name, name, sides[0].cpu(), sides[1].cpu(), atMost(times, floor, "%.2f"), floor, aim)
		for _, s := range sides {
			s.turns = nil
		}
	}
	return nil
}

// otherPageOf is any page of a size that is not measured, and so not in memory as a whole afterwards.
func otherPageOf(vehicles int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		return fmt.Sprintf("%s?status=all&limit=200&offset=%d", listPath, r.IntN(vehicles))
	}
}

const fewKeys = 1000

func (b *bench) growthOfKeys(w io.Writer) error {
	var places []*place
	for _, n := range []int{fewKeys, *keys} {
		p, err := b.withKeys(n)
		if err != nil {
			return err
		}
		places = append(places, p)
	}
	fmt.Fprintf(w, "| CPU µs a request, hot page `limit=1` | %d keys | %d keys | times | at most / aim |\n| --- | --- | --- | --- | --- |\n", fewKeys, *keys)
	some := func(n int) func(*rand.Rand) int { // a thousand of them, from all over
		return func(r *rand.Rand) int { return r.IntN(fewKeys) * (n / fewKeys) }
	}
	any := func(n int) func(*rand.Rand) int {
		return func(r *rand.Rand) int { return r.IntN(n) }
	}
	const floor, aim = 1.25, 1.1
	for _, row := range []struct {
		name       string
		measure    func([]*place) ([]*side, error)
		floor, aim float64
	}{
		{"1,000 keys in use, at random", keysInUse(some), floor, aim},
		{"the first call of each of 1,000 keys after a start", firstCalls, floor, aim},
		{"any key at random, most never seen before", keysInUse(any), 0, 0},
	} {
		sides, err := row.measure(places)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		goals := ""
		if row.floor > 0 {
			goals = fmt.Sprintf("%.2f / %.1f", row.floor, row.aim)
		}
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %s | %s |\n", row.name, sides[0].cpu(), sides[1].cpu(), atMost(ratio(sides[1], sides[0]), row.floor, "%.2f"), goals)
	}
	fmt.Fprintln(w)
	return nil
}

// withKeys is a place with many keys and few vehicles.
func (b *bench) withKeys(n int) (*place, error) {
	p, ready, err := b.placeOf(b.this, onSQLite, fmt.Sprintf("keys_%d_%s", n, b.this.schema))
	if err != nil {
		return nil, err
	}
	p.bulk = n
	if ready {
		return p, nil
	}
	if err := p.found(); err != nil {
		return nil, err
	}
	if err := p.addKeys(n, `["inventory:read"]`); err != nil {
		return nil, err
	}
	return p, p.settle()
}

// keyed is a side of a place's server, of which 1,000 keys, from all over, have called once; cost is that of these calls.
func (p *place) keyed() (s *side, cost sample, err error) {
	server, err := p.start()
	if err != nil {
		return nil, cost, err
	}
	s = &side{name: p.on.name, servers: []*process{server}}
	defer func() {
		if err != nil {
			server.kill()
		}
	}()
	c, err := call(server)
	if err != nil {
		return nil, cost, err
	}
	defer hangUp([]*caller{c})
	before, _, err := s.used()
	if err != nil {
		return nil, cost, err
	}
	begun := time.Now()
	for i := range fewKeys {
		s.auth = always(keyHeader(keyText(i * (p.bulk / fewKeys))))
		if err := c.ask(s, query{path: page(1)}, nil); err != nil {
			return nil, cost, err
		}
	}
	after, _, err := s.used()
	return s, sample{cpu: float64((after - before).Microseconds()) / fewKeys, rate: fewKeys / time.Since(begun).Seconds()}, err
}

// keysInUse asks in turns with keys that are picked so.
func keysInUse(pick func(n int) func(*rand.Rand) int) func([]*place) ([]*side, error) {
	return func(places []*place) (sides []*side, err error) {
		defer func() { stopAll(sides) }()
		for _, p := range places {
			s, _, err := p.keyed()
			if err != nil {
				return sides, err
			}
			sides = append(sides, s)
			key := pick(p.bulk)
			s.auth = func(r *rand.Rand) string { return keyHeader(keyText(key(r))) }
		}
		q := query{path: page(1)}
		if err := steady(sides, []query{q, q}); err != nil {
			return sides, err
		}
		for round := range *rounds {
			for _, s := range sides {
				if err := s.turn(q, uint64(round+1), *turn); err != nil {
					return sides, err
				}
			}
		}
		return sides, nil
	}
}

// firstCalls starts the servers anew for each round.
func firstCalls(places []*place) ([]*side, error) {
	sides := []*side{{}, {}}
	for range *rounds {
		for i, p := range places {
			s, cost, err := p.keyed()
			if err != nil {
				return nil, err
			}
			sides[i].turns = append(sides[i].turns, cost)
			if err := s.servers[0].stop(); err != nil {
				return nil, err
			}
		}
	}
	return sides, nil
}

// steady asks each side in turn until the memory of none grows any more: what is touched for the first time costs the kernel an
// empty page, which can be half of what an answer from memory costs.
func steady(sides []*side, queries []query) error {
	const most = 60
	for i := range uint64(most) {
		grows := false
		for j, s := range sides {
			before := s.servers[0].memory("VmRSS")
			if err := s.turn(queries[j], 100+i, *turn); err != nil {
				return err
			}
			grows = grows || s.servers[0].memory("VmRSS") > before+before/100
			s.turns = nil
		}
		if !grows {
			break
		}
	}
	return nil
}

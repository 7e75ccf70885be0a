package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
)

// replicasHot compares three servers on one PostgreSQL, each alone and all at once, with one on SQLite.
func (b *bench) replicasHot(w io.Writer) error {
	const n = 3
	embedded, err := b.stocked(b.this, onSQLite, *vehicles)
	if err != nil {
		return err
	}
	shared, err := b.stocked(b.this, onPostgres, *vehicles)
	if err != nil {
		return err
	}
	sides := []*side{}
	defer func() { stopAll(sides[:min(len(sides), n+1)]) }()
	one, err := embedded.serve()
	if err != nil {
		return err
	}
	one.name = "one on SQLite"
	sides = append(sides, one)
	all := &side{name: "three on PostgreSQL at once", postgres: b.pg, auth: always(keyHeader(shared.keys[0]))}
	for i := range n {
		own := *shared
		own.data = filepath.Join(b.dir, fmt.Sprintf("replica-%d", i))
		s, err := own.serve()
		if err != nil {
			return err
		}
		s.name = fmt.Sprintf("replica %d of 3 on PostgreSQL, the others idle", i+1)
		sides, all.servers = append(sides, s), append(all.servers, s.servers...)
	}
	for _, s := range sides {
		if err := s.wake(*vehicles, false); err != nil {
			return err
		}
	}
	sides = append(sides, all)
	fmt.Fprintf(w, "%d vehicles, turns of %s over %d connections a server, medians of %d rounds. Ratio: processor time of the one on SQLite by this one's, PostgreSQL's counted with it.\n\n", *vehicles, *turn, *clients, *rounds)
	fmt.Fprintf(w, "| request | server | ratio | floor / aim | CPU µs a request, with PostgreSQL's | requests/s | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	price := func(r *rand.Rand) string { return fmt.Sprintf(`{"price":%d}`, 10_000+r.IntN(50_000)) }
	for i, q := range []query{
		{name: "`limit=50`, hot page", path: page(50)},
		{name: "one vehicle, random", path: vehicleOf(*vehicles), varies: true},
		{name: "`PATCH` of a vehicle's price", path: vehicleOf(*vehicles), varies: true, method: http.MethodPatch, body: price},
	} {
		if err := contest(q, sides); err != nil {
			return err
		}
		for at, s := range sides {
			floor, goals := 0.0, ""
			if i == 0 && at > 0 && at <= n {
				floor, goals = 0.9, "0.90 / 1.00"
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", q.name, s.name, atLeast(ratio(one, s), floor, "%.2f"), goals, s.figures())
		}
	}
	fmt.Fprintln(w)
	return nil
}

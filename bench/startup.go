package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// startup tells how long it takes from the start of the process to the first answer to a caller with a key.
func (b *bench) startup(w io.Writer) error {
	fmt.Fprintf(w, "| medians of %d | | at most |\n| --- | --- | --- |\n", *rounds)
	places, err := b.stockedEach(onSQLite, *vehicles)
	if err != nil {
		return err
	}
	took, demo := make([][]float64, len(places)), make([][]float64, len(places))
	for range *rounds {
		for i, p := range places {
			ms, err := p.firstAnswer()
			if err != nil {
				return err
			}
			took[i] = append(took[i], ms)
			if ms, err = b.firstDemo(p.on); err != nil {
				return err
			}
			demo[i] = append(demo[i], ms)
		}
	}
	for i, p := range places {
		held, err := p.held()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s, %d vehicles on SQLite: from exec to the first answer to a key | %s ms | 150 ms |\n", p.on.name, p.vehicles, atMost(median(took[i]), 150, "%.0f"))
		fmt.Fprintf(w, "| %s, `serve --demo` on an empty folder: the same | %s ms | 2000 ms |\n", p.on.name, atMost(median(demo[i]), 2000, "%.0f"))
		fmt.Fprintf(w, "| %s, %d vehicles, default settings: resident memory after a turn of random pages and vehicles | %s MiB | 600 MiB |\n", p.on.name, p.vehicles, atMost(held, 600, "%.0f"))
	}
	fmt.Fprintln(w)
	return nil
}

func (p *place) firstAnswer() (ms float64, err error) {
	s, err := p.serve()
	if err != nil {
		return 0, err
	}
	defer s.servers[0].stop()
	return s.first()
}

// first asks once and tells the time since the process began.
func (s *side) first() (ms float64, err error) {
	c, err := call(s.servers[0])
	if err != nil {
		return 0, err
	}
	defer hangUp([]*caller{c})
	err = c.ask(s, query{path: page(50)}, rand.New(rand.NewPCG(0, 0)))
	return 1000 * time.Since(s.servers[0].begun).Seconds(), err
}

// held is the memory, in MiB, of a server that has been asked for a while.
func (p *place) held() (float64, error) {
	s, err := p.serve()
	if err != nil {
		return 0, err
	}
	defer s.servers[0].stop()
	if err := s.wake(p.vehicles, false); err != nil {
		return 0, err
	}
	for _, path := range []func(int) func(*rand.Rand) string{pageOf, vehicleOf} {
		if err := s.turn(query{path: path(p.vehicles)}, 1, 5**turn); err != nil {
			return 0, err
		}
	}
	return float64(s.servers[0].memory("VmRSS")), nil
}

var keyPattern = regexp.MustCompile(`cf_live_[0-9A-Za-z]{38}`)

// firstDemo asks with the key that the demo prints.
func (b *bench) firstDemo(on *build) (ms float64, err error) {
	p := &place{b: b, on: on, engine: onSQLite, data: filepath.Join(b.dir, "demo")}
	defer os.RemoveAll(p.data)
	cmd := pinned(p.command("serve", "--demo"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	s := &process{cmd: cmd, begun: time.Now()}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer s.kill()
	key := ""
	for lines := bufio.NewScanner(out); s.url == "" && lines.Scan(); {
		if found := keyPattern.FindString(lines.Text()); found != "" {
			key = found
		}
		_, url, _ := strings.Cut(lines.Text(), "listening on ")
		s.url = strings.TrimSpace(url)
	}
	if key == "" || s.url == "" {
		return 0, errors.New("the demo printed no key and address")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return (&side{servers: []*process{s}, auth: always(keyHeader(key))}).first()
}

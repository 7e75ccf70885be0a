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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load is one of the files a server takes after the other, with the goals for its time as a multiple of the plain import's.
type load struct {
	name         string
	changed      bool // takes the file in which one in twenty has another price
	first        bool
	floor, aim   float64 // on SQLite
	pFloor, pAim float64
}

var loads = []load{
	{"first load, with history", false, true, 3, 1.7, 3.5, 2},
	{"the same file again", false, false, 0.5, 0.22, 0.7, 0.35},
	{"5 % of the prices changed", true, false, 1, 0.5, 1.3, 0.8},
}

// ingested is what several rounds gave of one load.
type ingested struct {
	seconds, ratios []float64
	read, check     []float64 // ms, the longest while it ran
	filtered        []float64 // seconds after that until lists with filters show it
}

// ingest compares an integration's file, sent over HTTP and waited for, with sqlite3's .import or psql's \copy of it, or
// with another commit.
func (b *bench) ingest(w io.Writer) error {
	file, changed := filepath.Join(b.dir, "ingest.csv"), filepath.Join(b.dir, "changed.csv")
	if err := errors.Join(createFeed(file, 0, *rows, 0), createFeed(changed, 0, *rows, 20)); err != nil {
		return err
	}
	defer os.Remove(file)
	defer os.Remove(changed)
	first := "plain import s"
	if b.that != nil {
		first = "the other s"
	}
	fmt.Fprintf(w, "A file of %d rows over HTTP, sent to completed; medians of %d rounds. Times: this by the plain import of the same turn. Longest: any answer to one client that asks 20 times a second meanwhile, once a vehicle or a page of 50, once with a key that has not called before.\n\n", *rows, *rounds)
	fmt.Fprintf(w, "| file | server | seconds | rows/s | %s | times | at most / aim | longest read ms | longest key check ms | at most | filtered lists have it after s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", first)
	var notes []string
	for _, engine := range b.engines() {
		note, err := b.ingestOn(w, engine, file, changed)
		if err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
		notes = append(notes, note)
	}
	fmt.Fprintf(w, "\n%s\n\n", strings.Join(notes, " "))
	return nil
}

func (b *bench) ingestOn(w io.Writer, engine, file, changed string) (note string, err error) {
	results := map[*build][]ingested{b.this: make([]ingested, len(loads)), b.that: make([]ingested, len(loads))}
	var plain, peak, held, visible []float64
	for range *rounds {
		base := make([]float64, len(loads))
		if b.that == nil {
			seconds, err := b.plainImport(engine, file)
			if err != nil {
				return "", err
			}
			plain = append(plain, seconds)
			base = []float64{seconds, seconds, seconds}
		}
		for _, on := range b.builds() {
			server, in, err := b.ingestRound(on, engine, []string{file, changed}, base, results[on])
			if err != nil {
				return "", err
			}
			if on == b.this {
				peak, held = append(peak, float64(server.memory("VmHWM"))), append(held, float64(server.memory("VmRSS")))
				ms, err := in.drop(len(peak))
				if err != nil {
					server.kill()
					return "", err
				}
				visible = append(visible, ms)
			} else {
				for i := range loads {
					base[i] = results[on][i].seconds[len(results[on][i].seconds)-1]
				}
			}
			server.kill()
		}
	}
	for i, l := range loads {
		r, goals, floor := results[b.this][i], fmt.Sprintf("%g / %g", l.floor, l.aim), l.floor
		if engine == onPostgres {
			goals, floor = fmt.Sprintf("%g / %g", l.pFloor, l.pAim), l.pFloor
		}
		first := median(plain)
		if b.that != nil {
			first, goals, floor = median(results[b.that][i].seconds), "", 0
		}
		fmt.Fprintf(w, "| %s | %s on %s | %.2f | %.0f | %.2f | %s | %s | %s | %s | 250 | %.2f |\n", l.name, b.this.name, engine, median(r.seconds), float64(*rows)/median(r.seconds), first,
			atMost(median(r.ratios), floor, "%.2f"), goals, atMost(slices.Max(r.read), 250, "%.0f"), atMost(slices.Max(r.check), 250, "%.0f"), median(r.filtered))
	}
	return fmt.Sprintf("On %s: resident memory at most %.0f MiB over these loads, %.0f MiB after them; from close on the SFTP handle to visible in `GET /inventory`, 501 rows of another integration: %.0f ms.",
		engine, median(peak), median(held), median(visible)), nil
}

// ingestRound has a new installation take the files. base are the seconds that each is compared with, 0 for none.
func (b *bench) ingestRound(on *build, engine string, files []string, base []float64, into []ingested) (s *process, small *integration, err error) {
	p := &place{b: b, on: on, engine: engine, data: filepath.Join(b.dir, "ingest")}
	if err := os.RemoveAll(p.data); err != nil {
		return nil, nil, err
	}
	if engine == onPostgres {
		if p.database, err = b.pg.database(b.ctx, "bench_ingest", "template0"); err != nil {
			return nil, nil, err
		}
	}
	if err := p.founded(); err != nil {
		return nil, nil, err
	}
	if err := p.addKeys(checkKeys, `["dealers:read"]`); err != nil {
		return nil, nil, err
	}
	if s, err = p.start(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			s.kill()
		}
	}()
	in, err := s.integrate(p.keys[0])
	if err != nil {
		return s, nil, err
	}
	pr := &probe{p: s, key: p.keys[0]}
	for i, l := range loads {
		file := files[0]
		if l.changed {
			file = files[1]
		}
		if err := pr.begin(); err != nil {
			return s, nil, err
		}
		seconds, err := in.load(file, *rows)
		read, check, failed := pr.end()
		if err := errors.Join(err, failed); err != nil {
			return s, nil, err
		}
		into[i].seconds, into[i].read, into[i].check = append(into[i].seconds, seconds), append(into[i].read, read), append(into[i].check, check)
		done := time.Now()
		if err := in.indexed(); err != nil {
			return s, nil, err
		}
		into[i].filtered = append(into[i].filtered, time.Since(done).Seconds())
		if base[i] > 0 {
			into[i].ratios = append(into[i].ratios, seconds/base[i])
		}
	}
	small, err = in.another()
	return s, small, err
}

// checkKeys are as many as a probe needs in a quarter of an hour.
const checkKeys = 10_000

// probe is a client that goes on asking while a file is worked on.
type probe struct {
	p    *process
	key  string
	next int // key that has not called yet

	stop        chan struct{}
	done        sync.WaitGroup
	read, check time.Duration // the longest
	err         error
}

func (pr *probe) begin() error {
	c, err := call(pr.p)
	if err != nil {
		return err
	}
	pr.stop, pr.read, pr.check, pr.err = make(chan struct{}), 0, 0, nil
	pr.done.Go(func() {
		defer hangUp([]*caller{c})
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for pr.err == nil {
			select {
			case <-pr.stop:
				return
			case <-tick.C:
				pr.once(c)
			}
		}
	})
	return nil
}

func (pr *probe) once(c *caller) {
	asked := time.Now()
	pr.next++
	if pr.next%2 == 0 { // a key without the scope: the answer needs the accounts alone
		pr.err = c.ask(&side{auth: always(keyHeader(keyText(pr.next / 2 % checkKeys)))}, query{path: page(1), want: http.StatusForbidden}, nil)
		pr.check = max(pr.check, time.Since(asked))
		return
	}
	path := pageOf(*rows)
	pr.err = c.ask(&side{auth: always(keyHeader(pr.key))}, query{path: path}, rand.New(rand.NewPCG(0, uint64(pr.next))))
	pr.read = max(pr.read, time.Since(asked))
}

func (pr *probe) end() (read, check float64, err error) {
	close(pr.stop)
	pr.done.Wait()
	return 1000 * pr.read.Seconds(), 1000 * pr.check.Seconds(), pr.err
}

// plainImport loads the file as plainly as it can be done into a table with our key and our indexes.
func (b *bench) plainImport(engine, file string) (seconds float64, err error) {
	columns := `"` + strings.ReplaceAll(feedHeader, ",", `" TEXT, "`) + `" TEXT`
	indexes, err := b.indexes(engine)
	if err != nil {
		return 0, err
	}
	var cmd *exec.Cmd
	if engine == onSQLite {
		path := filepath.Join(b.dir, "import.db")
		defer removeStore(path)
		cmd = exec.CommandContext(b.ctx, "sqlite3", "-batch", "-bail", path)
		cmd.Stdin = strings.NewReader("PRAGMA journal_mode = WAL;\nPRAGMA synchronous = NORMAL;\nPRAGMA cache_size = -8000;\nPRAGMA temp_store = MEMORY;\n" +
			"CREATE TABLE feed (" + columns + ");\n" + indexes + ".import --csv --skip 1 " + strconv.Quote(file) + " feed\nSELECT count(*) FROM feed;\n")
	} else {
		address, err := b.pg.database(b.ctx, "bench_copy", "template0")
		if err != nil {
			return 0, err
		}
		if err := b.pg.extend(b.ctx, "bench_copy", indexes); err != nil {
			return 0, err
		}
		cmd = exec.CommandContext(b.ctx, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", address)
		cmd.Stdin = strings.NewReader("CREATE TABLE feed (" + columns + ");\n" + indexes + `\copy feed from '` + file + "' csv header\nSELECT count(*) FROM feed;\n")
	}
	begin := time.Now()
	out, err := pinned(cmd).CombinedOutput()
	seconds = time.Since(begin).Seconds()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), strconv.Itoa(*rows)) {
		return 0, fmt.Errorf("plain import: %w\n%s", errors.Join(err, errors.New("not every row is there")), out)
	}
	return seconds, nil
}

func removeStore(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}

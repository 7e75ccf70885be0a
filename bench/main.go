// Bench measures the server side by side with what does as little as possible: a bare net/http server that writes the
// same bytes, sqlite3's .import and psql's \copy of the same file, or another commit of this program. All that serve are
// processes of their own on one core of the machine, PostgreSQL's among them; who asks is on the others. They take turns
// in one run, and medians are reported, with the ratio of each turn's figures.
//
//	scripts/postgres.sh go run ./bench                                # all parts, tables on standard output
//	scripts/postgres.sh go run ./bench -write docs/performance.md     # the same into the document
//	go run ./bench -only reads,startup                                # some parts, and without PostgreSQL
//	go run ./bench -only reads -against HEAD~10                       # two commits instead
//
// Needs Linux with taskset; sqlite3 and psql for what they are compared with.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	vehicles = flag.Int("vehicles", 100_000, "vehicles in the inventory; growth compares them with a tenth of them")
	keys     = flag.Int("keys", 1_000_000, "API keys in the store that growth compares with one of 1,000")
	rows     = flag.Int("rows", 100_000, "rows of the file that ingest loads")
	rounds   = flag.Int("rounds", 5, "rounds; medians are reported")
	turn     = flag.Duration("turn", time.Second, "how long requests are sent in one turn")
	clients  = flag.Int("clients", 32, "connections")

	only     = flag.String("only", "", "parts to measure, separated by commas")
	against  = flag.String("against", "", "another commit to compare with, in reads, ingest, startup and inprocess")
	keep     = flag.String("keep", "", "folder in which generated inventories are kept for the next run")
	document = flag.String("write", "", "document whose parts between the bench marks are replaced")
)

// part is one table of the document, between marks of its own.
type part struct {
	name     string
	measure  func(*bench, io.Writer) error
	versus   bool // also compares commits
	postgres bool // needs it
	named    bool // measured only when it is asked for
}

var parts = []part{
	{name: "reads", measure: (*bench).reads, versus: true},
	{name: "growth", measure: (*bench).growth},
	{name: "replicas-hot", measure: (*bench).replicasHot, postgres: true},
	{name: "ingest", measure: (*bench).ingest, versus: true},
	{name: "startup", measure: (*bench).startup, versus: true},
	{name: "inprocess", measure: (*bench).inProcess, versus: true},
	{name: "replicas", measure: (*bench).replicas, postgres: true, named: true},
	{name: "rules", measure: (*bench).rules, named: true},
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "bare" {
		serveBare(os.Args[2])
		return
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	ctx  context.Context
	dir  string    // gone when it ends
	pg   *postgres // nil: none
	this *build
	that *build // of the commit to compare with; nil: none
}

func run(ctx context.Context) (err error) {
	chosen, err := choose()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "carfluence-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, dir: dir}
	if err := b.buildAll(); err != nil {
		return err
	}
	defer b.forgetCommit()
	if os.Getenv(postgresURL) != "" {
		if b.pg, err = openPostgres(ctx); err != nil {
			return fmt.Errorf("PostgreSQL: %w", err)
		}
		defer b.pg.close()
	}
	if err := pinClients(); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := b.report(p); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, b.warnings())
		}
	}
	return nil
}

// choose returns the parts that were asked for.
func choose() (chosen []part, err error) {
	names := strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	every := len(names) == 0
	for _, p := range parts {
		if slices.Contains(names, p.name) || every && !p.named && (*against == "" || p.versus) {
			chosen = append(chosen, p)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == p.name })
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("-only: there is no part %s", strings.Join(names, ", "))
	}
	if *against != "" && *document != "" {
		return nil, errors.New("-against is for standard output: the document compares with what does not change")
	}
	return chosen, nil
}

// report measures a part, prints it and writes it into the document.
func (b *bench) report(p part) error {
	if p.postgres && b.pg == nil {
		fmt.Printf("## %s\n\nLeft out: it needs PostgreSQL; run it under scripts/postgres.sh.\n\n", p.name)
		return nil
	}
	if b.that != nil && !p.versus {
		return errors.New("does not compare commits")
	}
	begin := time.Now()
	var text bytes.Buffer
	fmt.Fprintf(&text, "Measured on %s, commit %s: %s.\n\n", begin.UTC().Format(time.DateOnly), b.this.commit, b.machine())
	if err := p.measure(b, &text); err != nil {
		return err
	}
	fmt.Printf("## %s\n\n%s\n(%s)\n\n", p.name, &text, time.Since(begin).Round(time.Second))
	if *document == "" {
		return nil
	}
	return replacePart(*document, "bench "+p.name, text.String())
}

// machine describes what was measured on.
func (b *bench) machine() string {
	var memory int
	text, _ := os.ReadFile("/proc/meminfo")
	_, _ = fmt.Sscanf(string(text), "MemTotal: %d kB", &memory)
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	it := fmt.Sprintf("%s/%s, %d CPUs, %s, %d GiB, Linux %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), (memory+1<<19)>>20,
		strings.TrimSpace(string(kernel)), runtime.Version())
	if b.pg != nil {
		it += ", PostgreSQL " + b.pg.version
	}
	return it
}

// replacePart replaces what stands between the two marks of a document.
func replacePart(path, mark, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := "<!-- "+mark+": begin -->", "<!-- "+mark+": end -->"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no marks %s and %s", path, begin, end)
	}
	return os.WriteFile(path, []byte(head+begin+"\n"+text+end+tail), 0o644)
}

// warnings are the first that the servers logged.
func (b *bench) warnings() string {
	const most = 20
	text, _ := os.ReadFile(filepath.Join(b.dir, "server.log"))
	var list []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"level":"INFO"`) && len(list) < most {
			list = append(list, line)
		}
	}
	return strings.Join(list, "")
}

// inProcess runs the benchmarks of verification and counting.
func (b *bench) inProcess(w io.Writer) error {
	fmt.Fprintf(w, "| verify a key and count the call, warm, in process | ns | at most / aim | allocations | at most / aim |\n| --- | --- | --- | --- | --- |\n")
	tests := map[*build]string{}
	for _, on := range b.builds() {
		tests[on] = on.binary + "-auth.test"
		cmd := unpinned(exec.CommandContext(b.ctx, "go", "test", "-c", "-o", tests[on], "./internal/auth"))
		cmd.Dir = on.source
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the benchmark: %w\n%s", err, out)
		}
	}
	ns, allocs := map[*build][]float64{}, map[*build][]float64{}
	for range *rounds {
		for _, on := range b.builds() {
			cmd := pinned(exec.CommandContext(b.ctx, tests[on], "-test.run", "^$", "-test.bench", "^BenchmarkVerifyAndCount$", "-test.benchmem"))
			cmd.Dir = filepath.Join(on.source, "internal/auth")
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("benchmark: %w\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if f := strings.Fields(line); strings.HasPrefix(line, "Benchmark") {
					ns[on], allocs[on] = append(ns[on], number(f, "ns/op")), append(allocs[on], number(f, "allocs/op"))
				}
			}
		}
	}
	for _, on := range b.builds() {
		fmt.Fprintf(w, "| %s | %s | 1000 / 400 | %s | 2 / 0 |\n", on.name, atMost(median(ns[on]), 1000, "%.0f"), atMost(median(allocs[on]), 2, "%.0f"))
	}
	fmt.Fprintln(w)
	return nil
}

func number(fields []string, unit string) float64 {
	for i, f := range fields {
		if f == unit && i > 0 {
			var v float64
			_, _ = fmt.Sscan(fields[i-1], &v)
			return v
		}
	}
	return 0
}

// atMost writes a figure, in bold where it is beyond its floor; a floor of 0 is none.
func atMost(v, floor float64, format string) string {
	text := fmt.Sprintf(format, v)
	if floor > 0 && v > floor {
		return "**" + text + "**"
	}
	return text
}

// atLeast is atMost the other way.
func atLeast(v, floor float64, format string) string {
	text := fmt.Sprintf(format, v)
	if floor > 0 && v < floor {
		return "**" + text + "**"
	}
	return text
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU unknown"
}

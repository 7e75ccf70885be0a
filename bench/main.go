// Bench measures the server side by side with a bare net/http server that writes the same bytes, both as
// processes of their own, in turn, in one run. It prints what it found and can write it to a document.
//
//	go run ./bench                         # a table on standard output
//	go run ./bench -write docs/performance.md
//	scripts/postgres.sh go run ./bench -only replicas
package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

var (
	vehicles = flag.Int("vehicles", 100_000, "vehicles in the inventory")
	requests = flag.Int("requests", 20_000, "requests per measurement")
	clients  = flag.Int("clients", 8, "connections")
	rounds   = flag.Int("rounds", 5, "rounds; medians are reported")

	feedRows   = flag.Int("feed-rows", 1_000_000, "rows of an integration's file")
	feedRounds = flag.Int("feed-rounds", 3, "rounds of loading it")
	only       = flag.String("only", "", "one part alone: imports, feeds, rules, reads or inprocess; only so: replicas or stores, on PostgreSQL")

	document = flag.String("write", "", "document whose part between the bench marks is replaced")
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "bare" {
		serveBare(os.Args[2])
		return
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serveBare answers every request with the bytes of a file, as little as net/http can do.
func serveBare(file string) {
	body, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	l := listen()
	fmt.Println("listening on http://" + l.Addr().String())
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})))
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "carfluence-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, dir: dir, data: filepath.Join(dir, "data"), binary: filepath.Join(dir, "carfluence")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./cmd/carfluence").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "Measured on %s, %s/%s, %d CPUs, %s", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel())
	if *only != "replicas" {
		fmt.Fprintf(&text, ": %d vehicles, %d requests a measurement over %d connections, medians of %d rounds", *vehicles, *requests, *clients, *rounds)
	}
	fmt.Fprint(&text, ".\n\n")
	mark := "bench"
	for _, part := range []struct {
		name    string
		measure func(io.Writer) error
		apart   bool // measured only when named, and has a place of its own in the document
	}{{"imports", b.imports, false}, {"feeds", b.feeds, false}, {"rules", b.rules, false}, {"reads", b.reads, false}, {"inprocess", b.inProcess, false},
		{"replicas", b.replicas, true}, {"stores", b.stores, true}} {
		if *only != part.name && (*only != "" || part.apart) {
			continue
		}
		if part.apart {
			mark = "bench " + part.name
		}
		if err := part.measure(&text); err != nil {
			return fmt.Errorf("%s: %w\n%s", part.name, err, b.warnings())
		}
	}
	fmt.Print(text.String())
	if *document != "" && (*only == "" || mark != "bench") {
		return replacePart(*document, mark, text.String())
	}
	return nil
}

type bench struct {
	ctx      context.Context
	dir      string
	data     string
	binary   string
	database string // URL of PostgreSQL, "" for SQLite
}

// imports loads a generated file three ways: read by encoding/csv alone, imported into an empty inventory,
// and imported again unchanged.
func (b *bench) imports(w io.Writer) error {
	file := filepath.Join(b.dir, "feed.csv")
	if err := writeFeed(file, *vehicles); err != nil {
		return err
	}
	csvTime, err := readCSV(file)
	if err != nil {
		return err
	}
	if s, err := b.start(); err != nil { // makes the dealer group
		return err
	} else if err := s.stop(); err != nil {
		return err
	}
	fmt.Fprintf(w, "| import of %d rows | seconds | rows/s | times encoding/csv alone (%.2f s) |\n| --- | --- | --- | --- |\n", *vehicles, csvTime.Seconds())
	for _, what := range []string{"first load, with history", "the same file again"} {
		begin := time.Now()
		_, err := b.command("import", file, "--dealer", "Bench Motors", "--json").Output()
		if err != nil {
			return fmt.Errorf("import: %w\n%s", err, exitText(err))
		}
		took := time.Since(begin)
		fmt.Fprintf(w, "| %s | %.2f | %.0f | %.1f |\n", what, took.Seconds(), float64(*vehicles)/took.Seconds(), took.Seconds()/csvTime.Seconds())
	}
	fmt.Fprintln(w)
	return nil
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

func exitText(err error) []byte {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.Stderr
	}
	return nil
}

func readCSV(path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	begin := time.Now()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	for {
		if _, err := r.Read(); err == io.EOF {
			return time.Since(begin), nil
		} else if err != nil {
			return 0, err
		}
	}
}

// reads compares CPU per request of the whole server process with the bare server's.
func (b *bench) reads(w io.Writer) error {
	s, err := b.start()
	if err != nil {
		return err
	}
	defer s.stop()
	idle := s.resident()
	keys, err := s.makeKeys(b, 2**rounds+2)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "| GET, key + quota + log on, hot page | CPU µs ours | CPU µs bare | ratio bare/ours | requests/s ours | requests/s bare |\n| --- | --- | --- | --- | --- | --- |\n")
	for i, path := range []string{"/api/v1/inventory?limit=1", "/api/v1/inventory?limit=50"} {
		if err := b.compare(w, s, path, keys[i**rounds:]); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nResident memory: %d MiB after the start, %d MiB after serving %d vehicles.\n\n", idle>>20, s.resident()>>20, *vehicles)
	return nil
}

func (b *bench) compare(w io.Writer, s *process, path string, keys []string) error {
	body, err := fetch(s.url+path, keys[0])
	if err != nil {
		return err
	}
	bare, err := b.bare(body)
	if err != nil {
		return err
	}
	defer bare.kill()
	var ours, theirs, oursRate, theirRate []float64
	for round := range *rounds {
		for _, side := range []struct {
			p         *process
			cpu, rate *[]float64
		}{{s, &ours, &oursRate}, {bare, &theirs, &theirRate}} {
			m, err := load(side.p, path, keys[round])
			if err != nil {
				return err
			}
			*side.cpu, *side.rate = append(*side.cpu, m.cpu), append(*side.rate, m.rate)
		}
	}
	fmt.Fprintf(w, "| `%s` (%d bytes) | %.1f | %.1f | %.2f | %.0f | %.0f |\n", strings.TrimPrefix(path, "/api/v1"), len(body),
		median(ours), median(theirs), median(theirs)/median(ours), median(oursRate), median(theirRate))
	return nil
}

// inProcess runs the benchmarks of verification and counting.
func (b *bench) inProcess(w io.Writer) error {
	out, err := exec.CommandContext(b.ctx, "go", "test", "./internal/auth", "-run", "^$", "-bench", "^BenchmarkVerifyAndCount$", "-count", fmt.Sprint(*rounds)).Output()
	if err != nil {
		return fmt.Errorf("benchmark: %w\n%s", err, out)
	}
	var ns, allocs []float64
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Benchmark") {
			ns, allocs = append(ns, number(f, "ns/op")), append(allocs, number(f, "allocs/op"))
		}
	}
	fmt.Fprintf(w, "Verify a key and count the call, warm, in process: %.0f ns and %.0f allocations (medians).\n", median(ns), median(allocs))
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

func (b *bench) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, b.binary, args...)
	cmd.Env = append(os.Environ(), "CARFLUENCE_DATA="+b.data, "CARFLUENCE_LISTEN=127.0.0.1:0", "CARFLUENCE_METRICS_LISTEN=127.0.0.1:0", "CARFLUENCE_SFTP_LISTEN=127.0.0.1:0",
		"CARFLUENCE_ADMIN_EMAIL=bench@example.com", "CARFLUENCE_ADMIN_PASSWORD=only for the bench 4711",
		"CARFLUENCE_DATABASE="+b.database, "CARFLUENCE_SECRET="+benchSecret)
	return cmd
}

func (b *bench) start() (*process, error) {
	cmd := b.command("serve")
	log, err := os.OpenFile(filepath.Join(b.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = log
	return startProcess(cmd)
}

// makeKeys creates keys on the command line; each has enough credits for its rounds.
func (p *process) makeKeys(b *bench, n int) ([]string, error) {
	var keys []string
	for i := range n {
		out, err := b.command("key", "create", fmt.Sprintf("bench %d", i), "--scopes", "inventory:read", "--rate-limit-per-hour", "1000000").Output()
		if err != nil {
			return nil, fmt.Errorf("key: %w\n%s", err, exitText(err))
		}
		keys = append(keys, strings.TrimSpace(string(out)))
	}
	return keys, nil
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

func fetch(url, key string) ([]byte, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || !json.Valid(body)) {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return body, err
}

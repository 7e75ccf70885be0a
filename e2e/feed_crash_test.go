package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// delivery is one file of an integration that has to end up in the inventory once, whatever happens on the way.
type delivery struct {
	name, maker string
	rows, price int
	before      int // price of the maker's vehicles without it; 0 for none
	entries     int // of the maker's history without it
}

func (d *delivery) text() string { return feedText(d.maker, d.rows, d.price, "One owner.") }

// absentOrWhole checks the stock database for the old state or the new one, while no server runs or any does.
func (d *delivery) absentOrWhole(t *testing.T, data string) {
	t.Helper()
	stock := stockOf(t, data, d.maker)
	switch price := stock.whole(t, d.rows); {
	case price == fmt.Sprintf("%d.00", d.price):
		d.check(t, stock)
	case d.before == 0 && stock.total == 0 && stock.entries == 0:
	case d.before != 0 && price == fmt.Sprintf("%d.00", d.before) && stock.entries == d.entries:
	default:
		t.Errorf("neither without %s nor with it: %+v, %+v", d.name, stock, *d)
	}
}

// check wants the file's rows there, once.
func (d *delivery) check(t *testing.T, stock stocked) {
	t.Helper()
	entries := d.entries
	if d.before != 0 {
		entries += d.rows // a new price each; what a vehicle began with is no row
	}
	if price := stock.whole(t, d.rows); stock.total != d.rows || price != fmt.Sprintf("%d.00", d.price) || stock.entries != entries {
		t.Errorf("with %s: %+v, want %d vehicles and %d entries", d.name, stock, d.rows, entries)
	}
}

// arrive waits on a server that was started again until the file is processed by itself, sending it once more only
// if it was never taken, and checks that it was processed once.
func (d *delivery) arrive(t *testing.T, x *source, taken bool) {
	t.Helper()
	logs := x.named(d.name)
	if taken && len(logs) != 1 {
		t.Fatalf("a file that was taken has %d logs", len(logs))
	}
	if len(logs) == 0 {
		if err := x.dropper().put(d.name, d.text()); err != nil {
			t.Fatalf("send again: %v", err)
		}
	}
	var l fileLog
	eventually(t, d.name+" is processed", 60*time.Second, func() bool {
		if logs = x.named(d.name); len(logs) != 1 {
			t.Fatalf("%d logs of one file: %v", len(logs), logs)
		}
		l = logs[0]
		return l.text("status") != "queued" && l.text("status") != "running"
	})
	created := d.rows
	if d.before != 0 {
		created = 0
	}
	if l.text("status") != "completed" || l.count("records_created") != created || l.count("records_updated") != d.rows-created || l.count("records_errors") != 0 {
		t.Errorf("%v", l)
	}
	if sum := x.log(l.text("id")).text("sha256"); sum != sha(d.text()) {
		t.Errorf("%s was kept with another content", d.name)
	}
	x.lists(d.rows)
	d.check(t, stockOf(t, x.s.data, d.maker))
}

// moments are where in the life of a file the server is killed.
var moments = []struct {
	name string
	wait func(x *source, name string, sent <-chan error)
}{
	{"while it is received", func(*source, string, <-chan error) { time.Sleep(rand.N(15 * time.Millisecond)) }},
	{"while it waits", func(_ *source, _ string, sent <-chan error) { <-sent; time.Sleep(rand.N(500 * time.Millisecond)) }},
	{"in its survey", func(x *source, name string, sent <-chan error) {
		<-sent
		x.until(name, "running", "completed")
		time.Sleep(rand.N(40 * time.Millisecond))
	}},
	{"in its transaction", func(x *source, name string, sent <-chan error) {
		<-sent
		x.until(name, "running", "completed")
		time.Sleep(rand.N(300 * time.Millisecond))
	}},
	{"at its commit", func(x *source, name string, sent <-chan error) {
		<-sent
		x.committing(x.s.data)
	}},
	{"after its commit", func(x *source, name string, sent <-chan error) {
		<-sent
		x.until(name, "completed")
		time.Sleep(rand.N(20 * time.Millisecond))
	}},
}

// until waits for one of the statuses of a file that was sent.
func (x *source) until(name string, statuses ...string) {
	x.s.t.Helper()
	eventually(x.s.t, name+" is "+strings.Join(statuses, " or "), 20*time.Second, func() bool {
		logs := x.named(name)
		return len(logs) == 1 && slices.Contains(statuses, logs[0].text("status"))
	})
}

// committing waits until about the time when the file is committed.
func (x *source) committing(data string) {
	if d := databasesOf(x.s.t, data); d.accounts != "" {
		d.written(x.s.t)
		return
	}
	x.grown(data)
}

// written waits until a transaction that writes vehicles ends.
func (d databases) written(t testing.TB) {
	t.Helper()
	conn := administer(t, d.of(sqldb.Stock))
	for begun, end := false, time.Now().Add(3*time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var writing bool
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = to_regclass('stock.vehicle') AND mode = 'RowExclusiveLock')`).Scan(&writing); err != nil {
			t.Fatal(err)
		}
		if begun && !writing {
			return
		}
		begun = begun || writing
	}
}

// administer is a connection as the administrator's role, to a test's database.
func administer(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), sqldbtest.AdminURL(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// grown waits until much is written to SQLite's log at once, which a commit does.
func (x *source) grown(data string) {
	size := func() int64 {
		info, err := os.Stat(filepath.Join(data, "stock.db-wal"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	start := size()
	for end := time.Now().Add(3 * time.Second); size() < start+64<<10 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	time.Sleep(rand.N(30 * time.Millisecond))
}

// TestKilledFeeds kills the server at all moments of one file's life. After a restart the file is there whole, once,
// without anybody's doing.
func TestKilledFeeds(t *testing.T) {
	t.Parallel()
	rows := rounds(2000, 3000)
	data := t.TempDir()
	s := serve(t, data)
	key := s.feedKey()
	dealer := s.dealer(key, "Crash Motors")
	seen := map[string]int{}
	for round := range rounds(3, 40) {
		x := s.source(key, dealer, fmt.Sprintf("crash %d", round))
		maker := fmt.Sprintf("K%02d", round)
		first := &delivery{name: "first.csv", maker: maker, rows: rows, price: 20_000}
		second := &delivery{name: "second.csv", maker: maker, rows: rows, price: 21_000, before: 20_000}
		for i, d := range []*delivery{first, second} {
			moment := moments[(2*round+i+round/3)%len(moments)]
			x = x.on(s)
			sent := make(chan error, 2) // for the moment and for us
			client := x.dropper()
			var sending sync.WaitGroup
			sending.Go(func() {
				err := client.put(d.name, d.text())
				sent <- err
				sent <- err
			})
			moment.wait(x, d.name, sent)
			s.kill()
			sending.Wait()
			taken := <-sent == nil
			d.absentOrWhole(t, data)
			s = serve(t, data)
			x = x.on(s)
			state := "not received"
			if logs := x.named(d.name); len(logs) == 1 {
				state = logs[0].text("status")
			}
			d.arrive(t, x, taken)
			seen[fmt.Sprintf("%s, found %s", moment.name, state)]++
			if t.Failed() {
				t.Fatalf("round %d: killed %s", round, moment.name)
			}
		}
		if kinds := x.history(vinOf(maker, rows/2)); !slices.Equal(kinds, []string{"created", "price_change"}) {
			t.Errorf("history: %v", kinds)
		}
	}
	s.stop()
	checkStores(t, data)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%d killed %s", seen[what], what)
	}
}

// injection is a fault of the stock database, from outside.
type injection struct {
	errno string
	calls string
	when  string // the n-th call of a thread, or all from the n-th on
	late  bool   // it begins once the file is received
}

const (
	writing = "pwrite64,pwritev,write"
	syncing = "fsync,fdatasync,ftruncate"
)

func injections() (all []injection) {
	if !soak() {
		return []injection{
			{"ENOSPC", writing, "2", false}, {"EIO", writing, "10+", true}, {"ENOSPC", writing, "150", true}, {"EIO", writing, "1", true}, {"EIO", syncing, "1+", true},
		}
	}
	for _, n := range []int{1, 2, 3, 5, 8, 13, 20, 30, 50, 80, 130, 200, 300, 500, 800, 1200} {
		for _, errno := range []string{"ENOSPC", "EIO"} {
			for _, when := range []string{fmt.Sprint(n), fmt.Sprint(n) + "+"} {
				all = append(all, injection{errno, writing, when, false}, injection{errno, writing, when, true})
				if n <= 5 {
					all = append(all, injection{errno, syncing, when, true})
				}
			}
		}
	}
	return all
}

// inject makes calls of a running server on its stock database fail until the server is gone.
func (i injection) inject(t *testing.T, s *server) (end func()) {
	t.Helper()
	args := []string{command(t, "strace"), "-f", "-o", os.DevNull, "-e", "trace=" + i.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", i.calls, i.errno, i.when)}
	for _, suffix := range []string{"", "-wal"} {
		args = append(args, "-P", filepath.Join(s.data, "stock.db"+suffix))
	}
	args = append(args, "-p", fmt.Sprint(s.cmd.Process.Pid))
	if os.Geteuid() != 0 { // not every system lets one trace what is not one's child
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		leaveOut(t, "strace does not start: "+err.Error())
	}
	said := &bytes.Buffer{}
	one := make([]byte, 1)
	for !bytes.Contains(said.Bytes(), []byte("attached")) { // "Process 4711 attached with 9 threads"
		if _, err := out.Read(one); err != nil {
			_ = cmd.Wait()
			leaveOut(t, "strace may not attach to the server: "+said.String())
		}
		said.Write(one)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return func() {
		s.kill() // ends strace as well
		_ = cmd.Wait()
	}
}

// TestInjectedFaults has the disk fail under the stock database at many points of one run. There is never half a
// feed, and once the disk is well the file is processed, once.
func TestInjectedFaults(t *testing.T) {
	sqldbtest.Only(t, sqldb.SQLite, "it fails calls on its files; TestPostgreSQLKilled")
	t.Parallel()
	command(t, "strace")
	const rows = 1500
	data := t.TempDir()
	s := serve(t, data)
	key := s.feedKey()
	dealer := s.dealer(key, "Fault Motors")
	seen := map[string]int{}
	for n, fault := range injections() {
		maker := fmt.Sprintf("%c%02d", "JKLMNPRS"[n/100], n%100)
		x := s.source(key, dealer, fmt.Sprintf("fault %d", n))
		first := &delivery{name: "first.csv", maker: maker, rows: rows, price: 20_000}
		d := first
		if n%2 == 1 { // half of them are the second file
			first.arrive(t, x, false)
			d = &delivery{name: "second.csv", maker: maker, rows: rows, price: 21_000, before: 20_000}
		}
		var end func()
		if !fault.late {
			end = fault.inject(t, s)
		}
		r, err := x.upload(d.name, strings.NewReader(d.text()))
		if fault.late {
			end = fault.inject(t, s)
		}
		taken := err == nil && r.StatusCode == 202
		if err == nil && !taken && (r.StatusCode != 503 || r.Header.Get("Retry-After") == "") {
			t.Errorf("%+v: an upload was answered %d %s", fault, r.StatusCode, r.body)
		}
		state, failed := "refused", false
		for end := time.Now().Add(3 * time.Second); taken && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if logs, ok := x.tryNamed(d.name); ok && len(logs) == 1 {
				state, failed = logs[0].text("status"), contains(s.logged(), "file not processed")
				if state == "completed" || state == "failed" || failed {
					break
				}
			}
		}
		select {
		case <-s.done:
			t.Errorf("%+v: the server ended:\n%s", fault, s.logged())
		default:
		}
		if contains(s.logged(), "panic") {
			t.Errorf("%+v:\n%s", fault, s.logged())
		}
		d.absentOrWhole(t, data)
		end()
		d.absentOrWhole(t, data)
		s = serve(t, data)
		d.arrive(t, x.on(s), taken)
		if failed {
			state += " and cut short by the fault"
		}
		seen[state]++
		if t.Failed() {
			t.Fatalf("%+v, state %s", fault, state)
		}
	}
	s.stop()
	checkStores(t, data)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%d files %s", seen[what], what)
	}
}

// tryNamed is named on a server that may not be well.
func (x *source) tryNamed(name string) ([]fileLog, bool) {
	r, err := x.s.call("GET", "/api/v1/integrations/"+x.id+"/logs", "", x.key)
	if err != nil || r.StatusCode != 200 {
		return nil, false
	}
	return x.named(name), true
}

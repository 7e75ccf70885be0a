package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"carfluence/internal/app"
	"carfluence/internal/feed"
	"carfluence/internal/rest"
	"carfluence/internal/vin"
)

// feedVIN is the i-th of many valid VINs.
func feedVIN(i int) string {
	text := fmt.Sprintf("1FTEW1EF0H%07d", i)
	return text[:8] + string(vin.CheckDigit(text)) + text[9:]
}

// vehicles is a file of the vehicles from..to.
func vehicles(from, to int, rows ...string) string {
	var b strings.Builder
	b.WriteString("VIN,Price,Color,Shade\n")
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s,10000,Red,x\n", feedVIN(i))
	}
	return b.String() + strings.Join(rows, "")
}

// yard is an installation with a group and an integration that sells what a file does not list.
type yard struct {
	testing.TB
	data        string
	integration string
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{TB: t, data: newFolder(t)}
	y.must(exitOK, "group", "add", "Group")
	out, _ := y.must(exitOK, "feed", "add", "Nightly stock", "--type", "custom", "--dealer", "Main Street", "--strategy", "overwrite")
	y.integration = y.find(out, `Made integration (\S+): Nightly stock \(custom\)`)
	return y
}

// must runs a command that has to end with a code.
func (y *yard) must(code int, args ...string) (out, errOut string) {
	y.Helper()
	return y.mustIn(y.Context(), code, args...)
}

func (y *yard) mustIn(ctx context.Context, code int, args ...string) (out, errOut string) {
	y.Helper()
	var o, e bytes.Buffer
	got := Run(ctx, append(args, "--data", y.data), strings.NewReader(""), &o, &e)
	if got != code {
		y.Fatalf("%s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, o.String(), e.String())
	}
	return o.String(), e.String()
}

// find is the first group of a pattern that has to be there.
func (y *yard) find(text, pattern string) string {
	y.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		y.Fatalf("no %s in\n%s", pattern, text)
	}
	return m[len(m)-1]
}

func (y *yard) shows(text string, patterns ...string) {
	y.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			y.Errorf("no %s in\n%s", p, text)
		}
	}
}

// file is a file to push; each is newer than the one before.
func (y *yard) file(name, text string) string {
	y.Helper()
	path := filepath.Join(y.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		y.Fatal(err)
	}
	return path
}

// serve runs a server on the installation until stop is called.
func (y *yard) serve() (stop func()) {
	y.Helper()
	stores, err := app.OpenStores(y.Context(), app.Store{Data: y.data})
	if err != nil {
		y.Fatal(err)
	}
	c := app.Config{
		Store: app.Store{Data: y.data}, Listen: "127.0.0.1:0", SFTPListen: "off", MetricsListen: "off", AdminEmail: "a@example.com", GroupName: "Group",
		TokenTTL: time.Minute, RefreshTTL: time.Hour, SessionTTL: time.Hour, SigningKeyPeriod: time.Hour, QuotaWindow: time.Hour, SessionRatePerHour: 1000,
		SFTPConnections: 1, SFTPIdle: time.Minute, PageCacheMB: 1, RulesMax: 200,
		Feeds: app.Feeds{
			FeedMaxFileMB: 10, FeedMaxUnpackedMB: 10, FeedGuardPercent: 30, FeedGuardLeast: 10, FeedWorkers: 2, FeedUploads: 4, FeedQueued: 100, FeedKeptFiles: 10, FeedMaxProblems: 1000, FeedLogDays: 10,
		},
	}
	s, err := app.NewServer(y.Context(), c, stores, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		y.Fatal(err)
	}
	l, err := s.Listen(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(y.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, l, func() {}) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			y.Error(err)
		}
		if err := stores.Close(); err != nil {
			y.Error(err)
		}
	}
}

func TestPushedFilesAreReported(t *testing.T) {
	y := newYard(t)
	for _, served := range []bool{false, true} {
		t.Run(fmt.Sprintf("served %v", served), func(t *testing.T) {
			if served {
				defer y.serve()()
			}
			base := map[bool]int{false: 0, true: 100}[served]
			if served {
				y.must(exitOK, "feed", "add", "Other", "--type", "custom", "--strategy", "overwrite")
				y.integration = "other"
			}
			push := func(code int, name, text string, flags ...string) (string, string) {
				t.Helper()
				return y.must(code, append([]string{"feed", "push", y.file(name, text), "--integration", y.integration}, flags...)...)
			}
			out, errOut := push(exitOK, "stock.csv", vehicles(base, base+20))
			y.shows(out, `stock\.csv: completed in `, `rows +20\n`, `created +20\n`, `refused +0\n`, `sold +0 `, `separated by comma`, `Columns not used: Shade\.`)
			if errOut != "" {
				t.Errorf("error stream of no terminal: %q", errOut)
			}
			out, errOut = push(exitRefused, "stock.csv", vehicles(base, base+18, "none,1,Blue,x\n", feedVIN(base+19)+",cheap,Red,x\n"))
			y.shows(out, `created +0\n`, `updated +19 `, `refused +1\n`, `missing +1 `, `sold +1 `, `line 20: VIN`, `Warnings \(1\)`, `1 × Price: .* \(line 21\)`, `feed logs \S+ --errors FILE\.csv --data `+y.data)
			y.shows(errOut, `^carfluence: 1 of 20 rows refused\n$`)
			out, errOut = push(exitFailure, "empty.csv", "")
			y.shows(out+errOut, `empty\.csv: failed`, `carfluence: the file failed and has changed nothing: .*empty`)
			out, errOut = push(exitHeld, "short.csv", vehicles(base, base+2))
			y.shows(out, `short\.csv: held`, `more than 30 %`, `would create +0\n`, `would update +2\n`, `would sell +17 of 19`, `Among those sold: (\w{17}, ){11}\w{17} and 5 more`,
				`feed confirm \S+ --data `+y.data, `feed discard \S+ --data `+y.data)
			y.shows(errOut, `held`)
			held := y.find(out, `feed confirm (\S+) `)
			out, _ = push(exitHeld, "short.csv", vehicles(base, base+3), "--json")
			var body runBodyRead
			if err := json.Unmarshal([]byte(out), &body); err != nil || body.Log.Status != "held" || body.Log.Would.Sell != 16 {
				t.Errorf("%v %+v", err, body)
			}
			if _, errOut := y.must(exitFailure, "feed", "confirm", held); !strings.Contains(errOut, "does not wait") {
				t.Errorf("a superseded file: %s", errOut)
			}
			out, _ = y.must(exitOK, "feed", "confirm", body.Log.ID)
			y.shows(out, `short\.csv: completed`, `sold +16 `)
			out, _ = push(exitRefused, "again.csv", vehicles(base, base+3, "none,1,Blue,x\n"), "--json")
			if err := json.Unmarshal([]byte(out), &body); err != nil || body.Log.Status != "completed" || body.Log.Total != 4 || body.Log.Refused != 1 || len(body.Errors) != 1 || body.Errors[0].Line != 5 || body.Errors[0].Result != "refused" {
				t.Errorf("%v %+v", err, body)
			}
		})
	}
}

// runBodyRead is what --json prints, as far as tests read it.
type runBodyRead struct {
	Log struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Total   int64  `json:"records_total"`
		Refused int64  `json:"records_errors"`
		Would   struct {
			Sell int64 `json:"sell"`
		} `json:"would"`
	} `json:"log"`
	Errors []struct {
		Line   int    `json:"line"`
		Result string `json:"result"`
	} `json:"errors"`
}

// A car that another store's file lists by now is no sale, and the report tells where it has gone.
func TestMovedVehiclesAreReported(t *testing.T) {
	y := newYard(t)
	y.must(exitOK, "feed", "add", "Other store", "--type", "custom", "--dealer", "Lakeside", "--strategy", "overwrite")
	y.must(exitOK, "feed", "push", y.file("a1.csv", vehicles(0, 3)), "--integration", y.integration)
	y.must(exitOK, "feed", "push", y.file("b1.csv", vehicles(2, 3)), "--integration", "Other store")
	out, _ := y.must(exitOK, "feed", "push", y.file("a2.csv", vehicles(0, 2)), "--integration", y.integration)
	y.shows(out, `missing +1 `, `moved +1 \(of the missing, to other integrations that list them\)`, `sold +0 `)
	if out, _ = y.must(exitOK, "feed", "push", y.file("a3.csv", vehicles(0, 1)), "--integration", y.integration); strings.Contains(out, "moved") {
		t.Error(out)
	}
}

func TestDiscardedFilesChangeNothing(t *testing.T) {
	y := newYard(t)
	y.must(exitOK, "feed", "push", y.file("a.csv", vehicles(0, 20)))
	out, _ := y.must(exitHeld, "feed", "push", y.file("b.csv", vehicles(0, 1)))
	id := y.find(out, `feed discard (\S+)`)
	out, _ = y.must(exitOK, "feed", "discard", id)
	y.shows(out, `Discarded b\.csv`)
	for _, verb := range []string{"discard", "confirm"} {
		if _, errOut := y.must(exitFailure, "feed", verb, id); !strings.Contains(errOut, "does not wait") {
			t.Errorf("%s: %s", verb, errOut)
		}
		if _, errOut := y.must(exitFailure, "feed", verb, "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00"); !strings.Contains(errOut, "no such log") {
			t.Errorf("%s of nothing: %s", verb, errOut)
		}
	}
	out, _ = y.must(exitOK, "feed", "logs", id)
	y.shows(out, `b\.csv: discarded`, `would sell +19 of 20`)
	out, _ = y.must(exitOK, "feed", "logs", "--integration", "NIGHTLY STOCK")
	y.shows(out, `b\.csv .* discarded\n`, `a\.csv .* 20 +20 +0 +0 +0 +0 +completed`)
	// Confirmed without waiting, the file is done by whoever comes next.
	out, _ = y.must(exitHeld, "feed", "push", y.file("c.csv", vehicles(0, 2)))
	id = y.find(out, `feed confirm (\S+)`)
	out, errOut := y.must(exitOK, "feed", "confirm", id, "--no-wait")
	y.shows(out+errOut, `feed logs `+id, `No server runs`)
	y.must(exitOK, "feed", "push", y.file("d.csv", vehicles(0, 2)))
	out, _ = y.must(exitOK, "feed", "logs", id)
	y.shows(out, `c\.csv: completed`, `sold +18 `)
}

func TestLogsShowWhatBecameOfFiles(t *testing.T) {
	y := newYard(t)
	if _, errOut := y.must(exitFailure, "feed", "logs", "--integration", "nobody"); !strings.Contains(errOut, y.integration+"  Nightly stock (custom)") {
		t.Errorf("an unknown name does not list the known: %s", errOut)
	}
	var bad strings.Builder
	for i := range 25 {
		fmt.Fprintf(&bad, "=bad%d,1,Red,x\n", i)
	}
	out, _ := y.must(exitRefused, "feed", "push", y.file("stock.csv", vehicles(0, 3)+bad.String()))
	id := y.find(out, `feed logs (\S+) --errors`)
	for range 3 {
		y.must(exitOK, "feed", "push", y.file("other.csv", vehicles(0, 3)))
	}
	cells := filepath.Join(t.TempDir(), "errors.csv")
	out, _ = y.must(exitOK, "feed", "logs", id, "--errors", cells)
	y.shows(out, `Received .* from system command line, [\d,]+ bytes, SHA-256 [0-9a-f]{64}`, `stock\.csv: completed`, `refused +25\n`, `line 5: `, `… and 5 more rows`)
	if strings.Contains(out, "line 25: ") {
		t.Errorf("more than the first 20:\n%s", out)
	}
	written, err := os.ReadFile(cells)
	if lines := strings.Split(strings.TrimSpace(string(written)), "\n"); err != nil || len(lines) != 26 || lines[0] != "line,result,column,value,reason" || !strings.HasPrefix(lines[1], "5,refused,VIN,'=bad0,") {
		t.Errorf("%v:\n%s", err, written)
	}
	out, errOut := y.must(exitOK, "feed", "logs", "--limit", "2")
	if strings.Count(out, "\n") != 3 || !strings.Contains(errOut, "2 older files") {
		t.Errorf("two of four:\n%s%s", out, errOut)
	}
	out, _ = y.must(exitOK, "feed", "logs", "--json", "--integration", y.integration)
	var list struct {
		Logs []struct {
			ID string `json:"id"`
		} `json:"logs"`
		Total int64 `json:"total"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Logs) != 4 || list.Total != 4 || list.Logs[3].ID != id {
		t.Errorf("%v %+v", err, list)
	}
	y.must(exitOK, "feed", "logs", id, "--integration", "nightly stock")
	y.must(exitOK, "feed", "add", "Second", "--type", "vauto")
	if _, errOut := y.must(exitFailure, "feed", "logs", id, "--integration", "Second"); !strings.Contains(errOut, "no such log") {
		t.Errorf("a log of another integration: %s", errOut)
	}
	for _, args := range [][]string{{"--errors", cells}, {"--limit", "0"}} {
		y.must(exitUsage, append([]string{"feed", "logs"}, args...)...)
	}
	if _, errOut := y.must(exitFailure, "feed", "logs", id, "--errors", filepath.Join(t.TempDir(), "no", "where.csv")); !strings.Contains(errOut, "--errors: ") {
		t.Errorf("a folder that is none: %s", errOut)
	}
}

func TestIntegrationsAreListedWithTheirLatestFile(t *testing.T) {
	y := newYard(t)
	out, _ := y.must(exitOK, "feed", "list")
	y.shows(out, y.integration+` +Nightly stock +custom +Main Street +custom-\S+ +- +never +pending\n`)
	y.must(exitFailure, "feed", "push", y.file("bad.csv", "a,b\n1,2\n"))
	out, _ = y.must(exitOK, "feed", "list", "--group", "group")
	y.shows(out, `bad\.csv +\d{4}-\S+ \S+ +error: bad\.csv: `)
	out, _ = y.must(exitOK, "feed", "list", "--json")
	var body struct {
		Integrations []listedRead `json:"integrations"`
	}
	if err := json.Unmarshal([]byte(out), &body); err != nil || len(body.Integrations) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	if i := body.Integrations[0]; i.ID != y.integration || i.Dealership != "Main Street" || i.Status != "error" || i.Reason == "" || i.Last.Filename != "bad.csv" || i.Last.Status != "failed" || !strings.HasPrefix(i.Username, "custom-") {
		t.Errorf("%+v", i)
	}
}

type listedRead struct {
	ID         string `json:"id"`
	Dealership string `json:"dealership"`
	Status     string `json:"status"`
	Reason     string `json:"status_reason"`
	Username   string `json:"sftp_username"`
	Last       struct {
		Filename string `json:"filename"`
		Status   string `json:"status"`
	} `json:"last_file"`
}

func TestIntegrationsAreMadeAndRotated(t *testing.T) {
	y := newYard(t)
	password := func(args ...string) string {
		t.Helper()
		out, _ := y.must(exitOK, args...)
		y.shows(out, `SFTP username: (custom|vauto)-\S+\n`)
		return y.find(out, `SFTP password \(shown once\): (\S{32})\n`)
	}
	if a, b := password("feed", "passwd", "nightly STOCK"), password("feed", "passwd", y.integration); a == b {
		t.Error("the same password again")
	}
	out, _ := y.must(exitOK, "feed", "add", "vAuto", "--type", "vauto", "--dealer", " main street ")
	if strings.Contains(out, "Made dealership") {
		t.Errorf("a known dealership was made again:\n%s", out)
	}
	out, _ = y.must(exitOK, "feed", "add", "NIGHTLY STOCK", "--type", "vauto", "--dealer", "New Store")
	y.shows(out, `Made dealership New Store\.`)
	_, errOut := y.must(exitFailure, "feed", "passwd", "Nightly Stock")
	y.shows(errOut, `Several integrations`, y.integration+`  Nightly stock \(custom\)`, `\S+  NIGHTLY STOCK \(vauto\)`)
	if strings.Contains(errOut, "vAuto (vauto)") {
		t.Errorf("lists one that was not meant: %s", errOut)
	}
	_, errOut = y.must(exitFailure, "feed", "push", y.file("a.csv", vehicles(0, 1)))
	y.shows(errOut, `Say which integration`, `vAuto \(vauto\)`)
	_, errOut = y.must(exitFailure, "feed", "add", "Third", "--type", "vauto")
	y.shows(errOut, `--dealer`)
	if _, errOut = y.must(exitFailure, "feed", "add", " ", "--type", "vauto", "--dealer", "Wasted"); !strings.Contains(errOut, "name: must be") {
		t.Errorf("a blank name: %s", errOut)
	}
	if out, _ = y.must(exitOK, "feed", "add", "Third", "--type", "elead", "--dealer", "Wasted"); !strings.Contains(out, "Made dealership Wasted.") {
		t.Errorf("a dealership was left by an integration that was not made:\n%s", out)
	}
	y.must(exitUsage, "feed", "add", "x", "--type", "fax")
}

func TestFilesThatCannotBePushed(t *testing.T) {
	y := newYard(t)
	file := y.file("a.csv", vehicles(0, 1))
	for path, says := range map[string]string{os.DevNull: "no regular file", "-": "no regular file", y.data: "", filepath.Join(y.data, "nowhere.csv"): "no such file"} {
		if _, errOut := y.must(exitUsage, "feed", "push", path); !strings.Contains(errOut, says) {
			t.Errorf("%s: %s", path, errOut)
		}
	}
	y.must(exitUsage, "feed", "push", file, "--feed-guard-percent", "101")
	if _, errOut := y.must(exitFailure, "feed", "push", file, "--integration", "nobody"); !strings.Contains(errOut, "Nightly stock") || !strings.Contains(errOut, "feed add") {
		t.Errorf("an unknown integration: %s", errOut)
	}
	big := y.file("big.csv", strings.Repeat("x", 1<<20+1))
	if _, errOut := y.must(exitFailure, "feed", "push", big, "--feed-max-file-mb", "1"); !strings.Contains(errOut, "larger than") {
		t.Errorf("a large file: %s", errOut)
	}
	y.must(exitOK, "feed", "push", file)
	old := y.file("old.csv", vehicles(0, 2))
	if err := os.Chtimes(old, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, errOut := y.must(exitFailure, "feed", "push", old); !strings.Contains(errOut, "older than a.csv") {
		t.Errorf("an old file: %s", errOut)
	}
	empty := &yard{TB: t, data: newFolder(t)}
	empty.must(exitOK, "group", "add", "Group")
	if _, errOut := empty.must(exitFailure, "feed", "push", file); !strings.Contains(errOut, "no integration yet") || !strings.Contains(errOut, "feed add") {
		t.Errorf("without an integration: %s", errOut)
	}
}

func TestPausedIntegrationsKeepFilesWaiting(t *testing.T) {
	y := newYard(t)
	y.must(exitOK, "feed", "push", y.file("a.csv", vehicles(0, 20)))
	out, _ := y.must(exitHeld, "feed", "push", y.file("b.csv", vehicles(0, 1)))
	id := y.find(out, `feed confirm (\S+)`)
	y.pause()
	if _, errOut := y.must(exitFailure, "feed", "push", y.file("c.csv", vehicles(0, 20))); !strings.Contains(errOut, "is paused") {
		t.Errorf("push: %s", errOut)
	}
	_, errOut := y.must(exitFailure, "feed", "confirm", id)
	y.shows(errOut, `Nightly stock is paused; b\.csv is stored and waits`)
	defer y.serve()()
	if _, errOut := y.must(exitFailure, "feed", "confirm", id); !strings.Contains(errOut, "does not wait") {
		t.Errorf("confirmed twice: %s", errOut)
	}
}

func (y *yard) desk() (*console, *desk) {
	y.Helper()
	c := &console{Context: y.Context(), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	d, err := openDesk(c, feedPlace{Store: app.Store{Data: y.data}}, app.Feeds{})
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { _ = d.Close() })
	return c, d
}

func (y *yard) pause() {
	y.Helper()
	c, d := y.desk()
	if _, err := d.feeds.UpdateIntegration(c, d.t, c.actor(), y.integration, func(i *feed.Integration) { i.Status = feed.StatusPaused }); err != nil {
		y.Fatal(err)
	}
}

// A server that holds the data folder and does nothing stands for one that is busy.
func TestAWaitCanBeInterruptedAndTheFileStays(t *testing.T) {
	y := newYard(t)
	_, d := y.desk()
	lock, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, errOut := y.mustIn(ctx, exitFailure, "feed", "push", y.file("a.csv", vehicles(0, 5)))
	y.shows(errOut, `interrupted; a\.csv is stored and will be processed by the server\. What becomes of it: carfluence feed logs \S+`)
	id := y.find(errOut, `feed logs (\S+)`)
	out, errOut := y.must(exitOK, "feed", "push", y.file("b.csv", vehicles(0, 6)), "--no-wait")
	y.shows(out, `Stored as \S+\. What becomes of it: carfluence feed logs `)
	if errOut != "" {
		t.Errorf("with a server: %s", errOut)
	}
	out, _ = y.must(exitOK, "feed", "logs", id)
	y.shows(out, `a\.csv: queued`)
	// The server goes: whoever waits takes its place after a while, for what it has left too.
	go func() {
		for { // c.csv has come
			if _, n, err := d.feeds.Logs(t.Context(), d.t, y.integration, rest.Page{Limit: 1}); n >= 3 || err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		_ = lock.Unlock()
	}()
	begun := time.Now()
	out, _ = y.must(exitOK, "feed", "push", y.file("c.csv", vehicles(0, 7)))
	y.shows(out, `c\.csv: completed`, `created +1\n`)
	if took := time.Since(begun); took < takeOverAfter {
		t.Errorf("took over after %s, in the middle of a restart", took)
	}
	out, _ = y.must(exitOK, "feed", "logs", id)
	y.shows(out, `a\.csv: completed`, `created +5\n`)
}

// Whoever interrupts the work itself puts the file back; the next one finishes it.
func TestWorkCanBeInterrupted(t *testing.T) {
	y := newYard(t)
	file := y.file("a.csv", vehicles(0, 3_000))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // until the run is under way
		c, d := y.desk()
		for ctx.Err() == nil {
			if runs, _, err := d.feeds.Logs(c, d.t, y.integration, rest.Page{Limit: 1}); err == nil && len(runs) > 0 && runs[0].Status == feed.RunRunning {
				cancel()
			}
		}
	}()
	_, errOut := y.mustIn(ctx, exitFailure, "feed", "push", file)
	y.shows(errOut, `interrupted; a\.csv is stored and will be processed when a server runs on \S+, or with the next feed push`)
	id := y.find(errOut, `feed logs (\S+)`)
	out, _ := y.must(exitOK, "feed", "logs", id)
	y.shows(out, `a\.csv: queued`)
	stop := y.serve()
	defer stop()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(out, "completed"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server does not take it up:\n%s", out)
		}
		out, _ = y.must(exitOK, "feed", "logs", id)
	}
	y.shows(out, `created +3,000\n`)
}

func TestTheBarShowsRows(t *testing.T) {
	var out bytes.Buffer
	b := &rowsBar{out: &out, name: "a.csv"}
	b.show(feed.Run{Status: feed.RunQueued})
	b.show(feed.Run{Status: feed.RunRunning})
	b.finish()
	if out.Len() > 0 {
		t.Errorf("before anything is known: %q", out.String())
	}
	for _, done := range []int64{100, 500} {
		b.show(feed.Run{Status: feed.RunRunning, RowsDone: done, Counts: feed.Counts{Total: 1000}})
	}
	if !strings.Contains(out.String(), "a.csv") || !strings.Contains(out.String(), "500/1000") {
		t.Errorf("%q", out.String())
	}
	b.finish()
}

func TestTextsOfSendersDoNotSteerTheTerminal(t *testing.T) {
	y := newYard(t)
	out, _ := y.must(exitOK, "feed", "push", y.file("a.csv", "VIN,Co\x1b[2Jlour,\u202eShade\n"+feedVIN(1)+",\x1b]0;x\a,x\n"))
	if strings.ContainsAny(out, "\x1b\a\u202e") {
		t.Errorf("%q", out)
	}
	y.shows(out, `Columns not used: `)
}

func TestConfigShowsTheSettingsOfFeeds(t *testing.T) {
	code, out, errOut := command(t, newFolder(t), "config", "--feed-guard-percent", "40")
	if code != exitOK {
		t.Fatalf("%d %s", code, errOut)
	}
	for _, want := range []string{"sftp-listen", "sftp-connections", "sftp-idle", "feed-max-file-mb", "feed-max-unpacked-mb", "feed-guard-percent +40", "feed-guard-least", "feed-workers", "feed-kept-files", "feed-max-problems", "feed-log-days"} {
		if !regexp.MustCompile(`(?m)^` + want + `\s`).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carfluence/internal/sqldb/sqldbtest"
)

func TestPostgreSQLServesSeveral(t *testing.T) {
	d := databases{accounts: sqldbtest.Empty(t)}
	both := d.serve(t, 2)
	a, b := both[0], both[1]
	if made := strings.Count(a.output()+b.output(), "Made dealer group"); made != 1 {
		t.Errorf("%d first starts:\n%s%s", made, a.output(), b.output())
	}
	admin := a.login()
	b.must(200, "GET", "/api/v1/auth/me", "", admin)
	key := a.feedKey()
	source := a.source(key, b.dealer(key, "Main Street"), "Nightly")
	for _, path := range []string{"/inventory?search=%00", "/inventory/%00", "/dealers/%00", "/dealers/a%00", "/api-keys/%00", "/inventory?search=%ff", "/users/x%00y", "/integrations/%00/logs", "/inventory?integration_id=%00"} {
		if r, err := a.call("GET", "/api/v1"+path, "", admin); err != nil || r.StatusCode >= 500 {
			t.Errorf("%s: %v %s", path, err, r.body)
		}
	}
	const files, rows = 6, 40
	for i := range files { // to either, and worked by whichever comes first
		on := source.on(both[i%2])
		if r, err := on.upload(fmt.Sprintf("stock-%d.csv", i), strings.NewReader(feedText("A", rows, 10_000+i, "x"))); err != nil || r.StatusCode != 202 {
			t.Fatalf("%v %s", err, r.body)
		}
	}
	for _, l := range source.finished(files, time.Minute) {
		if l.text("status") != "completed" {
			t.Errorf("%v", l)
		}
	}
	source.lists(rows)
	source.on(b).lists(rows)
	if d := source.on(b).dropper(); d.put("by-sftp.csv", feedText("A", rows, 20_000, "x")) != nil {
		t.Error("SFTP to the other server")
	}
	source.finished(files+1, time.Minute)
	commandsOnServer(t, d, key, a, b)
	a.stop()
	b.stop()
}

func commandsOnServer(t *testing.T, d databases, key string, a, b *server) {
	t.Helper()
	data := t.TempDir()
	d.place(data)
	for _, args := range [][]string{{"migrate"}, {"user", "list"}, {"feed", "list"}, {"group", "list"}} {
		mustRun(t, data, args...)
	}
	if out, errOut, code := carfluence(t, data, "backup", t.TempDir()); code != 2 || !strings.Contains(errOut, "pg_dump") {
		t.Errorf("backup: %d %s%s", code, out, errOut)
	}
	file := filepath.Join(t.TempDir(), "import.csv")
	if err := os.WriteFile(file, []byte(feedText("B", 5, 1, "x")), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, data, "import", file, "--dealer", "Main Street")
	mustRun(t, data, "feed", "push", file, "--integration", "Nightly")
	id := strings.Fields(strings.Split(mustRun(t, data, "key", "list"), "\n")[1])[0]
	mustRun(t, data, "key", "revoke", id) // in force everywhere when the command ends
	for _, s := range []*server{a, b} {
		s.must(401, "GET", "/api/v1/inventory", "", key)
	}
	if _, errOut, code := carfluence(t, a.data, "serve"); code != 1 || !strings.Contains(errOut, "another folder") {
		t.Errorf("a second server in one data folder: %d %s", code, errOut)
	}
}

// TestPostgreSQLFileOfAKilledServer is taken over by another one on the same database.
func TestPostgreSQLFileOfAKilledServer(t *testing.T) {
	both := databases{sqldbtest.Empty(t), sqldbtest.Empty(t)}.serve(t, 2)
	a, b := both[0], both[1]
	key := a.feedKey()
	source := a.source(key, a.dealer(key, "Main Street"), "Nightly")
	const rows = 20_000 // seconds of work
	if r, err := source.upload("large.csv", strings.NewReader(feedText("A", rows, 10_000, "x"))); err != nil || r.StatusCode != 202 {
		t.Fatalf("%v %s", err, r.body)
	}
	// Progress is told by the server that works the file.
	at := func(s *server) bool {
		l := source.on(s).logs()
		return l[0].text("status") == "running" && l[0].count("records_done") > 0
	}
	var worker *server
	eventually(t, "the file is taken up", time.Minute, func() bool {
		for _, s := range both {
			if at(s) {
				worker = s
			}
		}
		return worker != nil || source.logs()[0].text("status") == "completed"
	})
	if worker == nil {
		t.Fatal("the file was done before it was seen; make it larger")
	}
	other := b
	if worker == b {
		other = a
	}
	worker.kill()
	begun := time.Now()
	left := source.on(other)
	if l := left.finished(1, time.Minute)[0]; l.text("status") != "completed" || l.count("records_created") != rows {
		t.Errorf("%v", l)
	}
	t.Logf("taken over and done %v after the kill", time.Since(begun).Round(time.Millisecond))
	left.lists(rows)
	other.stop()
}

// TestPostgreSQLConnectionsAreCut: under a server, which goes on by itself.
func TestPostgreSQLConnectionsAreCut(t *testing.T) {
	url := sqldbtest.Empty(t)
	s := databases{accounts: url}.serve(t, 1)[0]
	key := s.feedKey()
	source := s.source(key, s.dealer(key, "Main Street"), "Nightly")
	for round := range 3 {
		sqldbtest.CutConnections(t, url)
		refused, answered := 0, 0
		eventually(t, "the server answers again", 10*time.Second, func() bool {
			r, err := s.call("GET", fmt.Sprintf("/api/v1/inventory?limit=%d", 1+answered), "", key)
			if err != nil {
				t.Fatalf("%v\n%s", err, s.logged())
			}
			if r.StatusCode != 200 && r.StatusCode != 503 {
				t.Fatalf("%d %s", r.StatusCode, r.body)
			}
			if answered++; r.StatusCode == 503 {
				refused, answered = refused+1, 0
			}
			return answered == 10
		})
		if refused > 6 {
			t.Errorf("%d calls refused", refused)
		}
		if r, err := source.upload(fmt.Sprintf("%d.csv", round), strings.NewReader(feedText("A", 10, round, "x"))); err != nil || r.StatusCode != 202 {
			t.Fatalf("%v %s", err, r.body)
		}
		source.finished(round+1, time.Minute)
	}
	s.stop()
}

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// house is an installation with something of everything, on embedded databases whose server has ended.
type house struct {
	data      string
	key       string            // for everything
	session   string            // of the administrator, begun before
	limited   string            // of 50 calls, some of which are used
	remaining int               // after the last of them
	vins      []string          // some vehicles
	waits     *source           // has a file that no server has seen
	answers   map[string]string // by path
}

const (
	houseRows   = 300
	quotaWindow = "--quota-window=24h" // which no run of the test outlasts
)

// furnish fills an installation.
func furnish(t *testing.T) *house {
	t.Helper()
	h := &house{data: embedded(t)}
	s := serve(t, h.data, quotaWindow)
	admin := s.login()
	h.session = admin
	h.key = s.key(admin, 1_000_000, "inventory:read", "inventory:write", "dealers:read", "dealers:write", "integrations:read", "integrations:write", "rules:read", "rules:write")
	h.limited = s.key(admin, 50, "inventory:read")
	main := s.dealer(h.key, "Müller & Søn")
	s.dealer(h.key, "Uptown")
	first, second := s.source(h.key, main, "Nightly"), s.source(h.key, main, "Photos")
	s.must(201, "POST", "/api/v1/rules", `{"name":"Price floor","conditions":[{"field":"price","operator":"less_than","value":"5000"}],"actions":[{"type":"set_field","field":"price","value":"5000"}]}`, h.key)
	config := s.must(201, "POST", "/api/v1/merge-configs", fmt.Sprintf(`{"name":"Both","sourceIntegrationIds":[%q,%q]}`, first.id, second.id), h.key).text("mergeConfig.id")
	for i, x := range []*source{first, first, second, first} {
		text := feedText("A", houseRows, 4000+i*2000, "Größe: “XL” \\ 🚗") + "not a vin,1,U,2017,Ford,F-150,1,1,\n"
		if r, err := x.upload(fmt.Sprintf("stock-%d.csv", i), strings.NewReader(text)); err != nil || r.StatusCode != 202 {
			t.Fatalf("%v %s", err, r.body)
		}
		x.finished(map[int]int{0: 1, 1: 2, 2: 1, 3: 3}[i], time.Minute)
	}
	for i := range 3 {
		h.vins = append(h.vins, vinOf("A", i))
	}
	s.must(200, "PATCH", "/api/v1/inventory/"+h.vins[1], `{"price":"31337.00"}`, h.key)
	mustRun(t, h.data, "user", "add", "pat@example.com", "--name", "Pat Doe", "--role", "manager")
	for i := range 7 {
		r := s.must(200, "GET", fmt.Sprint("/api/v1/inventory?limit=", 1+i), "", h.limited)
		h.remaining = remaining(t, r)
	}
	h.answers = map[string]string{
		"/inventory?status=all&limit=200": h.key, "/inventory?status=all&limit=200&offset=200": h.key, "/inventory?search=f-150&limit=7": h.key, "/inventory/stats/summary": h.key,
		"/inventory?limit=200&integration_id=" + second.id: h.key, "/dealers": h.key, "/dealers/unmatched": h.key, "/rules": h.key, "/merge-configs": h.key,
		"/merge-configs/" + config + "/data?limit=200": h.key, "/merge-configs/" + config + "/conflicts?limit=200": h.key, "/integrations/" + first.id + "/logs": h.key,
		"/integrations/" + first.id + "/logs/" + first.logs()[0].text("id"): h.key, "/integrations/" + second.id + "/logs": h.key,
		"/integrations/" + first.id + "/logs/" + first.logs()[0].text("id") + "/errors.csv": h.key, "/users": admin,
	}
	for _, vin := range h.vins {
		h.answers["/inventory/"+vin], h.answers["/inventory/"+vin+"/history"] = h.key, h.key
	}
	eventually(t, "the merged view is built", time.Minute, func() bool {
		r, err := s.call("GET", "/api/v1/merge-configs/"+config+"/data/"+h.vins[0], "", h.key)
		return err == nil && r.StatusCode == 200
	})
	for path, key := range h.answers {
		h.answers[path] = string(s.must(200, "GET", "/api/v1"+path, "", key).body)
	}
	h.waits = second
	s.stop()
	file := filepath.Join(t.TempDir(), "waits.csv")
	if err := os.WriteFile(file, []byte(feedText("B", 40, 9000, "x")), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, h.data, "feed", "push", file, "--integration", "Photos", "--no-wait")
	return h
}

func remaining(t *testing.T, r reply) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(r.Header.Get("X-RateLimit-Remaining"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// served is a server on the database that the house was moved to.
func (h *house) served(t *testing.T, url string) *server {
	t.Helper()
	t.Setenv("CARFLUENCE_DATABASE", url)
	t.Setenv("CARFLUENCE_SECRET_FILE", filepath.Join(h.data, "secret"))
	return serve(t, h.data, quotaWindow)
}

// check holds a server against what the house was.
func (h *house) check(t *testing.T, s *server) {
	t.Helper()
	r := s.must(200, "GET", "/api/v1/inventory?limit=9", "", h.limited)
	if left := remaining(t, r); left != h.remaining-1 {
		t.Errorf("the key has %d calls left, had %d", left, h.remaining)
	}
	s.must(200, "GET", "/api/v1/auth/me", "", h.session)
	admin := s.login()
	h.waits = h.waits.on(s)
	for _, l := range h.waits.finished(2, time.Minute) {
		if l.text("status") != "completed" {
			t.Errorf("%v", l)
		}
	}
	eventually(t, "the file that waited is in the inventory", 5*time.Second, func() bool {
		r, err := s.call("GET", "/api/v1/inventory/"+vinOf("B", 39), "", h.key)
		return err == nil && r.StatusCode == 200 && r.text("vehicle.price") == "9000.00"
	})
	if r := s.must(200, "GET", "/api/v1/users", "", admin); !strings.Contains(string(r.body), "pat@example.com") {
		t.Errorf("%s", r.body)
	}
	changed := []string{"/inventory?", "/inventory/stats", "/merge-configs", "/integrations/" + h.waits.id, "/users"} // by that file, and that login
	for _, path := range slices.Sorted(maps.Keys(h.answers)) {
		if slices.ContainsFunc(changed, func(p string) bool { return strings.HasPrefix(path, p) }) {
			continue
		}
		if got := string(s.must(200, "GET", "/api/v1"+path, "", h.key).body); got != h.answers[path] {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, h.answers[path])
		}
	}
}

// TestPostgreSQLIsMovedTo takes an installation over, and a server there answers as the one before.
func TestPostgreSQLIsMovedTo(t *testing.T) {
	accounts, stock := sqldbtest.Empty(t), sqldbtest.Empty(t)
	h := furnish(t)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(accounts+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CARFLUENCE_DATABASE_FILE", file)
	out := mustRun(t, h.data, "move", "--stock-to", stock)
	for _, want := range []string{"accounts.person ", "stock.feed_file ", "jobs that wait", "both sides are the same", "CARFLUENCE_SECRET_FILE=" + h.data + "/secret", "CARFLUENCE_STOCK_DATABASE"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
	t.Setenv("CARFLUENCE_DATABASE_FILE", "")
	for _, args := range [][]string{{"serve"}, {"user", "list"}, {"move", "--to", accounts, "--stock-to", stock}} {
		if out, errOut, code := carfluence(t, h.data, args...); code != 1 || !strings.Contains(errOut, "was moved to postgres:") || !strings.Contains(errOut, "delete this file") {
			t.Errorf("%v on the folder that was moved: %d %s%s", args, code, out, errOut)
		}
	}
	t.Setenv("CARFLUENCE_STOCK_DATABASE", stock)
	t.Setenv("CARFLUENCE_DATABASE", accounts)
	t.Setenv("CARFLUENCE_SECRET_FILE", filepath.Join(h.data, "secret"))
	s := serve(t, h.data, quotaWindow)
	h.check(t, s)
	s.stop()
	for _, name := range []string{"CARFLUENCE_DATABASE", "CARFLUENCE_STOCK_DATABASE", "CARFLUENCE_SECRET_FILE"} {
		t.Setenv(name, "")
	}
	if err := os.Remove(filepath.Join(h.data, "moved.txt")); err != nil {
		t.Fatal(err)
	}
	back := serve(t, h.data, quotaWindow) // as the refusal says
	h.check(t, back)
	back.stop()
}

// TestPostgreSQLAnswersAlikeAfterAMove compares what lists say, which the file that waits would change.
func TestPostgreSQLAnswersAlikeAfterAMove(t *testing.T) {
	url := sqldbtest.Empty(t)
	h := furnish(t)
	mustRun(t, h.data, "move", "--to", url)
	t.Setenv("CARFLUENCE_DATABASE", url)
	t.Setenv("CARFLUENCE_SECRET_FILE", filepath.Join(h.data, "secret"))
	change(t, administrator(t, url), `UPDATE stock.feed_run SET status = 'discarded' WHERE status = 'queued'`)
	s := serve(t, h.data, quotaWindow)
	for _, path := range slices.Sorted(maps.Keys(h.answers)) {
		if strings.HasSuffix(path, h.waits.id+"/logs") || path == "/users" {
			continue
		}
		if got := string(s.must(200, "GET", "/api/v1"+path, "", h.key).body); got != h.answers[path] {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, h.answers[path])
		}
	}
	s.stop()
}

// administrator is a connection that row-level security does not bind.
func administrator(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), sqldbtest.AdminURL(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func change(t *testing.T, conn *pgx.Conn, query string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// killed runs a move and kills it once a query on the target is true.
func (h *house) killed(t *testing.T, url, when string) {
	t.Helper()
	conn := administrator(t, url)
	cmd := exec.Command(binary, "move", "--to", url)
	cmd.Env = environment(t, h.data)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; {
		var reached bool
		if err := conn.QueryRow(t.Context(), when).Scan(&reached); err == nil && reached {
			break
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the move did not come to where %s\n%s", when, out.String())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if cmd.ProcessState.Exited() {
		t.Fatalf("the move ended before it was killed where %s\n%s", when, out.String())
	}
}

// refused checks that no server works on either side.
func (h *house) refused(t *testing.T, url, folder string) {
	t.Helper()
	if _, errOut, code := carfluence(t, h.data, "serve"); code != 1 || !strings.Contains(errOut, folder) {
		t.Errorf("serve on the folder: %d %s", code, errOut)
	}
	secret, err := os.ReadFile(filepath.Join(h.data, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "migrate"} {
		cmd := exec.Command(binary, command, "--database", url)
		cmd.Env = append(environment(t, embedded(t)), "CARFLUENCE_SECRET="+strings.TrimSpace(string(secret)))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "unfinished move") {
			t.Errorf("%s on the database: %v %s", command, err, out)
		}
	}
}

// TestPostgreSQLMoveIsKilled at several points, one call after the other, until it is done.
func TestPostgreSQLMoveIsKilled(t *testing.T) {
	url := sqldbtest.Empty(t)
	h := furnish(t)
	mustRun(t, h.data, "import", feedFile(t, t.TempDir(), "C", 30_000, 1), "--dealer", "Uptown")
	for _, when := range []string{
		`SELECT to_regclass('accounts.unfinished_move') IS NOT NULL`,
		`SELECT state <> '' FROM accounts.unfinished_move WHERE name = 'membership'`,
		`SELECT rows > 0 FROM stock.unfinished_move WHERE name = 'vehicle'`,
		`SELECT rows > 10000 FROM stock.unfinished_move WHERE name = 'vehicle'`,
		`SELECT state <> '' FROM stock.unfinished_move WHERE name = 'vehicle_source'`,
		`SELECT count(*) > 0 FROM stock.unfinished_move WHERE name = 'river_job'`, // being compared
	} {
		h.killed(t, url, when)
		h.refused(t, url, "is being moved to postgres:")
	}

	// The last step can't be done while somebody looks at the record.
	looks, err := administrator(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := looks.Exec(t.Context(), `SELECT * FROM stock.unfinished_move`); err != nil {
		t.Fatal(err)
	}
	h.killed(t, url, `SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DROP TABLE%' AND datname = current_database()`)
	if err := looks.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.refused(t, url, "was moved to postgres:")

	if out := mustRun(t, h.data, "move", "--to", url); !strings.Contains(out, "finished") {
		t.Error(out)
	}
	s := h.served(t, url)
	h.check(t, s)
	if n := s.must(200, "GET", "/api/v1/inventory?limit=1", "", h.key).json("pagination.total"); n != float64(30_000+houseRows+40) {
		t.Errorf("%v vehicles", n)
	}
	s.stop()
}

// TestPostgreSQLMoveFindsDamage on the target, and begins again in an empty one.
func TestPostgreSQLMoveFindsDamage(t *testing.T) {
	url := sqldbtest.Empty(t)
	h := furnish(t)
	h.killed(t, url, `SELECT count(*) > 0 FROM stock.unfinished_move WHERE name = 'river_job'`)
	conn := administrator(t, url)
	change(t, conn, `UPDATE stock.vehicle SET document = document || ' ' WHERE vin = '`+h.vins[2]+`'`)
	change(t, conn, `DELETE FROM accounts.api_key WHERE rate_limit_per_hour = 50`)
	change(t, conn, `DELETE FROM stock.river_job`)
	out, errOut, code := carfluence(t, h.data, "move", "--to", url)
	differ := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, "DIFFERS") {
			differ++
			if name, _, _ := strings.Cut(line, "  "); name != "stock.vehicle" && name != "accounts.api_key" && name != "jobs that wait" {
				t.Error(line)
			}
		}
	}
	if code != 1 || differ != 3 || !strings.Contains(errOut, "not the same") || !strings.Contains(errOut, "DROP SCHEMA") {
		t.Errorf("%d, %d tables differ\n%s%s", code, differ, out, errOut)
	}
	h.refused(t, url, "is being moved to postgres:")
	change(t, conn, `DROP SCHEMA accounts CASCADE`)
	change(t, conn, `DROP SCHEMA stock CASCADE`)
	mustRun(t, h.data, "move", "--to", url)
	s := h.served(t, url)
	h.check(t, s)
	s.stop()
}

func TestPostgreSQLMoveIsRefused(t *testing.T) {
	url := sqldbtest.Empty(t)
	data := embedded(t)
	refused := func(what string, code int, says string, args ...string) {
		t.Helper()
		out, errOut, got := carfluence(t, data, append([]string{"move"}, args...)...)
		if got != code || !strings.Contains(errOut, says) || strings.Contains(out+errOut, "hunter2") {
			t.Errorf("%s: %d, want %d and %q\n%s%s", what, got, code, says, out, errOut)
		}
	}
	refused("no installation", 2, "no installation", "--to", url)
	s := serve(t, data)
	refused("while a server runs", 1, "stop it first", "--to", url)
	s.stop()
	refused("no target", 2, "--to")
	refused("no URL", 2, "--to: the database's URL", "--to", "mysql://app:hunter2@db/cars")
	refused("no second URL", 2, "--stock-to: the database's URL", "--to", url, "--stock-to", "hunter2")
	refused("nobody there", 1, "a database is away", "--to", "postgres://app:hunter2@127.0.0.1:1/cars")
	refused("a superuser", 1, "NOBYPASSRLS", "--to", sqldbtest.AdminURL(url))
	t.Setenv("CARFLUENCE_SECRET", strings.Repeat("another", 6))
	refused("another secret", 1, "secret does not belong", "--to", url)
	t.Setenv("CARFLUENCE_SECRET", "")

	used := sqldbtest.Empty(t)
	other := func() *server {
		cmd := exec.Command(binary, "serve", "--database", used)
		folder := embedded(t)
		cmd.Env = append(environment(t, folder), "CARFLUENCE_SECRET="+strings.Repeat("secret", 6))
		return launch(t, cmd, folder)
	}()
	refused("servers on the target", 1, "a server, or another move, is at work", "--to", used)
	other.stop()
	refused("another installation", 1, "holds an installation already", "--to", used)
	refused("its stock", 1, "holds an installation already", "--to", url, "--stock-to", used)

	db, err := sqldb.OpenSQLite(t.Context(), filepath.Join(data, "stock.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `INSERT INTO rule_set (dealer_group_id, stamp, days) VALUES ('g', $1, '')`, "a\x00b"); err != nil {
		t.Fatal(err)
	}
	refused("text that can't be held", 1, `stock.rule_set: the row ["g"]`, "--to", url)
	if _, err := db.Exec(t.Context(), `DELETE FROM rule_set`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "moved.txt")); err == nil {
		t.Error("a move that was refused has marked the folder")
	}
	serve(t, data).stop()
	mustRun(t, data, "move", "--to", url)
}

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"carfluence/internal/sqldb/sqldbtest"
)

// freePort is a TCP port of 127.0.0.1 that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// background runs a program until the test ends.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// listens waits until a program has opened its port.
func listens(t *testing.T, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("port %d is open", port), 30*time.Second, func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// pooled is a database's URL through a PgBouncer in the given mode.
func pooled(t *testing.T, database, mode string) string {
	t.Helper()
	bouncer := command(t, "pgbouncer")
	c, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	settings := fmt.Sprintf("[databases]\ncars = host=%s port=%d dbname=%s user=%s password=%s\n"+
		"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = %s\ndefault_pool_size = 100\n",
		c.Host, c.Port, c.Database, c.User, c.Password, port, mode)
	file := filepath.Join(publicFolder(t), "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", file}
	if os.Geteuid() == 0 { // which it refuses
		args = append([]string{"-u", "nobody"}, args...)
	}
	background(t, exec.Command(bouncer, args...))
	listens(t, port)
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/cars", c.User, c.Password, port)
}

// publicFolder is a temporary folder that programs of other users may enter.
func publicFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "carfluence-e2e")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestPostgreSQLThroughAPooler(t *testing.T) {
	database := sqldbtest.Empty(t)
	bySession, byTransaction := databases{accounts: pooled(t, database, "session")}, databases{accounts: pooled(t, database, "transaction")}
	refused := func(args ...string) {
		t.Helper()
		data := t.TempDir()
		byTransaction.place(data)
		if _, errOut, code := carfluence(t, data, args...); code != 1 || !strings.Contains(errOut, "session mode") {
			t.Errorf("%v through a pooler in transaction mode: %d %s", args, code, errOut)
		}
	}
	for range 2 {
		refused("serve")
		s := bySession.serve(t, 1)[0]
		key := s.feedKey()
		source := s.source(key, s.dealer(key, fmt.Sprint("Store of ", s.cmd.Process.Pid)), "Nightly")
		if r, err := source.upload("stock.csv", strings.NewReader(feedText("A", 40, 10_000, "x"))); err != nil || r.StatusCode != 202 {
			t.Fatalf("%v %s", err, r.body)
		}
		if l := source.finished(1, time.Minute)[0]; l.text("status") != "completed" {
			t.Errorf("%v", l)
		}
		refused("user", "list") // beside a server
		s.stop()
	}
}

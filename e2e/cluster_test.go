package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carfluence/internal/sqldb"
	"carfluence/internal/sqldb/sqldbtest"
)

// cluster is a PostgreSQL server of a test's own, which may be killed. It is set up as PostgreSQL comes: every commit is
// synced.
type cluster struct {
	t        testing.TB
	programs string // folder
	folder   string
	port     int
	as       *syscall.SysProcAttr // PostgreSQL refuses root
	process  *exec.Cmd
	ended    chan struct{} // closed when the process has ended
}

// newCluster starts one with an empty database for the program, and ends it with the test.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	sqldbtest.Only(t, sqldb.PostgreSQL, "it needs PostgreSQL's programs")
	c := &cluster{t: t, programs: postgresPrograms(t)}
	var err error
	if c.folder, err = os.MkdirTemp("", "carfluence-cluster"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.folder) })
	c.leaveRoot()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	initdb := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.start()
	t.Cleanup(func() { c.kill(syscall.SIGQUIT) })
	c.exec("CREATE ROLE carfluence LOGIN", "CREATE DATABASE carfluence OWNER carfluence")
	return c
}

// postgresPrograms is the folder of PostgreSQL's programs.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("CARFLUENCE_TEST_POSTGRES_PROGRAMS")
	if folder == "" {
		leaveOut(t, "CARFLUENCE_TEST_POSTGRES_PROGRAMS, which scripts/postgres.sh sets, names no folder of PostgreSQL's programs")
	}
	return folder
}

// leaveRoot has the server run as PostgreSQL's own user.
func (c *cluster) leaveRoot() {
	c.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	own, err := user.Lookup("postgres")
	if err != nil {
		c.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(own.Uid)
	gid, _ := strconv.Atoi(own.Gid)
	c.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	c.give(c.folder)
}

// give makes files the server's own.
func (c *cluster) give(files ...string) {
	c.t.Helper()
	if c.as == nil {
		return
	}
	for _, file := range files {
		if err := os.Chown(file, int(c.as.Credential.Uid), int(c.as.Credential.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.programs, program), args...)
	cmd.Dir, cmd.SysProcAttr = c.folder, c.as
	return cmd
}

// url is a database of the cluster as a role.
func (c *cluster) url(role, database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", role, c.port, database)
}

// databases are where the program is to keep its stores.
func (c *cluster) databases() databases {
	return databases{accounts: c.url("carfluence", "carfluence")}
}

// start returns when the server answers. What a killed one has left running keeps it from starting for a moment.
func (c *cluster) start() {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		c.launch()
		if c.comesUp() {
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(filepath.Join(c.folder, "log"))
			c.t.Fatalf("PostgreSQL does not start:\n%s", text)
		}
		c.kill(syscall.SIGQUIT)
	}
}

func (c *cluster) launch() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	process := c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.port), "-h", "127.0.0.1", "-k", c.folder)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = process.Wait(); close(ended) }()
	c.process, c.ended = process, ended
}

// comesUp waits until the server answers or has ended.
func (c *cluster) comesUp() bool {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-c.ended:
			time.Sleep(50 * time.Millisecond)
			return false
		default:
		}
		if conn, err := pgx.Connect(context.Background(), c.url("postgres", "postgres")); err == nil {
			_ = conn.Close(context.Background())
			return true
		}
	}
	return false
}

// kill ends the server in no order: SIGQUIT is "pg_ctl stop -m immediate", SIGKILL leaves its children behind.
func (c *cluster) kill(how syscall.Signal) {
	_ = c.process.Process.Signal(how)
	<-c.ended
}

// connect is a connection of the administrator.
func (c *cluster) connect() *pgx.Conn {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.url("postgres", "postgres"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// exec runs statements as the administrator.
func (c *cluster) exec(statements ...string) {
	c.t.Helper()
	conn := c.connect()
	for _, s := range statements {
		if _, err := conn.Exec(c.t.Context(), s); err != nil {
			c.t.Fatalf("%s: %v", s, err)
		}
	}
}

// serve starts several servers on the databases at the same time.
func (d databases) serve(t testing.TB, n int, args ...string) []*server {
	t.Helper()
	servers := make([]*server, n)
	var starts sync.WaitGroup
	for i := range servers {
		data := t.TempDir()
		d.place(data)
		starts.Go(func() { servers[i] = serve(t, data, args...) })
	}
	starts.Wait()
	for _, s := range servers {
		if s == nil {
			t.FailNow()
		}
	}
	return servers
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresURL names the server that scripts/postgres.sh has started.
const postgresURL = "CARFLUENCE_TEST_POSTGRES"

// postgres is that server, on the servers' core with all its processes.
type postgres struct {
	admin   *pgx.Conn
	socket  string
	pid     int
	version string
}

const benchRole = "carfluence_bench"

func openPostgres(ctx context.Context) (*postgres, error) {
	admin, err := pgx.Connect(ctx, os.Getenv(postgresURL))
	if err != nil {
		return nil, err
	}
	pg := &postgres{admin: admin}
	var pid, folder, port string
	err = admin.QueryRow(ctx, `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1), current_setting('unix_socket_directories'), current_setting('port'),
		split_part(current_setting('server_version'), ' ', 1)`).Scan(&pid, &folder, &port, &pg.version)
	if err != nil {
		return nil, err
	}
	pg.socket = filepath.Join(folder, ".s.PGSQL."+port)
	if pg.pid, err = strconv.Atoi(pid); err != nil {
		return nil, err
	}
	for _, pid := range append(pg.children(), pg.pid) {
		if err := pin(pid, serverCore); err != nil {
			return nil, err
		}
	}
	_, err = admin.Exec(ctx, `DO $$ BEGIN CREATE ROLE `+benchRole+` LOGIN NOSUPERUSER NOBYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	return pg, err
}

func (pg *postgres) close() { _ = pg.admin.Close(context.Background()) }

func (pg *postgres) url(name string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s", name, url.QueryEscape(filepath.Dir(pg.socket)), benchRole)
}

func (pg *postgres) nameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // it is url's
	}
	return strings.TrimPrefix(u.Path, "/")
}

// database makes an empty one, or a copy of one that nobody uses, and returns its URL.
func (pg *postgres) database(ctx context.Context, name, from string) (string, error) {
	if _, err := pg.admin.Exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
		return "", err
	}
	_, err := pg.admin.Exec(ctx, `CREATE DATABASE `+name+` OWNER `+benchRole+` ENCODING 'UTF8' TEMPLATE `+from)
	return pg.url(name), err
}

// readyMark is the comment on a database that is filled.
const readyMark = "filled"

func (pg *postgres) isReady(ctx context.Context, name string) (ready bool, err error) {
	err = pg.admin.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2`, name, readyMark).Scan(&ready)
	return ready, err
}

// settle vacuums, as autovacuum would soon, so that it doesn't while others are measured.
func (pg *postgres) settle(ctx context.Context, address string) error {
	name := pg.nameOf(address)
	conn, err := pg.connect(ctx, name)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, text := range []string{`VACUUM ANALYZE`, `CHECKPOINT`, `COMMENT ON DATABASE ` + name + ` IS '` + readyMark + `'`} {
		if _, err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// connect is the superuser's connection to a database.
func (pg *postgres) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	config := pg.admin.Config()
	config.Database = name
	return pgx.ConnectConfig(ctx, config)
}

// through is a database's URL by way of a wire.
func through(w *wire, name string) string {
	_, port, _ := net.SplitHostPort(w.listener.Addr().String())
	return fmt.Sprintf("postgres://%s@127.0.0.1:%s/%s?sslmode=disable", benchRole, port, name)
}

// children are the server's processes beside the first, which began them.
func (pg *postgres) children() (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pg.pid, pg.pid))
	for _, child := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(child); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu is the processor time of the server and all its processes so far. Those that have ended are in the sum of the
// process that began them.
func (pg *postgres) cpu() (time.Duration, error) {
	sum, err := cpuOf(pg.pid, true)
	for _, pid := range pg.children() {
		own, _ := cpuOf(pid, false) // 0 when it has ended: then it is in the sum the next time
		sum += own
	}
	return sum, err
}

package main

import (
	"context"
	"errors"
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

const benchSecret = "only for the bench, the same for all servers"

// postgres is the server that scripts/postgres.sh has started.
type postgres struct {
	admin  *pgx.Conn
	socket string
	pid    int
}

const benchRole = "carfluence_bench"

func openPostgres(ctx context.Context) (*postgres, error) {
	where := os.Getenv("CARFLUENCE_TEST_POSTGRES")
	if where == "" {
		return nil, errors.New("run it under scripts/postgres.sh")
	}
	admin, err := pgx.Connect(ctx, where)
	if err != nil {
		return nil, err
	}
	pg := &postgres{admin: admin}
	var pid, folder, port string
	err = admin.QueryRow(ctx, `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1), current_setting('unix_socket_directories'), current_setting('port')`).Scan(&pid, &folder, &port)
	if err != nil {
		return nil, err
	}
	pg.socket = filepath.Join(folder, ".s.PGSQL."+port)
	if pg.pid, err = strconv.Atoi(pid); err != nil {
		return nil, err
	}
	_, err = admin.Exec(ctx, `DO $$ BEGIN CREATE ROLE `+benchRole+` LOGIN NOSUPERUSER NOBYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	return pg, err
}

func (pg *postgres) close() { _ = pg.admin.Close(context.Background()) }

// database makes an empty one, or a copy of one that nobody uses, and returns its URL.
func (pg *postgres) database(ctx context.Context, name, from string) (string, error) {
	if _, err := pg.admin.Exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
		return "", err
	}
	_, err := pg.admin.Exec(ctx, `CREATE DATABASE `+name+` OWNER `+benchRole+` ENCODING 'UTF8' TEMPLATE `+from)
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s", name, url.QueryEscape(filepath.Dir(pg.socket)), benchRole), err
}

// through is a database's URL by way of a wire.
func through(w *wire, name string) string {
	_, port, _ := net.SplitHostPort(w.listener.Addr().String())
	return fmt.Sprintf("postgres://%s@127.0.0.1:%s/%s?sslmode=disable", benchRole, port, name)
}

// cpu is the processor time of the server and all its processes so far. Those that have ended are in the sum of the
// process that began them.
func (pg *postgres) cpu() (time.Duration, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pg.pid, pg.pid))
	if err != nil {
		return 0, err
	}
	sum, err := cpuOf(pg.pid, true)
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			own, _ := cpuOf(pid, false) // 0 when it has ended: then it is in the sum the next time
			sum += own
		}
	}
	return sum, err
}

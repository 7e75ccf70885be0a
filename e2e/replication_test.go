package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// standby starts a synchronous copy of the cluster.
func (c *cluster) standby() *cluster {
	c.t.Helper()
	s := &cluster{t: c.t, programs: c.programs, as: c.as, port: freePort(c.t)}
	var err error
	if s.folder, err = os.MkdirTemp("", "carfluence-cluster"); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(s.folder) })
	s.leaveRoot()
	if out, err := s.command("pg_basebackup", "-D", s.data(), "-d", c.url("postgres", ""), "-R", "-c", "fast").CombinedOutput(); err != nil {
		c.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	s.start()
	c.t.Cleanup(func() { s.kill(syscall.SIGQUIT) })
	c.exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`)
	watch := c.connect()
	eventually(c.t, "the standby is synchronous", time.Minute, func() bool {
		var n int
		err := watch.QueryRow(c.t.Context(), `SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`).Scan(&n)
		return err == nil && n == 1
	})
	return s
}

// TestPostgreSQLFailsOver to a synchronous standby under two servers, which go on by themselves.
func TestPostgreSQLFailsOver(t *testing.T) {
	primary := newCluster(t)
	standby := primary.standby()
	d := databases{accounts: fmt.Sprintf("postgres://carfluence@127.0.0.1:%d,127.0.0.1:%d/carfluence?target_session_attrs=read-write&connect_timeout=3", primary.port, standby.port)}
	servers := d.serve(t, 2)
	admin := servers[0].login()
	key, gone := servers[0].feedAndInventoryKey(admin), servers[0].must(201, "POST", "/api/v1/api-keys", `{"name":"gone","scopes":["inventory:read"],"rateLimitPerHour":1000}`, admin)
	w := &writers{acked: map[string]int{}, sent: map[string]int{}, again: true, stop: make(chan struct{})}
	for i, s := range servers {
		w.write(t, s, key, fmt.Sprintf("%dFT", i+1), 2)
	}
	written := func(more int) int {
		var n int
		eventually(t, "vehicles are written", time.Minute, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			n = len(w.acked)
			return n > more
		})
		return n
	}
	before := written(100)
	servers[1].must(204, "DELETE", "/api/v1/api-keys/"+gone.text("id"), "", admin)
	primary.kill(syscall.SIGQUIT)
	failed := time.Now()
	standby.exec(`SELECT pg_promote()`)
	standby.exec(`ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`) // it has no standby itself
	took := goodWithin(t, servers, key, time.Minute)
	written(before + 100)
	w.end()
	t.Logf("good answers %v after the failure, %v after the promotion began; %d writes were refused", time.Since(failed).Round(time.Millisecond), took.Round(time.Millisecond), w.refused.Load())
	w.check(t, inventoryOfAll(t, servers[0], key))
	for _, s := range servers {
		s.must(401, "GET", "/api/v1/inventory", "", "X-API-Key: "+gone.text("key"))
		s.must(200, "GET", "/api/v1/auth/me", "", admin)
		s.stop()
	}
}

// TestPostgreSQLOverTLS verifies the server's certificate and is known by one of its own.
func TestPostgreSQLOverTLS(t *testing.T) {
	c := newCluster(t)
	ours, theirs := newAuthority(t), newAuthority(t)
	dir := publicFolder(t)
	ours.issue(c.data()+"/server", "db.example.com", net.IPv4(127, 0, 0, 1))
	ours.issue(dir+"/carfluence", "carfluence", nil)
	theirs.issue(dir+"/stranger", "carfluence", nil)
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(c.data()+"/root.crt", ours.pem())
	write(dir+"/ca.crt", ours.pem())
	write(dir+"/other.crt", theirs.pem())
	write(c.data()+"/pg_hba.conf", "host all postgres 127.0.0.1/32 trust\nhostssl all carfluence 127.0.0.1/32 cert\n")
	c.give(c.data()+"/server.crt", c.data()+"/server.key", c.data()+"/root.crt")
	c.exec(`ALTER SYSTEM SET ssl = on`, `ALTER SYSTEM SET ssl_ca_file = 'root.crt'`, `SELECT pg_reload_conf()`)
	eventually(t, "the server takes TLS", time.Minute, func() bool {
		conn, err := pgx.Connect(t.Context(), c.url("postgres", "postgres")+"?sslmode=require")
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
	good := map[string]string{"sslmode": "verify-full", "sslrootcert": dir + "/ca.crt", "sslcert": dir + "/carfluence.crt", "sslkey": dir + "/carfluence.key"}
	at := func(host string, but map[string]string) databases {
		url, next := strings.Replace(c.url("carfluence", "carfluence"), "127.0.0.1", host, 1), "?"
		for name, value := range good {
			if other, ok := but[name]; ok {
				value = other
			}
			if value != "" {
				url, next = url+next+name+"="+value, "&"
			}
		}
		return databases{accounts: url}
	}
	for what, x := range map[string]struct {
		d    databases
		says string
	}{
		"another authority":      {at("127.0.0.1", map[string]string{"sslrootcert": dir + "/other.crt"}), "unknown authority"},
		"another name":           {at("localhost", nil), "certificate"},
		"no certificate of ours": {at("127.0.0.1", map[string]string{"sslcert": "", "sslkey": ""}), "certificate"},
		"a stranger's":           {at("127.0.0.1", map[string]string{"sslcert": dir + "/stranger.crt", "sslkey": dir + "/stranger.key"}), "unknown"},
		"no TLS":                 {at("127.0.0.1", map[string]string{"sslmode": "disable"}), "pg_hba.conf"},
	} {
		data := t.TempDir()
		x.d.place(data)
		if _, errOut, code := carfluence(t, data, "serve"); code != 1 || !strings.Contains(errOut, x.says) {
			t.Errorf("%s: %d %s", what, code, errOut)
		}
	}
	s := at("127.0.0.1", nil).serve(t, 1)[0]
	s.login()
	var secured, all int
	err := c.connect().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'carfluence'`).Scan(&secured, &all)
	if err != nil || all == 0 || secured != all {
		t.Errorf("%d of %d connections are secured, %v", secured, all, err)
	}
	s.stop()
}

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"carfluence/internal/sqldb/sqldbtest"
)

// balanced runs HAProxy with deploy/haproxy.cfg in front of three servers. It returns them as one, as clients at 127.0.0.2 see it,
// and the address for SFTP.
func balanced(t *testing.T, servers []*server, sftp []string) (s *server, forSFTP string) {
	t.Helper()
	proxy := command(t, "haproxy")
	dir := publicFolder(t)
	a := newAuthority(t)
	a.issue(dir+"/site", "inventory.example.com", net.IPv4(127, 0, 0, 1))
	b, err := os.ReadFile("../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config, _, _ := strings.Cut(string(b), "\nresolvers docker\n")
	ports := []int{freePort(t), freePort(t), freePort(t)}
	places := []string{" resolvers docker", "", "bind :80\n", fmt.Sprintf("bind 127.0.0.1:%d\n", ports[0]), "bind :443 ", fmt.Sprintf("bind 127.0.0.1:%d ", ports[1]),
		"bind :2222", fmt.Sprintf("bind 127.0.0.1:%d", ports[2]), "/run/secrets/tls.pem", dir + "/tls.pem", "check port 8080 ", "check "}
	for i, s := range servers {
		_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
		places = append(places, fmt.Sprintf("carfluence-%d:8080", i+1), "127.0.0.1:"+port, fmt.Sprintf("carfluence-%d:2222", i+1), sftp[i]+" port "+port)
	}
	config = strings.NewReplacer(places...).Replace(config)
	pem := ""
	for _, file := range []string{"/site.crt", "/site.key"} {
		b, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		pem += string(b)
	}
	for file, text := range map[string]string{"/haproxy.cfg": config, "/tls.pem": pem} {
		if err := os.WriteFile(dir+file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(proxy, "-c", "-f", dir+"/haproxy.cfg").CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Fatalf("haproxy.cfg: %v\n%s", err, out)
	}
	background(t, exec.Command(proxy, "-db", "-f", dir+"/haproxy.cfg"))
	listens(t, ports[1])
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: dialer.DialContext}}
	t.Cleanup(client.CloseIdleConnections)
	return &server{t: t, url: fmt.Sprintf("https://127.0.0.1:%d", ports[1]), client: client}, fmt.Sprintf("127.0.0.1:%d", ports[2])
}

// TestPostgreSQLBehindABalancer stops and kills servers under clients of deploy/haproxy.cfg.
func TestPostgreSQLBehindABalancer(t *testing.T) {
	servers := databases{accounts: sqldbtest.Empty(t)}.serve(t, 3, "--trusted-proxies", "127.0.0.1", "--drain", "4s")
	key := servers[0].feedAndInventoryKey(servers[0].login())
	source := servers[0].source(key, servers[0].dealer(key, "Main Street"), "Nightly")
	var sftp []string
	for _, s := range servers {
		sftp = append(sftp, source.on(s).address)
	}
	all, address := balanced(t, servers, sftp)
	eventually(t, "the balancer knows the servers", time.Minute, func() bool {
		r, err := all.call("GET", "/readyz", "")
		return err == nil && r.StatusCode == 200
	})

	forged := all.must(200, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword), "X-Forwarded-For: 192.0.2.9")
	if r := all.must(200, "GET", "/api/v1/auth/sessions", "", "Authorization: Bearer "+forged.text("token")); !strings.Contains(string(r.body), `"127.0.0.2"`) || strings.Contains(string(r.body), "192.0.2.9") {
		t.Errorf("the address of a client: %s", r.body)
	}
	x := *source
	x.s, x.address = all, address
	if err := x.dropper().put("stock.csv", feedText("A", 40, 10_000, "x")); err != nil {
		t.Errorf("SFTP: %v", err)
	}
	x.finished(1, time.Minute)

	w := write(t, all, key, "2FT", 6)
	more := func() {
		t.Helper()
		w.mu.Lock()
		before := len(w.acked)
		w.mu.Unlock()
		eventually(t, "vehicles are written", time.Minute, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.acked) > before+50
		})
	}
	more()
	servers[0].stop()
	more()
	servers[1].stop()
	more()
	w.end()
	if !maps.Equal(w.sent, w.acked) {
		t.Errorf("of %d vehicles %d were acknowledged: a stop cut requests off", len(w.sent), len(w.acked))
	}
	w.check(t, inventoryOfAll(t, all, key))

	again := databases{accounts: databasesOf(t, servers[2].data).accounts}.serve(t, 1, "--trusted-proxies", "127.0.0.1", "--listen", strings.TrimPrefix(servers[0].url, "http://"))
	all.must(200, "GET", "/api/v1/inventory", "", key)
	eventually(t, "the balancer has found the server that is back", time.Minute, func() bool {
		return strings.Contains(again[0].logged(), `"/readyz"`)
	})
	servers[2].kill()
	eventually(t, "clients of the killed server are answered", 10*time.Second, func() bool {
		r, err := all.call("GET", "/api/v1/inventory", "", key)
		return err == nil && r.StatusCode == 200
	})
	again[0].stop()
}

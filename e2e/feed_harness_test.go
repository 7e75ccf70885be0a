package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"carfluence/internal/sqldb"
)

// source is an integration as whoever sends its files knows it.
type source struct {
	s   *server
	key string // header of a key that may do all a test does
	id  string

	username, password, fingerprint string
	address                         string // of the SFTP server; another one after a restart
}

// feedKey makes a key for everything tests of feeds do.
func (s *server) feedKey() string {
	s.t.Helper()
	return s.key(s.login(), 1_000_000, "inventory:read", "dealers:read", "dealers:write", "integrations:read", "integrations:write")
}

// dealer makes a dealership.
func (s *server) dealer(key, name string) (id string) {
	s.t.Helper()
	return s.must(201, "POST", "/api/v1/dealers", fmt.Sprintf(`{"name":%q}`, name), key).text("dealer.id")
}

// source makes an integration of custom files.
func (s *server) source(key, dealer, name string) *source {
	s.t.Helper()
	r := s.must(201, "POST", "/api/v1/integrations", fmt.Sprintf(`{"dealershipId":%q,"type":"custom","name":%q}`, dealer, name), key)
	x := &source{s: s, key: key, id: r.text("integration.id"), password: r.text("sftp.password")}
	return x.on(s)
}

// on is the integration on a server that was started again.
func (x *source) on(s *server) *source {
	s.t.Helper()
	r := s.must(200, "GET", "/api/v1/integrations/"+x.id, "", x.key)
	port, _ := r.json("integration.sftp.port").(float64)
	y := *x
	y.s, y.username, y.fingerprint = s, r.text("integration.sftp.username"), r.text("integration.sftp.hostKeyFingerprint")
	y.address = net.JoinHostPort(r.text("integration.sftp.host"), strconv.Itoa(int(port)))
	return &y
}

// dropper is a connected SFTP client.
type dropper struct {
	*sftp.Client
	ssh  *ssh.Client
	wire *cutter
}

// cutter is a connection that breaks in the middle once so many bytes more were sent.
type cutter struct {
	net.Conn
	left int64 // none when negative
}

// Write implements net.Conn.
func (c *cutter) Write(p []byte) (int, error) {
	if c.left < 0 {
		return c.Conn.Write(p)
	}
	if int64(len(p)) <= c.left {
		c.left -= int64(len(p))
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.left])
	return n, errors.Join(errors.New("cut"), c.Conn.Close())
}

// connect logs in by the password, from an address of its own when one is given.
func (x *source) connect(from string) (*dropper, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", x.address)
	if err != nil {
		return nil, err
	}
	wire := &cutter{c, -1}
	config := &ssh.ClientConfig{User: x.username, Auth: []ssh.AuthMethod{ssh.Password(x.password)}, Timeout: 20 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if ssh.FingerprintSHA256(key) != x.fingerprint {
				return fmt.Errorf("host key %s, want %s", ssh.FingerprintSHA256(key), x.fingerprint)
			}
			return nil
		}}
	conn, channels, requests, err := ssh.NewClientConn(wire, x.address, config)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	client := ssh.NewClient(conn, channels, requests)
	files, err := sftp.NewClient(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &dropper{files, client, wire}, nil
}

// dropper is connect that has to succeed.
func (x *source) dropper() *dropper {
	x.s.t.Helper()
	c, err := x.connect("")
	if err != nil {
		x.s.t.Fatalf("SFTP login of %s: %v", x.username, err)
	}
	x.s.t.Cleanup(func() { _ = c.ssh.Close() })
	return c
}

// put drops a file; nil means that the server has taken it.
func (d *dropper) put(name, text string) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// upload sends a file over HTTP.
func (x *source) upload(name string, body io.Reader) (reply, error) {
	req, err := http.NewRequest("POST", x.s.url+"/api/v1/integrations/"+x.id+"/files?filename="+url.QueryEscape(name), body)
	if err != nil {
		return reply{}, err
	}
	header, value, _ := strings.Cut(x.key, ": ")
	req.Header.Set(header, value)
	req.Header.Set("Content-Type", "text/csv")
	client := &http.Client{Transport: x.s.client.Transport, Timeout: 10 * time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res, b}, err
}

// fileLog is a line of the integration's log.
type fileLog map[string]any

func (l fileLog) text(name string) string { s, _ := l[name].(string); return s }
func (l fileLog) count(name string) int   { n, _ := l[name].(float64); return int(n) }

// logs lists the integration's files, newest first.
func (x *source) logs() (logs []fileLog) {
	x.s.t.Helper()
	r := x.s.must(200, "GET", "/api/v1/integrations/"+x.id+"/logs?limit=200", "", x.key)
	list, _ := r.json("logs").([]any)
	for _, l := range list {
		m, _ := l.(map[string]any)
		logs = append(logs, m)
	}
	return logs
}

// log is one file with all that is known of it.
func (x *source) log(id string) fileLog {
	x.s.t.Helper()
	m, _ := x.s.must(200, "GET", "/api/v1/integrations/"+x.id+"/logs/"+id, "", x.key).json("log").(map[string]any)
	return m
}

// named are the logs of files of one name.
func (x *source) named(name string) []fileLog {
	x.s.t.Helper()
	return slices.DeleteFunc(x.logs(), func(l fileLog) bool { return l.text("filename") != name })
}

// finished waits until so many files are done with, and returns their logs.
func (x *source) finished(files int, within time.Duration) []fileLog {
	x.s.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		logs, waiting := x.logs(), 0
		for _, l := range logs {
			if l.text("status") == "queued" || l.text("status") == "running" {
				waiting++
			}
		}
		if waiting == 0 && len(logs) == files {
			return logs
		}
		if time.Now().After(end) {
			x.s.t.Fatalf("%d files are not done with after %s: %v\n%s", files, within, logs, x.s.logged())
		}
	}
}

// listed is how many vehicles the integration lists.
func (x *source) listed() int {
	x.s.t.Helper()
	n, _ := x.s.must(200, "GET", "/api/v1/inventory?status=all&limit=1&integration_id="+x.id, "", x.key).json("pagination.total").(float64)
	return int(n)
}

// lists waits until the integration lists so many vehicles: a log is there with the commit, pages in memory may be
// half a second older.
func (x *source) lists(vehicles int) {
	x.s.t.Helper()
	for end := time.Now().Add(2 * time.Second); x.listed() != vehicles; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			x.s.t.Errorf("the integration lists %d vehicles, want %d", x.listed(), vehicles)
			return
		}
	}
}

// history is the kinds of a vehicle's history entries, oldest first.
func (x *source) history(vin string) (kinds []string) {
	x.s.t.Helper()
	list, _ := x.s.must(200, "GET", "/api/v1/inventory/"+vin+"/history", "", x.key).json("history").([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		kind, _ := m["change_type"].(string)
		kinds = append(kinds, kind)
	}
	return kinds
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// eventually waits for what other processes bring about, and tells how long it took.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > within {
			t.Fatalf("not so after %s: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// stocked is what the stock database says of one maker's vehicles, whether a server runs or not.
type stocked struct {
	prices  map[string]int // price → vehicles
	total   int
	entries int // of history since they were created
}

func stockOf(t testing.TB, data, maker string) stocked {
	t.Helper()
	ctx := context.Background()
	x := stocked{prices: map[string]int{}}
	withStock(t, data, func(stock *sqldb.Tenant) error {
		rows, err := stock.Query(ctx, `SELECT document FROM vehicle WHERE dealer_group_id = $1 AND vin LIKE $2`, maker+"%")
		_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
			var document string
			var v struct{ Price string }
			if err := r.Scan(&document); err != nil {
				return struct{}{}, err
			}
			x.total++
			err := json.Unmarshal([]byte(strings.ReplaceAll(document, "\x1f", "0")), &v) // where the days on the lot are filled in
			x.prices[v.Price]++
			return struct{}{}, err
		})
		return errors.Join(err, stock.QueryRow(ctx, `SELECT count(*) FROM vehicle_history WHERE dealer_group_id = $1 AND vin LIKE $2`, maker+"%").Scan(&x.entries))
	})
	return x
}

// whole checks that a maker's vehicles are all there with one price, or none is, and returns the price.
func (x stocked) whole(t testing.TB, rows int) (price string) {
	t.Helper()
	if len(x.prices) > 1 || x.total != 0 && x.total != rows {
		t.Errorf("half a feed: %v, want %d vehicles of one price or none", x.prices, rows)
	}
	for price = range x.prices {
	}
	return price
}

// leaveOut skips a test for want of something, which CARFLUENCE_REQUIRE_TOOLS (set by CI) makes a failure.
func leaveOut(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CARFLUENCE_REQUIRE_TOOLS") != "" {
		t.Fatalf("%s, and CARFLUENCE_REQUIRE_TOOLS asks for it", why)
	}
	t.Skip("LEFT OUT: " + why)
}

// command finds a program, or leaves the test out.
func command(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		leaveOut(t, "no "+name+" found")
	}
	return path
}

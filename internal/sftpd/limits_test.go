package sftpd

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// closed waits until the server has closed a connection, for at most a time.
func closed(t *testing.T, nc interface{ Wait() error }, within time.Duration) {
	t.Helper()
	done := make(chan struct{})
	go func() { _ = nc.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("the connection is still open after %v", within)
	}
}

func TestHandshakeDeadline(t *testing.T) {
	h := start(t, Limits{Handshake: 100 * time.Millisecond})
	nc, err := net.Dial("tcp", h.address)
	must(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(nc); err != nil {
		t.Errorf("a client that says nothing: %v, want the connection closed", err)
	}
}

// try logs in with a series of passwords on one connection and returns how many were asked for.
func (h *house) try(user string, passwords ...string) (asked int, err error) {
	conn, err := ssh.Dial("tcp", h.address, &ssh.ClientConfig{
		User: user, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 5 * time.Second,
		Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
			asked++
			return passwords[min(asked, len(passwords))-1], nil
		}), 100)},
	})
	if err == nil {
		_ = conn.Close()
	}
	return asked, err
}

func TestTriesOfOneConnection(t *testing.T) {
	h := start(t, Limits{})
	if n, err := h.try("vendor0", "wrong", "wrong", password); err != nil || n != 3 {
		t.Errorf("the third try: %v after %d", err, n)
	}
	if n, err := h.try("vendor0", "wrong", "wrong", "wrong", password); err == nil || n != 4 {
		t.Errorf("the fourth try: %v after %d", err, n)
	}
	if text := h.logs.String(); strings.Contains(text, password) || strings.Contains(text, "wrong") {
		t.Error("a password is in the log")
	}
}

func TestFailuresOfOneAddress(t *testing.T) {
	h := start(t, Limits{Failures: 5, FailureWindow: time.Hour})
	h.set(func() { h.away = true })
	for range 6 {
		_, err := h.try("vendor0", password)
		refused(t, err, "")
	}
	h.set(func() { h.away = false })
	for range 5 {
		if _, err := h.try("vendor0", password); err != nil {
			t.Fatalf("a good login was counted, or an outage: %v", err)
		}
	}
	for range 2 {
		_, _ = h.try("vendor0", "wrong")
	}
	if _, err := h.try("vendor0", password); err == nil {
		t.Error("an address with too many failures was let in")
	}
	if !strings.Contains(h.logs.String(), "too many failed logins from this address") {
		t.Error("the log does not say why")
	}
	if charge := h.failures.Look("198.51.100.7"); charge.Settle(0).Remaining != 5 {
		t.Error("another address has to wait as well")
	}
}

func TestConnectionLimits(t *testing.T) {
	h := start(t, Limits{ConnectionsPerLogin: 2, ConnectionsPerAddress: 5, Grace: time.Second})
	var clients []*client
	for range 2 {
		clients = append(clients, h.client("vendor0"))
	}
	conn, _, err := h.dial("vendor0")
	must(t, err)
	_, err = sftp.NewClient(conn)
	refused(t, err, "too many connections of this login")
	_ = conn.Close()
	soon(t, "a place is free", func() bool { h.census.mu.Lock(); defer h.census.mu.Unlock(); return h.census.all == 2 })
	clients = append(clients, h.client("vendor1"), h.client("vendor2"), h.client("vendor3"))
	if _, _, err := h.dial("vendor4"); err == nil {
		t.Error("a sixth connection of one address was let in")
	}
	for _, c := range clients {
		_ = c.net.Close()
	}
	soon(t, "all are gone", func() bool {
		h.census.mu.Lock()
		defer h.census.mu.Unlock()
		return h.census.all+len(h.census.addresses)+len(h.census.logins) == 0
	})
	all := start(t, Limits{Connections: 1})
	all.client("vendor0")
	if _, _, err := all.dial("vendor1"); err == nil {
		t.Error("a second connection was let in where one is allowed")
	}
}

func TestSessionsAndHandles(t *testing.T) {
	h := start(t, Limits{Sessions: 2, Handles: 3})
	c := h.client("vendor0")
	second, err := sftp.NewClient(c.ssh)
	must(t, err)
	_, err = sftp.NewClient(c.ssh)
	refused(t, err, "too many sessions")
	for i := range 2 {
		_, err := c.Create(fmt.Sprintf("%d.csv", i))
		must(t, err)
	}
	last, err := second.Create("last.csv")
	must(t, err)
	_, err = second.Create("more.csv")
	refused(t, err, "open at once")
	_, err = second.ReadDir("/")
	refused(t, err, "open at once")
	must(t, last.Close())
	_, err = second.ReadDir("/")
	must(t, err)
	_, err = second.ReadDir("/")
	must(t, err)
}

func TestFileAndSpoolLimits(t *testing.T) {
	h := start(t, Limits{FileBytes: 1000, SpoolBytes: 1500, Partials: 3})
	c := h.client("vendor0")
	refused(t, tryPut(c, "a.csv", strings.Repeat("x", 1001)), "larger than the 1000 bytes")
	put(t, c, "a.tmp", strings.Repeat("x", 1000))
	refused(t, tryPut(c, "b.tmp", strings.Repeat("x", 501)), "1500 bytes allowed")
	put(t, c, "c.csv", strings.Repeat("x", 500))
	put(t, c, "d.csv", strings.Repeat("x", 500))
	put(t, c, "b.tmp", "x")
	put(t, c, "c.tmp", "x")
	_, err := c.Create("d.tmp")
	refused(t, err, "3 unfinished uploads")
	must(t, c.Remove("b.tmp"))
	put(t, c, "d.tmp", strings.Repeat("x", 499))
	put(t, h.client("vendor1"), "a.csv", "another login has its own share")
	h.Server.mu.Lock()
	d := h.Server.drops["id-vendor0"]
	h.Server.mu.Unlock()
	if d.bytes != 1500 {
		t.Errorf("%d bytes are counted, want 1500", d.bytes)
	}
	must(t, c.Rename("a.tmp", "a.csv"), c.Remove("c.tmp"), c.Remove("d.tmp"))
	if d.bytes != 0 || len(h.spooled()) != 0 {
		t.Errorf("at the end %d bytes are counted, and the spool holds %v", d.bytes, h.spooled())
	}
}

// TestFullDisk lets writes of the spool fail through a file that can't be written.
func TestFullDisk(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	f, err := c.Create("stock.csv")
	must(t, err)
	h.Server.mu.Lock()
	d := h.Server.drops["id-vendor0"]
	h.Server.mu.Unlock()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("LEFT OUT: no /dev/full, so a full disk was not tried")
	}
	d.mu.Lock()
	u := d.partials["/stock.csv"].upload
	d.mu.Unlock()
	u.mu.Lock()
	old := u.file
	u.file = full
	u.mu.Unlock()
	_, err = f.Write([]byte("x"))
	refused(t, err, "no space left")
	u.mu.Lock()
	u.file = old
	u.mu.Unlock()
	refused(t, f.Close(), "no space left")
	h.got()
	put(t, c, "stock.csv", "later")
	h.got("/stock.csv", "later")
}

func TestIdleAndSilentClients(t *testing.T) {
	t.Parallel()
	h := start(t, Limits{Probe: time.Second, Idle: 3 * time.Second})
	c := h.client("vendor0")
	for range 8 { // it answers probes, and asks now and then
		time.Sleep(500 * time.Millisecond)
		if _, err := c.Stat("/"); err != nil {
			t.Fatalf("a client that asks was cut: %v\n%s", err, h.logs)
		}
	}
	closed(t, c.ssh, 10*time.Second)
	soon(t, "the log says so", func() bool { return strings.Contains(h.logs.String(), "reason=idle") })

	h = start(t, Limits{Probe: 50 * time.Millisecond})
	stopped := make(chan struct{})
	nc, err := net.Dial("tcp", h.address)
	must(t, err)
	conn, channels, requests, err := ssh.NewClientConn(&stalling{nc, stopped}, h.address, &ssh.ClientConfig{
		User: "vendor0", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	must(t, err)
	sc, err := sftp.NewClient(ssh.NewClient(conn, channels, requests))
	must(t, err)
	_, err = sc.Create("stock.csv")
	must(t, err)
	close(stopped)
	soon(t, "a client whose line broke is cut", func() bool { return strings.Contains(h.logs.String(), "the client is silent") })
	soon(t, "its file is free", func() bool { return h.idle("id-vendor0") })
	_ = nc.Close()
}

// stalling is a line that loses all that is written once stopped is closed.
type stalling struct {
	net.Conn
	stopped chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	select {
	case <-s.stopped:
		return len(b), nil
	default:
		return s.Conn.Write(b)
	}
}

func TestEndedCredentialsCutTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t, Limits{})
	c, other := h.client("vendor0"), h.client("vendor1")
	f, err := c.Create("stock.csv")
	must(t, err)
	_, err = f.Write([]byte("half"))
	must(t, err)
	h.set(func() { h.away = true }) // no end
	time.Sleep(1200 * time.Millisecond)
	if _, err := f.Write([]byte(" of it")); err != nil {
		t.Fatalf("an outage cut the connection: %v", err)
	}
	h.set(func() { h.away = false; h.ended["vendor0"] = true })
	closed(t, c.ssh, 2*time.Second) // a second, and a slow machine's hesitation
	put(t, other, "stock.csv", "goes on")
	h.got("/stock.csv", "goes on")
}

func TestOrderlyEnd(t *testing.T) {
	h := start(t, Limits{Grace: 5 * time.Second})
	c, idle := h.client("vendor0"), h.client("vendor1")
	f, err := c.Create("stock.csv")
	must(t, err)
	ended := make(chan struct{})
	go func() { h.stop(); close(ended) }()
	closed(t, idle.ssh, time.Second)
	_, err = c.Create("another.csv")
	refused(t, err, "shutting down")
	_, err = f.Write([]byte("finished"))
	must(t, err, f.Close())
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Error("the server waits although nothing is under way")
	}
	h.got("/stock.csv", "finished")
	if _, _, err := h.dial("vendor0"); err == nil {
		t.Error("a stopped server lets clients in")
	}
}

func TestSweep(t *testing.T) {
	h := start(t, Limits{PartialAge: time.Hour, FolderAge: time.Hour})
	c := h.client("vendor0")
	put(t, c, "old.tmp", "x")
	put(t, c, "new.tmp", "x")
	open, err := c.Create("open.csv")
	must(t, err)
	_ = os.MkdirAll(h.spool+"/id-gone", 0o700)
	d := h.Server.drops["id-vendor0"]
	d.mu.Lock()
	for _, name := range []string{"/old.tmp", "/open.csv"} {
		d.partials[name].touched = time.Now().Add(-2 * time.Hour)
	}
	d.mu.Unlock()
	must(t, h.Sweep())
	list, err := c.ReadDir("/")
	must(t, err, open.Close())
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, []string{"new.tmp", "open.csv"}) {
		t.Errorf("left: %v", names)
	}
	if _, err := os.Stat(h.spool + "/id-gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of nobody: %v", err)
	}
	must(t, c.Remove("new.tmp"))
	_ = c.net.Close()
	soon(t, "nothing is left of it", func() bool { return h.Sweep() == nil && len(h.drops()) == 0 && len(snapshot(t, h.spool)) == 1 })
}

// drops lists the integrations whose folders are open.
func (h *house) drops() []string {
	h.Server.mu.Lock()
	defer h.Server.mu.Unlock()
	return slices.Sorted(maps.Keys(h.Server.drops))
}

// TestSweepForgetsTheAbsent: of logins without a connection no folder stays open, and what they left ages on disk,
// however often it is looked at.
func TestSweepForgetsTheAbsent(t *testing.T) {
	h := start(t, Limits{PartialAge: time.Hour, FolderAge: time.Hour})
	folder := filepath.Join(h.spool, "id-vendor0")
	c, other := h.client("vendor0"), h.client("vendor1")
	must(t, c.Mkdir("in"), c.Mkdir("in/deep"), c.Mkdir("unused"))
	put(t, c, "x.part", "x")
	put(t, c, "stock.csv", "seen")
	must(t, c.Remove("stock.csv"))
	must(t, h.Sweep())
	if got := h.drops(); !slices.Equal(got, []string{"id-vendor0", "id-vendor1"}) {
		t.Errorf("with connections: %v", got)
	}
	_ = c.net.Close()
	users := func() int { h.Server.mu.Lock(); defer h.Server.mu.Unlock(); return h.Server.drops["id-vendor0"].users }
	soon(t, "it has left", func() bool { return users() == 0 })
	must(t, h.Sweep())
	if got := h.drops(); !slices.Equal(got, []string{"id-vendor0", "id-vendor1"}) {
		t.Errorf("a login was forgotten that still hides a file: %v", got)
	}
	d := h.Server.drops["id-vendor0"]
	d.mu.Lock()
	d.moved["/stock.csv"] = move{"", time.Now().Add(-2 * time.Hour)}
	d.mu.Unlock()
	must(t, h.Sweep())
	if got := h.drops(); !slices.Equal(got, []string{"id-vendor1"}) {
		t.Errorf("without connections: %v", got)
	}

	age := func(by time.Duration) { // of all that is on disk
		for _, p := range snapshot(t, folder)[1:] {
			i, err := os.Stat(p)
			must(t, err, os.Chtimes(p, i.ModTime().Add(-by), i.ModTime().Add(-by)))
		}
	}
	age(40 * time.Minute)
	must(t, h.Sweep(), h.Sweep()) // it is opened and closed again, which is no use of it
	c = h.client("vendor0")
	if names := c.names("/"); !slices.Equal(names, []string{"in", "stock.csv", "unused", "x.part"}) {
		t.Errorf("back again it sees %v", names)
	}
	c.names("in/deep") // used, and with it the one above
	_ = c.net.Close()
	soon(t, "it has left again", func() bool { return users() == 0 })
	must(t, h.Sweep())
	age(40 * time.Minute)
	must(t, h.Sweep())
	c = h.client("vendor0")
	if names := c.names("/"); !slices.Equal(names, []string{"in", "stock.csv"}) {
		t.Errorf("after an hour and twenty it sees %v", names)
	}
	_ = c.net.Close()
	soon(t, "it has left for good", func() bool { return users() == 0 })
	must(t, h.Sweep())
	age(2 * time.Hour)
	must(t, h.Sweep())
	if left := snapshot(t, h.spool); len(left) != 2 || len(h.drops()) != 1 { // the other's folder
		t.Errorf("left: %v, open %v", left, h.drops())
	}
	put(t, other, "stock.csv", "other")
}

// names lists a folder.
func (c *client) names(folder string) []string {
	list, _ := c.ReadDir(folder)
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// TestFolderInUseStays: made folders don't age while they are used, or hold something.
func TestFolderInUseStays(t *testing.T) {
	h := start(t, Limits{PartialAge: time.Hour, FolderAge: time.Hour})
	c := h.client("vendor0")
	must(t, c.Mkdir("put"), c.Mkdir("stat"), c.Mkdir("list"), c.Mkdir("renamed"), c.Mkdir("holds"), c.Mkdir("idle"))
	put(t, c, "holds/x.part", "x")
	put(t, c, "y.part", "y")
	d := h.Server.drops["id-vendor0"]
	d.mu.Lock()
	for p, f := range d.folders {
		f.used = time.Now().Add(-2 * time.Hour)
		d.folders[p] = f
	}
	d.mu.Unlock()
	put(t, c, "put/x.csv", "x")
	_, err := c.Stat("stat")
	must(t, err, c.Rename("y.part", "renamed/y.csv"))
	c.names("list")
	must(t, h.Sweep())
	h.set(func() { h.received = nil })
	if names := c.names("/"); !slices.Equal(names, []string{"holds", "list", "put", "renamed", "stat"}) {
		t.Errorf("left: %v", names)
	}
}

// TestCredentialsAreAskedWhenItMatters does without the watch that asks now and then: at the start of a session and
// before a file is handed on, credentials are asked for as well.
func TestCredentialsAreAskedWhenItMatters(t *testing.T) {
	h := start(t, Limits{Check: time.Hour})
	conn, nc, err := h.dial("vendor1")
	must(t, err)
	defer nc.Close()
	c := h.client("vendor0")
	f, err := c.Create("stock.csv")
	must(t, err)
	_, err = f.Write([]byte("whole"))
	must(t, err)
	put(t, c, "x.part", "whole")
	h.set(func() { h.ended["vendor0"], h.ended["vendor1"] = true, true })
	if _, err := sftp.NewClient(conn); err == nil {
		t.Error("a session began after the credentials had ended")
	}
	closed(t, conn, time.Second)
	refused(t, f.Close(), "credentials have ended")
	refused(t, c.Rename("x.part", "x.csv"), "credentials have ended")
	h.got()
	if n := statSize(c); n != 5 {
		t.Errorf("%d bytes are kept, want 5", n)
	}
}

// TestUncheckedCredentialsFailTheFileAlone: that the store can't be asked ends no connection.
func TestUncheckedCredentialsFailTheFileAlone(t *testing.T) {
	h := start(t, Limits{Check: time.Hour})
	conn, nc, err := h.dial("vendor1")
	must(t, err)
	defer nc.Close()
	c := h.client("vendor0")
	h.set(func() { h.away = true })
	_, err = sftp.NewClient(conn)
	must(t, err)
	refused(t, tryPut(c, "stock.csv", "whole"), "can't check your login now")
	h.got()
	h.set(func() { h.away = false })
	must(t, c.Rename("stock.csv", "later.csv"))
	h.got("/later.csv", "whole")
}

// TestLongReceiveIsNotIdle: who waits for the answer to a close is not silent by choice.
func TestLongReceiveIsNotIdle(t *testing.T) {
	t.Parallel()
	if l := (Limits{}).withDefaults(); l.Receive != 10*time.Minute {
		t.Errorf("Receive may take %v", l.Receive)
	}
	h := start(t, Limits{Idle: 2 * time.Second, Probe: 2 * time.Second})
	h.set(func() { h.receive = func(Upload) error { time.Sleep(5 * time.Second); return nil } })
	c := h.client("vendor0")
	put(t, c, "stock.csv", "x")
	h.got("/stock.csv", "x")
	closed(t, c.ssh, 20*time.Second) // afterwards it is
}

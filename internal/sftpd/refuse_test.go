package sftpd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

func TestNothingButSFTP(t *testing.T) {
	h := start(t, Limits{})
	conn, _, err := h.dial("vendor0")
	must(t, err)
	defer conn.Close()
	s, err := conn.NewSession()
	must(t, err)
	if s.Setenv("LANG", "C") == nil || s.RequestPty("xterm", 24, 80, nil) == nil || s.Shell() == nil || s.RequestSubsystem("netconf") == nil {
		t.Error("env, pty, shell or another subsystem was granted")
	}
	for _, kind := range []string{"x11-req", "auth-agent-req@openssh.com"} {
		if ok, err := s.SendRequest(kind, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", kind, ok, err)
		}
	}
	s, err = conn.NewSession()
	must(t, err)
	if s.Run("id") == nil {
		t.Error("exec was granted")
	}
	if _, err := conn.Dial("tcp", "127.0.0.1:22"); err == nil {
		t.Error("direct-tcpip was granted")
	}
	if _, err := conn.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("tcpip-forward was granted")
	}
	for _, kind := range []string{"x11", "direct-streamlocal@openssh.com", "tun@openssh.com", "\x00\n"} {
		_, _, err := conn.OpenChannel(kind, nil)
		refused(t, err, "only SFTP is served")
	}
	if strings.Contains(h.logs.String(), "\x00") {
		t.Error("a control character is in the log")
	}
}

func TestLinksAreRefused(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	put(t, c, "a.tmp", "x")
	refused(t, c.Symlink("a.tmp", "b.csv"), "no links")
	refused(t, c.Symlink("/etc/passwd", "b.csv"), "no links")
	if c.Link("a.tmp", "b.csv") == nil {
		t.Error("a hard link was made")
	}
	_, err := c.ReadLink("a.tmp")
	refused(t, err, "no links")
	if _, err := c.StatVFS("/"); err == nil {
		t.Error("statvfs is answered")
	}
	h.got()
}

// snapshot lists all below a folder.
func snapshot(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(folder, func(p string, _ fs.DirEntry, err error) error {
		all = append(all, p)
		return err
	}))
	return all
}

func TestHostileNamesStayInTheSpool(t *testing.T) {
	h := start(t, Limits{})
	root := filepath.Dir(h.spool)
	must(t, os.WriteFile(filepath.Join(root, "outside.csv"), []byte("untouched"), 0o600))
	c := h.client("vendor0")
	put(t, c, "first.tmp", "x")
	before := snapshot(t, root)
	names := []string{
		"../../etc/passwd", "/../outside.csv", "a/../../outside.csv", `..\outside.csv`, `..\\..\\x`, `C:\x.csv`, "nul\x00.csv", "line\n.csv",
		"bell\a.csv", "esc\x1b[31m.csv", "\xff\xfe.csv", "rtl\u202Evsc.exe", "bom\ufeff.csv", strings.Repeat("x", 300), strings.Repeat("a/", 20) + "x.csv",
		strings.Repeat("/"+strings.Repeat("x", 200), 6), "", ".", "..", "/", "//",
	}
	for _, name := range names {
		if err := tryPut(c, name, "evil"); err == nil {
			t.Errorf("put %q was taken", name)
		}
		if err := c.Rename("first.tmp", name); err == nil {
			t.Errorf("rename to %q was taken", name)
		}
		if err := c.PosixRename("first.tmp", name); err == nil {
			t.Errorf("posix-rename to %q was taken", name)
		}
		if err := c.Mkdir(name); err == nil {
			t.Errorf("mkdir %q was taken", name)
		}
		if err := c.Remove(name); err == nil {
			t.Errorf("remove %q was taken", name)
		}
		_, _ = c.Stat(name)
		_, _ = c.ReadDir(name)
		_ = c.Truncate(name, 1)
	}
	if after := snapshot(t, root); !slices.Equal(before, after) {
		t.Errorf("on disk before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	put(t, c, "/etc/passwd", "a name like any other")
	put(t, c, "Größe 日本 ñ.csv", "unicode")
	put(t, c, "in//x/../y.csv", "cleaned")
	must(t, c.Remove("first.tmp"))
	h.got("/etc/passwd", "a name like any other", "/Größe 日本 ñ.csv", "unicode", "/in/y.csv", "cleaned")
	after := snapshot(t, root)
	if len(after) != 4 { // root, spool, the login's folder, outside.csv
		t.Errorf("on disk at the end:\n%s", strings.Join(after, "\n"))
	}
	if strings.ContainsAny(h.logs.String(), "\x00\a\x1b") {
		t.Error("a control character is in the log")
	}
}

func TestSpoolIsPrivate(t *testing.T) {
	h := start(t, Limits{})
	put(t, h.client("vendor0"), "x.tmp", "x")
	for _, p := range snapshot(t, h.spool) {
		i, err := os.Stat(p)
		must(t, err)
		if i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, i.Mode())
		}
	}
	if _, err := openDrop(h.spool, "../x", Limits{}, h.config.Now, h.config.Log); err == nil {
		t.Error("an id that leads out of the spool was taken")
	}
}

// TestIdentityIsTheProvedOne offers another login's key before one's own: only the proved one counts.
func TestIdentityIsTheProvedOne(t *testing.T) {
	h := start(t, Limits{})
	mine := hostKey(t) // any key will do
	text, err := GenerateHostKey()
	must(t, err)
	theirs, err := ParseHostKey(text)
	must(t, err)
	h.set(func() {
		h.keys[string(mine.PublicKey().Marshal())] = "vendor1"
		h.keys[string(theirs.PublicKey().Marshal())] = "vendor0"
	})
	conn, err := ssh.Dial("tcp", h.address, &ssh.ClientConfig{
		User: "vendor1", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Auth: []ssh.AuthMethod{ssh.PublicKeys(theirs, mine), ssh.Password(password)},
	})
	must(t, err)
	defer conn.Close()
	c, err := sftp.NewClient(conn)
	must(t, err)
	put(t, &client{Client: c}, "x.csv", "x")
	if got := h.deliveries(); len(got) != 1 || got[0].integration != "id-vendor1" {
		t.Errorf("received: %+v", got)
	}
	_, err = ssh.Dial("tcp", h.address, &ssh.ClientConfig{
		User: "vendor0", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Auth: []ssh.AuthMethod{ssh.PublicKeys(mine)},
	})
	if err == nil {
		t.Error("a key of another login was let in")
	}
	if n := h.failures.Look("127.0.0.1").Settle(0).Remaining; n != 30 {
		t.Errorf("offered keys were counted as guesses: %d left", n)
	}
}

// TestFailedKeysAreTold: a connection that offers keys and ends without a login is one failure of its user name,
// unless a password was tried, which Authenticate knows of.
func TestFailedKeysAreTold(t *testing.T) {
	h := start(t, Limits{})
	var keys []ssh.Signer
	for range 3 {
		text, err := GenerateHostKey()
		must(t, err)
		key, err := ParseHostKey(text)
		must(t, err)
		keys = append(keys, key)
	}
	h.set(func() { h.keys[string(keys[2].PublicKey().Marshal())] = "vendor0" })
	login := func(user string, auth ...ssh.AuthMethod) {
		conn, err := ssh.Dial("tcp", h.address, &ssh.ClientConfig{User: user, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Auth: auth})
		if err == nil {
			_ = conn.Close()
		}
	}
	login("vendor0", ssh.PublicKeys(keys...))
	login("vendor0", ssh.PublicKeys(keys[:2]...), ssh.Password(password))
	login("vendor0", ssh.PublicKeys(keys[:2]...), ssh.Password("wrong"))
	login("vendor0")
	login("", ssh.PublicKeys(keys[:2]...))
	h.set(func() { h.away = true })
	login("vendor0", ssh.PublicKeys(keys[:2]...))
	h.set(func() { h.away = false })
	login("vendor1", ssh.PublicKeys(keys...))
	login("vendor2", ssh.PublicKeys(liar{keys[0], keys[2]}))
	h.set(func() { h.keys[string(keys[1].PublicKey().Marshal())] = "vendor3" })
	login("vendor3", ssh.PublicKeys(liar{keys[1], keys[0]})) // knows a good key, and does not have it
	told := func() []string { h.mu.Lock(); defer h.mu.Unlock(); return slices.Sorted(slices.Values(h.failed)) }
	want := []string{"vendor1 127.0.0.1", "vendor2 127.0.0.1", "vendor3 127.0.0.1"}
	soon(t, "all are told", func() bool { return len(told()) >= len(want) })
	h.stop()
	if got := told(); !slices.Equal(got, want) {
		t.Errorf("told of %v, want %v", got, want)
	}
}

// liar shows one key and signs with another.
type liar struct {
	shown ssh.Signer
	ssh.Signer
}

func (l liar) PublicKey() ssh.PublicKey { return l.shown.PublicKey() }

func TestKeyboardInteractive(t *testing.T) {
	h := start(t, Limits{})
	conn, err := ssh.Dial("tcp", h.address, &ssh.ClientConfig{
		User: "vendor0", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Auth: []ssh.AuthMethod{ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			return slices.Repeat([]string{password}, len(questions)), nil
		})},
	})
	must(t, err)
	_ = conn.Close()
}

func TestHostKeys(t *testing.T) {
	key := hostKey(t)
	if f := Fingerprint(key.PublicKey()); !strings.HasPrefix(f, "SHA256:") || len(f) != 50 {
		t.Errorf("fingerprint %q", f)
	}
	if _, err := ParseHostKey([]byte("no key")); err == nil {
		t.Error("nonsense was read as a key")
	}
}

func TestConfigIsComplete(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty Config was taken")
	}
}

// raw speaks SFTP by hand.
type raw struct {
	t   *testing.T
	in  io.Writer
	out io.Reader
}

func (h *house) raw(user string) *raw {
	h.t.Helper()
	conn, nc, err := h.dial(user)
	must(h.t, err)
	h.t.Cleanup(func() { _ = nc.Close() })
	s, err := conn.NewSession()
	must(h.t, err)
	in, err := s.StdinPipe()
	out, err2 := s.StdoutPipe()
	must(h.t, err, err2, s.RequestSubsystem("sftp"))
	return &raw{h.t, in, out}
}

func (r *raw) send(frames ...[]byte) {
	r.t.Helper()
	_, err := r.in.Write(bytes.Join(frames, nil))
	must(r.t, err)
}

func (r *raw) next() (kind byte, f fields) {
	r.t.Helper()
	kind, f, err := r.read()
	must(r.t, err)
	return kind, f
}

func (r *raw) read() (byte, fields, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.out, head[:]); err != nil {
		return 0, fields{}, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-1)
	_, err := io.ReadFull(r.out, body)
	return head[4], fields{rest: body}, err
}

func openPacket(id uint32, name string, flags uint32) []byte {
	out := appendText(newPacket(fxpOpen, id), name)
	return sealed(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, flags), 0))
}

func writePacket(id uint32, handle string, off uint64, data string) []byte {
	out := appendText(newPacket(6, id), handle)
	return sealed(appendText(binary.BigEndian.AppendUint64(out, off), data))
}

func fsyncPacket(id uint32, handle string) []byte {
	return sealed(appendText(appendText(newPacket(fxpExtended, id), fsyncExtension), handle))
}

// TestFsync sends an fsync in the middle of writes that are not waited for. When it is answered, the file
// and its description hold what came before.
func TestFsync(t *testing.T) {
	h := start(t, Limits{})
	r := h.raw("vendor0")
	r.send(sealed(newPacket(fxpInit, 3)))
	kind, f := r.next()
	if f.number(); kind != fxpVersion || f.text() != renameExtension || f.text() != "1" || f.text() != fsyncExtension || f.text() != "1" || f.bad {
		t.Fatalf("greeting: %d", kind)
	}
	r.send(openPacket(1, "stock.csv", 0x1a))
	kind, f = r.next()
	f.number()
	handle := f.text()
	if kind != 102 {
		t.Fatalf("open: %d", kind)
	}
	var packets [][]byte
	piece := strings.Repeat("x", 30_000)
	for i := range uint32(20) {
		packets = append(packets, writePacket(100+i, handle, uint64(i)*30_000, piece))
	}
	packets = append(packets, fsyncPacket(200, handle), fsyncPacket(201, "99"), fsyncPacket(202, "98"))
	go r.send(packets...)
	for i := range uint32(20) {
		if _, f := r.next(); f.number() != 100+i || f.number() != 0 {
			t.Fatalf("write %d failed", i)
		}
	}
	if _, f := r.next(); f.number() != 200 || f.number() != 0 {
		t.Fatal("the fsync failed")
	}
	d := h.Server.drops["id-vendor0"]
	k, ok := d.spool.read(d.partials["/stock.csv"].id)
	if !ok || k.record.Whole != 600_000 {
		t.Errorf("after the fsync: %+v", k)
	}
	for _, id := range []uint32{201, 202} {
		if _, f := r.next(); f.number() != id || f.number() == 0 {
			t.Fatal("the fsync of no handle was granted")
		}
	}
	r.send(sealed(appendText(newPacket(4, 300), handle)))
	if _, f := r.next(); f.number() != 300 || f.number() != 0 {
		t.Fatal("close failed")
	}
	h.got("/stock.csv", strings.Repeat(piece, 20))
}

func TestMalformedPacketsEndTheSession(t *testing.T) {
	h := start(t, Limits{})
	greeting := sealed(newPacket(fxpInit, 3))
	for what, frames := range map[string][][]byte{
		"no greeting":      {openPacket(1, "x", 0x1a)},
		"two greetings":    {greeting, greeting},
		"too long":         {greeting, {0xff, 0xff, 0xff, 0xff, 1}},
		"empty":            {greeting, {0, 0, 0, 0}},
		"unknown":          {greeting, sealed(newPacket(99, 1))},
		"short":            {greeting, sealed([]byte{0, 0, 0, 0, fxpOpen, 0})},
		"fsync, no handle": {greeting, sealed(appendText(newPacket(fxpExtended, 1), fsyncExtension))},
	} {
		r := h.raw("vendor0")
		r.send(frames...)
		var err error
		for err == nil {
			_, _, err = r.read()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", what, err)
		}
	}
	put(t, h.client("vendor0"), "x.csv", "others go on")
}

func TestUnknownExtensionsAreAnswered(t *testing.T) {
	h := start(t, Limits{})
	r := h.raw("vendor0")
	r.send(sealed(newPacket(fxpInit, 3)), sealed(appendText(newPacket(fxpExtended, 7), "limits@openssh.com")))
	r.next()
	if kind, f := r.next(); kind != fxpStatus || f.number() != 7 || f.number() != 8 {
		t.Error("an unknown extension is not answered as unsupported")
	}
}

// TestGuessedHandles sends packets with handles that are not yet made or already closed, without waiting. A
// write after the close is in the file and granted, or neither.
func TestGuessedHandles(t *testing.T) {
	h := start(t, Limits{})
	r := h.raw("vendor0")
	closing := func(id uint32, handle string) []byte { return sealed(appendText(newPacket(4, id), handle)) }
	r.send(sealed(newPacket(fxpInit, 3)), openPacket(1, "x.csv", 0x1a), writePacket(2, "1", 0, "one"), closing(3, "1"), writePacket(4, "1", 3, "two"), closing(5, "1"))
	r.next()
	r.next()
	granted := map[uint32]bool{}
	for range 4 {
		_, f := r.next()
		granted[f.number()] = f.number() == 0
	}
	if !granted[2] || !granted[3] || granted[5] {
		t.Errorf("granted: %v", granted)
	}
	want := "one"
	if granted[4] {
		want = "onetwo"
	}
	h.got("/x.csv", want)
	if d := h.Server.drops["id-vendor0"]; d.bytes != 0 {
		t.Errorf("%d bytes are still counted", d.bytes)
	}
}

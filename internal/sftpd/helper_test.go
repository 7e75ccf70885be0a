package sftpd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"carfluence/internal/errs"
)

// house stands for the rest of the program: it knows the logins and keeps what arrives.
type house struct {
	*Server
	t       *testing.T
	address string
	spool   string
	logs    *syncBuffer
	stop    func()

	mu       sync.Mutex
	keys     map[string]string // authorized key to user name
	ended    map[string]bool   // user names whose credentials have ended
	away     bool              // the database is
	received []delivery
	failed   []string           // user names of logins that failed with keys
	receive  func(Upload) error // in place of keeping the file
}

type delivery struct {
	integration, path string
	sum               [32]byte
	size              int64
	modTime, at       time.Time
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const password = "correct horse battery"

// start serves on a port of its own until the test ends.
func start(t *testing.T, l Limits) *house {
	t.Helper()
	h := &house{t: t, spool: filepath.Join(t.TempDir(), "spool"), keys: map[string]string{}, ended: map[string]bool{}}
	h.run(l)
	return h
}

// run starts a server on the house's spool; again after stop it is a restart.
func (h *house) run(l Limits) {
	h.t.Helper()
	h.logs = &syncBuffer{}
	var err error
	h.Server, err = New(Config{
		HostKey: hostKey(h.t), Spool: h.spool, Limits: l, Now: time.Now, Log: slog.New(slog.NewTextHandler(h.logs, nil)),
		Authenticate: h.authenticate, AuthenticateKey: h.authenticateKey, Valid: h.valid, Receive: h.take, Arrived: h.arrived, Failed: h.fail,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, listener) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Serve: %v", err)
		}
	})
	h.t.Cleanup(func() {
		h.stop()
		if h.t.Failed() {
			h.t.Log(h.logs.String())
		}
		if strings.Contains(h.logs.String(), "panic") {
			h.t.Errorf("a panic is in the log:\n%s", h.logs.String())
		}
	})
}

var hostKey = func() func(t *testing.T) ssh.Signer {
	text, err := GenerateHostKey()
	return func(t *testing.T) ssh.Signer {
		t.Helper()
		key, err2 := ParseHostKey(text)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return key
	}
}()

// authenticate knows the users vendor0, vendor1 …
func (h *house) authenticate(_ context.Context, username, pw string, _ netip.Addr) (Login, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.away:
		return Login{}, errs.UnavailableFor(time.Second, "the database is away", nil)
	case !strings.HasPrefix(username, "vendor") || pw != password || h.ended[username]:
		return Login{}, errs.New(errs.KindUnauthenticated, "credentials_invalid", "unknown login")
	}
	return Login{Group: "g", Integration: "id-" + username, Username: username, Epoch: "1"}, nil
}

func (h *house) authenticateKey(_ context.Context, username string, key ssh.PublicKey, _ netip.Addr) (Login, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return Login{}, errs.UnavailableFor(time.Second, "the database is away", nil)
	}
	if h.keys[string(key.Marshal())] != username {
		return Login{}, errs.New(errs.KindUnauthenticated, "credentials_invalid", "unknown key")
	}
	return Login{Group: "g", Integration: "id-" + username, Username: username, Epoch: "1"}, nil
}

func (h *house) fail(_ context.Context, username string, address netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = append(h.failed, username+" "+address.String())
}

func (h *house) valid(_ context.Context, l Login) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away {
		return false, errors.New("the database is away")
	}
	return !h.ended[l.Username], nil
}

func (h *house) take(_ context.Context, l Login, u Upload) error {
	h.mu.Lock()
	f := h.receive
	h.mu.Unlock()
	if f != nil {
		if err := f(u); err != nil {
			return err
		}
	}
	sum := sha256.New()
	n, err := io.Copy(sum, u.File)
	if err != nil || n != u.Size {
		return fmt.Errorf("read %d of %d bytes: %w", n, u.Size, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.received = append(h.received, delivery{l.Integration, u.Path, [32]byte(sum.Sum(nil)), u.Size, u.ModTime, time.Now()})
	return nil
}

func (h *house) arrived(_ context.Context, l Login) ([]Arrived, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Arrived
	for _, d := range h.received {
		if d.integration == l.Integration {
			all = append(all, Arrived{d.path, d.size, d.at})
		}
	}
	return all, nil
}

// set changes the house under its lock.
func (h *house) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *house) deliveries() []delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.received)
}

// got checks that exactly these files have arrived, in any order: path and content, in turn.
func (h *house) got(want ...string) {
	h.t.Helper()
	var have, wanted []string
	for _, d := range h.deliveries() {
		have = append(have, fmt.Sprintf("%s %x", d.path, d.sum))
	}
	for i := 0; i < len(want); i += 2 {
		wanted = append(wanted, fmt.Sprintf("%s %x", want[i], sha256.Sum256([]byte(want[i+1]))))
	}
	slices.Sort(have)
	slices.Sort(wanted)
	if !slices.Equal(have, wanted) {
		h.t.Fatalf("arrived:\n%s\nwant:\n%s", strings.Join(have, "\n"), strings.Join(wanted, "\n"))
	}
}

// dial opens the TCP connection of a client and logs in.
func (h *house) dial(user string) (*ssh.Client, net.Conn, error) {
	nc, err := net.Dial("tcp", h.address)
	if err != nil {
		return nil, nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(nc, h.address, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.FixedHostKey(hostKey(h.t).PublicKey()),
		Timeout: 10 * time.Second,
	})
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	return ssh.NewClient(conn, channels, requests), nc, nil
}

// client is a connected SFTP client of the Go library.
type client struct {
	*sftp.Client
	ssh *ssh.Client
	net net.Conn
}

func (h *house) client(user string, options ...sftp.ClientOption) *client {
	h.t.Helper()
	conn, nc, err := h.dial(user)
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := sftp.NewClient(conn, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = nc.Close() })
	return &client{c, conn, nc}
}

func put(t *testing.T, c *client, name, content string) {
	t.Helper()
	if err := tryPut(c, name, content); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func tryPut(c *client, name, content string) error {
	f, err := c.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	return errors.Join(err, f.Close())
}

// refused checks that an error says something.
func refused(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want an error with %q", err, words)
	}
}

// soon waits for a condition that other goroutines bring about.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 5 s: %s", what)
		}
	}
}

// noise is content that differs everywhere, the same for the same seed.
func noise(seed uint64, size int) []byte {
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

// spooled lists the files of the spool.
func (h *house) spooled() []string {
	var all []string
	_ = filepath.WalkDir(h.spool, func(p string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() {
			all = append(all, p)
		}
		return nil
	})
	return all
}

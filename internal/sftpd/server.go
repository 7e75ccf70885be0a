package sftpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"carfluence/internal/quota"
)

// Login is an integration that has proved who it is.
type Login struct {
	Group       string
	Integration string // names its folder in the spool: letters, digits, - and _
	Username    string
	Epoch       string // changes with its credentials
}

// Upload is a complete file.
type Upload struct {
	Path    string // virtual, cleaned: "/folder/name"
	Name    string // its last part
	Size    int64
	ModTime time.Time // zero unless the client set it
	File    *os.File  // open for reading until Receive returns
}

// Config is what a server needs. The functions are called from many goroutines at once.
type Config struct {
	HostKey ssh.Signer // Ed25519
	Spool   string     // folder for uploads under way, of this server alone; made with mode 0700

	// Authenticate checks a password. Any error refuses the login; one of kind unavailable is not counted as a
	// failed try.
	Authenticate func(ctx context.Context, username, password string, address netip.Addr) (Login, error)
	// AuthenticateKey tells who logs in with a key. It is called before the client has proved to have the
	// key, and perhaps for several, so it must change nothing.
	AuthenticateKey func(ctx context.Context, username string, key ssh.PublicKey, address netip.Addr) (Login, error)
	// Valid is asked at the start of a session and every Limits.Check while a connection is open; false cuts it, an
	// error does not. It is asked before Receive as well, which both keep from being called.
	Valid func(ctx context.Context, l Login) (bool, error)
	// Receive takes a complete file. When it returns nil the file is safe elsewhere and the spooled one is
	// deleted. An error fails the client's close or rename (an *errs.Error with its detail, any other without)
	// and the file stays as a partial one. Empty files are passed on too. It has to return when ctx ends, which
	// Serve waits for.
	Receive func(ctx context.Context, l Login, u Upload) error
	// Arrived lists files received lately, which are shown in listings with their size.
	Arrived func(ctx context.Context, l Login) ([]Arrived, error)
	// Failed, unless nil, is told when a connection has offered keys for a user name, no password, and ends without a
	// login. Of failed passwords Authenticate knows. It must not wait for long.
	Failed func(ctx context.Context, username string, address netip.Addr)

	Limits Limits
	Now    func() time.Time
	Log    *slog.Logger
}

// Server is the SFTP server.
type Server struct {
	config   Config
	census   *census
	failures *quota.Addresses

	mu    sync.Mutex
	drops map[string]*drop // by integration
}

// New makes a server and its spool folder.
func New(c Config) (*Server, error) {
	if c.HostKey == nil || c.Authenticate == nil || c.AuthenticateKey == nil || c.Valid == nil || c.Receive == nil || c.Arrived == nil ||
		c.Now == nil || c.Log == nil || c.Spool == "" {
		return nil, errors.New("sftpd: every field of Config but Failed and Limits has to be set")
	}
	c.Limits = c.Limits.withDefaults()
	if err := os.MkdirAll(c.Spool, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	return &Server{
		config: c, census: newCensus(), drops: map[string]*drop{},
		failures: quota.NewAddresses(c.Limits.Failures, c.Limits.FailureWindow, c.Now),
	}, nil
}

// sweepEvery is how often partial files that are too old are looked for.
const sweepEvery = 15 * time.Minute

// Serve accepts connections until ctx ends or the listener fails, and closes the listener. Then it opens no
// more files, lets uploads under way go on for Limits.Grace, cuts what is left (it stays partial) and returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	soft, drain := context.WithCancel(ctx)
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { every(soft, sweepEvery, func() bool { s.sweep(); return true }) })
	err := s.accept(ctx, l, func(nc net.Conn) {
		all.Go(func() { s.connect(soft, hard, nc) })
	})
	drain()
	_ = l.Close()
	late := time.AfterFunc(s.config.Limits.Grace, cut)
	defer late.Stop()
	all.Wait()
	return err
}

// accept hands connections on until ctx ends.
func (s *Server) accept(ctx context.Context, l net.Listener, handle func(net.Conn)) error {
	const pause, patience = 50 * time.Millisecond, 200 // about ten seconds
	for failures := 0; ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			failures = 0
			handle(nc)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed) || failures >= patience:
			return fmt.Errorf("accept SFTP connections: %w", err)
		default: // out of file descriptors, mostly
			failures++
			s.config.Log.Warn("SFTP connection not accepted", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// connect serves one connection, unless there are too many.
func (s *Server) connect(soft, hard context.Context, nc net.Conn) {
	address := remote(nc)
	log := s.config.Log.With("address", address.String())
	leave, refusal := s.census.enter(address, s.config.Limits)
	if refusal != "" {
		log.Info("connection refused", "reason", refusal)
		_ = nc.Close()
		return
	}
	defer leave()
	log.Debug("connected")
	w := &wire{Conn: nc, now: s.config.Now}
	w.heard.Store(s.config.Now().UnixNano())
	c := &connection{
		server: s, limits: s.config.Limits, ctx: hard, soft: soft, wire: w, address: address, log: log, keyed: map[string]bool{},
	}
	c.serve()
}

func remote(nc net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.IPv6Unspecified() // a listener without addresses
	}
	return a.Addr().Unmap().WithZone("")
}

// enter opens a login's drop for a connection.
func (s *Server) enter(integration string) (d *drop, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d = s.drops[integration]
	if d == nil {
		if d, err = openDrop(s.config.Spool, integration, s.config.Limits, s.config.Now, s.config.Log); err != nil {
			return nil, nil, err
		}
		s.drops[integration] = d
	}
	d.users++
	return d, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.users--
	}), nil
}

// Sweep deletes partial files that have not grown for Limits.PartialAge and made folders not used for Limits.FolderAge, also
// those of logins that never come again, and lets go of what logins without a connection have open. Serve calls it
// now and then.
func (s *Server) Sweep() error {
	folders, err := os.ReadDir(s.config.Spool)
	if err != nil {
		return fmt.Errorf("sweep spool: %w", err)
	}
	var all []error
	for _, f := range folders {
		if !f.IsDir() || !validID(f.Name()) {
			continue
		}
		d, leave, err := s.enter(f.Name())
		if err != nil {
			all = append(all, err)
			continue
		}
		now, l := s.config.Now(), s.config.Limits
		d.sweep(now.Add(-l.PartialAge), now.Add(-l.FolderAge))
		leave()
		all = append(all, s.forget(f.Name()))
	}
	return errors.Join(all...)
}

func (s *Server) sweep() {
	if err := s.Sweep(); err != nil {
		s.config.Log.Warn("old partial files not deleted", "error", err)
	}
}

// forget closes the folder of a login without a connection, and removes it when there is nothing in it. It is opened
// again when the login comes back.
func (s *Server) forget(integration string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.drops[integration]
	if d == nil || d.users > 0 || !d.spare() {
		return nil
	}
	empty := d.empty()
	d.spool.close()
	delete(s.drops, integration)
	if !empty {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(s.config.Spool, integration)); err != nil {
		return fmt.Errorf("remove spool folder: %w", err)
	}
	return nil
}

package sftpd

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// connection is one client.
type connection struct {
	server  *Server
	limits  Limits
	ctx     context.Context // of all work for it; ends when the server no longer waits
	soft    context.Context // ends when the server begins to shut down
	wire    *wire
	address netip.Addr
	log     *slog.Logger
	over    sync.Once

	failed int             // passwords
	keyed  map[string]bool // user names that keys were offered for; false once a password was tried
	login  Login
	drop   *drop

	sessions, handles atomic.Int64
	busy              atomic.Int64 // open uploads and operations under way
	receiving         atomic.Int64 // files being handed on
	requested         atomic.Int64 // time of the last SFTP request, Unix nanoseconds
}

// wire notes when the client was last heard of.
type wire struct {
	net.Conn
	now   func() time.Time
	heard atomic.Int64 // Unix nanoseconds
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.heard.Store(w.now().UnixNano())
	}
	return n, err
}

// end cuts the connection, for a reason that is logged.
func (c *connection) end(reason string) {
	c.over.Do(func() {
		c.log.Info("connection cut", "reason", reason)
		_ = c.wire.Close()
	})
}

func (c *connection) seen() { c.requested.Store(c.server.config.Now().UnixNano()) }

func (c *connection) draining() bool { return c.soft.Err() != nil }

// handle counts an open file or folder.
func (c *connection) handle() (release func(), err error) {
	if c.handles.Add(1) > int64(c.limits.Handles) {
		c.handles.Add(-1)
		return nil, failure("more than %d files and folders open at once", c.limits.Handles)
	}
	return sync.OnceFunc(func() { c.handles.Add(-1) }), nil
}

// caught keeps a panic within its connection.
func (c *connection) caught(what string) {
	if p := recover(); p != nil {
		c.log.Error("panic in the SFTP server", "operation", what, "panic", p, "stack", string(debug.Stack()))
		_ = c.wire.Close()
	}
}

// serve runs the connection to its end.
func (c *connection) serve() {
	defer c.wire.Close()
	defer c.caught("connection")
	_ = c.wire.SetDeadline(time.Now().Add(c.limits.Handshake))
	stop := context.AfterFunc(c.soft, func() { _ = c.wire.Close() })
	conn, channels, requests, err := ssh.NewServerConn(c.wire, c.handshake())
	if !stop() { // the server shuts down
		c.log.Info("handshake failed", "reason", err)
		return
	}
	if err != nil {
		c.log.Info("handshake failed", "reason", err)
		c.tellFailed()
		return
	}
	defer conn.Close()
	_ = c.wire.SetDeadline(time.Time{})
	c.login, _ = conn.Permissions.ExtraData[loginKey{}].(Login)
	c.log = c.log.With("username", logged(c.login.Username), "integration", c.login.Integration)
	go ssh.DiscardRequests(requests) // they ask for forwarding
	leave, ok := c.server.census.logIn(c.login.Integration, c.limits)
	if !ok {
		c.log.Info("connection refused", "reason", "too many connections of this login")
		c.turnAway(channels)
		return
	}
	defer leave()
	c.stay(conn, channels)
}

// tellFailed reports logins that failed with keys alone.
func (c *connection) tellFailed() {
	for username, keysOnly := range c.keyed {
		if keysOnly && c.server.config.Failed != nil {
			c.server.config.Failed(c.ctx, username, c.address)
		}
	}
}

// turnAway tells the client why nothing is opened for it.
func (c *connection) turnAway(channels <-chan ssh.NewChannel) {
	_ = c.wire.SetDeadline(time.Now().Add(c.limits.Grace))
	if ch, ok := <-channels; ok {
		_ = ch.Reject(ssh.ResourceShortage, "too many connections of this login")
		<-channels // the client leaves, or the deadline ends it
	}
}

// stay serves a client that is logged in.
func (c *connection) stay(conn *ssh.ServerConn, channels <-chan ssh.NewChannel) {
	d, release, err := c.server.enter(c.login.Integration)
	if err != nil {
		c.log.Error("spool not opened", "error", err)
		return
	}
	defer release()
	c.drop = d
	c.seen()
	c.log.Info("logged in", "client", logged(string(conn.ClientVersion())))
	defer c.log.Info("connection ended")
	ctx, over := context.WithCancel(c.ctx)
	var all sync.WaitGroup
	defer all.Wait() // uploads are settled
	defer over()
	for _, watch := range []func(context.Context, *ssh.ServerConn){c.watchCredentials, c.watchLife, c.watchEnd} {
		all.Go(func() { defer c.caught("watch"); watch(ctx, conn) })
	}
	for ch := range channels {
		if c.refusedChannel(ch) {
			continue
		}
		all.Go(func() { defer c.caught("session"); c.session(ch) })
	}
}

// refusedChannel refuses what is no session, and sessions beyond the limit.
func (c *connection) refusedChannel(ch ssh.NewChannel) bool {
	if kind := ch.ChannelType(); kind != "session" {
		c.log.Info("channel refused", "type", logged(kind))
		_ = ch.Reject(ssh.Prohibited, "only SFTP is served here")
		return true
	}
	if c.sessions.Add(1) > int64(c.limits.Sessions) {
		c.sessions.Add(-1)
		_ = ch.Reject(ssh.ResourceShortage, "too many sessions on this connection")
		return true
	}
	return false
}

// session serves one channel: the subsystem sftp, once, and nothing else.
func (c *connection) session(offer ssh.NewChannel) {
	defer c.sessions.Add(-1)
	channel, requests, err := offer.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	started := false
	for r := range requests {
		f := fields{rest: r.Payload}
		ok := r.Type == "subsystem" && f.text() == "sftp" && !started
		if !ok {
			c.log.Info("request refused", "request", logged(r.Type))
		}
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if ok {
			started = true
			serving.Go(func() { defer c.caught("sftp"); c.sftp(channel) })
		}
	}
}

// sftp speaks the protocol on a channel until the client has no more to ask.
func (c *connection) sftp(channel ssh.Channel) {
	defer channel.Close()
	if valid, err := c.valid(c.ctx); !valid && err == nil {
		c.end(ended)
		return
	}
	f := files{c}
	server := sftp.NewRequestServer(newPackets(channel, c.seen), sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f})
	status := struct{ Status uint32 }{}
	if err := server.Serve(); !cleanEnd(err) {
		c.log.Info("session ended", "reason", err)
		status.Status = 1
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
}

// watchLimit is how long the question whether credentials hold may take.
const watchLimit = 10 * time.Second

// ended is why a connection is cut whose login is no more.
const ended = "its credentials have ended"

// valid asks whether the credentials hold. A database that is away is no end, but is logged.
func (c *connection) valid(ctx context.Context) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	valid, err := c.server.config.Valid(limited, c.login)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("credentials not checked", "error", err)
	}
	return valid, err
}

// watchCredentials cuts the connection when its login has ended.
func (c *connection) watchCredentials(ctx context.Context, _ *ssh.ServerConn) {
	every(ctx, c.limits.Check, func() bool {
		if valid, err := c.valid(ctx); err != nil || valid {
			return true
		}
		c.end(ended)
		return false
	})
}

// watchLife cuts the connection when the client is gone or asks for nothing. Without the first, a client
// whose line broke could not resume until the second.
func (c *connection) watchLife(ctx context.Context, conn *ssh.ServerConn) {
	var probing atomic.Bool
	every(ctx, c.limits.Probe, func() bool {
		now := c.server.config.Now()
		silent := now.Sub(time.Unix(0, c.wire.heard.Load()))
		switch {
		case silent > 3*c.limits.Probe:
			c.end("the client is silent")
			return false
		case c.receiving.Load() == 0 && now.Sub(time.Unix(0, c.requested.Load())) > c.limits.Idle:
			c.end("idle")
			return false
		case silent >= c.limits.Probe && probing.CompareAndSwap(false, true):
			go func() { // until there is an answer or the connection ends
				defer probing.Store(false)
				_, _, _ = conn.SendRequest("keepalive@openssh.com", true, nil)
			}()
		}
		return true
	})
}

// watchEnd cuts the connection when the server shuts down: as soon as nothing is under way, at the latest
// when the server no longer waits.
func (c *connection) watchEnd(ctx context.Context, _ *ssh.ServerConn) {
	select {
	case <-ctx.Done():
	case <-c.soft.Done():
		every(ctx, 20*time.Millisecond, func() bool { return c.busy.Load() > 0 })
	}
	if c.draining() {
		c.end("the server shuts down")
	}
}

// every calls a function at an interval until it says no or ctx ends.
func every(ctx context.Context, interval time.Duration, again func() bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !again() {
				return
			}
		}
	}
}

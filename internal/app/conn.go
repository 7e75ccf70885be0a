package app

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how late a deadline of a connection may come that was far off when it was set.
const sweepEvery = 500 * time.Millisecond

// conn is a connection on which deadlines that are far off cost next to nothing: net/http sets five with each request, that
// hardly ever come to pass, and each would move a timer of the runtime. They are noted, and a sweep over all connections sees to them.
// Near and past ones, by which net/http breaks off a read, are set at once.
type conn struct {
	*net.TCPConn
	of *conns

	mu          sync.Mutex
	read, write deadline
}

type deadline struct {
	at  time.Time // that the sweep sees to; zero for none
	set bool      // on the connection itself
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read.change(t, c.of, c.TCPConn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write.change(t, c.of, c.TCPConn.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (d *deadline) change(t time.Time, of *conns, set func(time.Time) error) error {
	d.at = time.Time{}
	if !t.IsZero() && t.UnixNano() < of.swept.Load()+int64(3*sweepEvery) {
		d.set = true
		return set(t)
	}
	d.at = t
	if !d.set {
		return nil
	}
	d.set = false
	return set(time.Time{})
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.of.remove(c)
	return c.TCPConn.Close()
}

func (c *conn) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.sweep(now, c.TCPConn.SetReadDeadline)
	c.write.sweep(now, c.TCPConn.SetWriteDeadline)
}

func (d *deadline) sweep(now time.Time, set func(time.Time) error) {
	if !d.at.IsZero() && now.After(d.at) {
		d.at, d.set = time.Time{}, true
		_ = set(now) // fails on closed ones only
	}
}

// conns are the open connections of a port.
type conns struct {
	swept atomic.Int64 // Unix nanoseconds

	mu       sync.Mutex
	open     map[*conn]struct{}
	sweeping bool
}

func (s *conns) add(tcp *net.TCPConn) *conn {
	c := &conn{TCPConn: tcp, of: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
	if !s.sweeping {
		s.sweeping = true
		s.swept.Store(time.Now().UnixNano())
		go s.run()
	}
	return c
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// run sweeps while there are connections.
func (s *conns) run() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for s.sweep(<-tick.C) {
	}
}

func (s *conns) sweep(now time.Time) bool {
	s.swept.Store(now.UnixNano())
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.sweep(now)
	}
	s.sweeping = len(s.open) > 0
	return s.sweeping
}

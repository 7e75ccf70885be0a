package app

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// port is an open TCP port that can be closed without cutting off clients. The kernel resets connections that
// wait to be accepted when a port is closed, though their clients hold them for open and may have sent a
// request. So it first lets no more in: the queue is cut to one place, emptied, and the place taken by a
// connection of our own. Who knocks then tries again, and is refused once the port is closed.
type port struct {
	*net.TCPListener
	turning atomic.Bool
	entered chan struct{} // closed when Accept has seen turning
	enter   sync.Once
	last    chan net.Conn // accepted while the port was being closed
	closed  chan struct{}
	close   sync.Once
	plug    net.Conn
	conns   conns
}

func newPort(l *net.TCPListener) *port {
	return &port{
		TCPListener: l, entered: make(chan struct{}), last: make(chan net.Conn), closed: make(chan struct{}),
		conns: conns{open: map[*conn]struct{}{}},
	}
}

// Accept implements net.Listener.
func (p *port) Accept() (net.Conn, error) {
	if !p.turning.Load() {
		tcp, err := p.AcceptTCP()
		if err == nil {
			return p.conns.add(tcp), nil
		}
		if !p.turning.Load() {
			return nil, err
		}
	}
	p.enter.Do(func() { close(p.entered) })
	select {
	case conn := <-p.last:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; only the first time does anything.
func (p *port) Close() (err error) {
	p.close.Do(func() {
		err = p.TCPListener.Close()
		close(p.closed)
		if p.plug != nil {
			_ = p.plug.Close()
		}
	})
	return err
}

// Limits of turning away.
const (
	turnLimit = 500 * time.Millisecond
	plugLimit = 5 * time.Millisecond // our own connection is made at once, or the place is taken
)

// turnAway accepts what waits and lets nobody else in. Its error says that closing may cut somebody off.
func (p *port) turnAway() error {
	end := time.Now().Add(turnLimit)
	p.turning.Store(true)
	if err := p.SetDeadline(time.Unix(1, 0)); err != nil { // ends an Accept under way
		return err
	}
	select {
	case <-p.entered:
	case <-time.After(turnLimit):
		return errors.New("nobody accepts connections")
	}
	if err := p.shorten(); err != nil {
		return err
	}
	for time.Now().Before(end) {
		if err := p.empty(); err != nil {
			return err
		}
		if conn, err := net.DialTimeout("tcp", p.own(), plugLimit); err == nil {
			p.plug = conn
			return nil
		}
	}
	return errors.New("too many clients knock")
}

// shorten cuts the queue of connections that wait to be accepted to its least length, one.
func (p *port) shorten() error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = shortQueue(fd) })
	return errors.Join(err, failed)
}

// empty hands out the connections that wait.
func (p *port) empty() error {
	if err := p.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	for {
		tcp, err := p.AcceptTCP()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ECONNABORTED) {
			return nil
		}
		if err != nil {
			return err
		}
		conn := p.conns.add(tcp)
		select {
		case p.last <- conn:
		case <-p.closed:
			return errors.Join(net.ErrClosed, conn.Close())
		}
	}
}

// own is where this process reaches the port. The loopback of IPv4 reaches one that is open to all addresses.
func (p *port) own() string {
	a := *p.Addr().(*net.TCPAddr)
	if a.IP.IsUnspecified() {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return a.String()
}

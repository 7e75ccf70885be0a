package app

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestPortClosesWithoutCuttingAnybodyOff closes a port on which clients hold connections that nobody has
// accepted yet: each gets its answer, and who comes later is refused.
func TestPortClosesWithoutCuttingAnybodyOff(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("LEFT OUT: the port turns clients away on Linux only")
	}
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		p := newPort(l.(*net.TCPListener))
		clients := make([]net.Conn, 16)
		for i := range clients {
			if clients[i], err = net.DialTimeout("tcp", p.own(), 5*time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := clients[i].Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		go echo(p)
		if err := p.turnAway(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		for i, c := range clients {
			b := []byte{255}
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.ReadFull(c, b); err != nil || b[0] != byte(i) {
				t.Errorf("%s: client %d was cut off: %v", address, i, err)
			}
			_ = c.Close()
		}
		if c, err := net.DialTimeout("tcp", p.own(), 5*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: after the port was closed: %v %v", address, c, err)
		}
	}
}

// echo answers each connection with its first byte.
func echo(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			b := make([]byte, 1)
			if _, err := io.ReadFull(conn, b); err == nil {
				_, _ = conn.Write(b)
			}
		}()
	}
}

package app

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestPortClosesWithoutCuttingAnybodyOff lets clients knock without pause while the port is closed: whoever
// gets a connection gets its answer.
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
		var served, answered atomic.Int64
		go func() {
			for {
				conn, err := p.Accept()
				if err != nil {
					return
				}
				go func() {
					b := make([]byte, 1)
					if _, err := io.ReadFull(conn, b); err == nil {
						served.Add(1)
						_, _ = conn.Write(b)
					}
					_ = conn.Close()
				}()
			}
		}()
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				for {
					conn, err := net.DialTimeout("tcp", p.own(), 5*time.Second)
					if errors.Is(err, syscall.ECONNREFUSED) {
						return
					}
					if err != nil {
						t.Errorf("connect: %v", err)
						return
					}
					b := []byte{1}
					_, _ = conn.Write(b)
					if _, err = io.ReadFull(conn, b); err != nil {
						t.Errorf("%s: a connection was cut off: %v", address, err)
						return
					}
					answered.Add(1)
					time.Sleep(time.Millisecond)
					_ = conn.Close()
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		if err := p.turnAway(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		clients.Wait()
		if answered.Load() != served.Load() || answered.Load() == 0 {
			t.Errorf("%s: %d served, %d answered", address, served.Load(), answered.Load())
		}
	}
}

package app

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// accepted is a connection of a port, and the client's end.
func accepted(t *testing.T) (server, client net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPort(l.(*net.TCPListener))
	t.Cleanup(func() { _ = p.Close() })
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if server, err = p.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server, client
}

// ends tells how long it takes until something runs into a deadline.
func ends(t *testing.T, do func() error) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := do(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	return time.Since(begun)
}

func TestDeadlinesOfConnections(t *testing.T) {
	const far = 3*sweepEvery + 500*time.Millisecond
	set := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	for name, test := range map[string]struct {
		deadline time.Duration
		prepare  func(net.Conn)
	}{
		"far":  {far, nil},
		"near": {50 * time.Millisecond, nil},
		"past": {-time.Hour, nil},
		"put off, and gone once before": {far, func(c net.Conn) {
			set(c.SetReadDeadline(time.Now().Add(-time.Hour)))
			ends(t, func() error { _, err := c.Read(make([]byte, 1)); return err })
			set(c.SetReadDeadline(time.Time{}))
			set(c.SetReadDeadline(time.Now().Add(far / 2)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := accepted(t)
			if test.prepare != nil {
				test.prepare(server)
			}
			set(server.SetReadDeadline(time.Now().Add(test.deadline)))
			if took := ends(t, func() error { _, err := server.Read(make([]byte, 1)); return err }); took < test.deadline {
				t.Errorf("after %s", took)
			}
		})
	}
	t.Run("of an answer nobody takes", func(t *testing.T) {
		t.Parallel()
		server, _ := accepted(t)
		set(server.SetDeadline(time.Now().Add(far)))
		took := ends(t, func() (err error) {
			for err == nil {
				_, err = server.Write(make([]byte, 1<<20))
			}
			return err
		})
		if took < far {
			t.Errorf("after %s", took)
		}
	})
	t.Run("none any more", func(t *testing.T) {
		t.Parallel()
		server, client := accepted(t)
		set(server.SetReadDeadline(time.Now().Add(far)))
		set(server.SetReadDeadline(time.Time{}))
		time.AfterFunc(far+2*sweepEvery, func() { _, _ = client.Write([]byte("x")) })
		if n, err := server.Read(make([]byte, 1)); n != 1 {
			t.Error(err)
		}
	})
}

// While nobody is connected nothing is done.
func TestSweepsEndWithTheLastConnection(t *testing.T) {
	server, _ := accepted(t)
	of := server.(*conn).of
	if !of.sweep(time.Now()) {
		t.Error("no sweeps while there is a connection")
	}
	_ = server.Close()
	if of.sweep(time.Now()) {
		t.Error("sweeps without connections")
	}
}

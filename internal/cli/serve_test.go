package cli

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// screen is an output that ends the command once it shows what a test waits for.
type screen struct {
	mu    sync.Mutex
	text  strings.Builder
	until string
	stop  context.CancelFunc
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.text.Write(b)
	if strings.Contains(s.text.String(), s.until) {
		s.stop()
	}
	return n, err
}

// TestTheFirstPasswordIsNotLostToAPortInUse: whoever starts the server on a port that is taken, and then on
// another one, has to learn the password.
func TestTheFirstPasswordIsNotLostToAPortInUse(t *testing.T) {
	t.Setenv("CARFLUENCE_ADMIN_PASSWORD", "")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := newFolder(t)
	serve := func(address string) (int, string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &screen{until: "listening on", stop: cancel}
		code := Run(ctx, []string{"serve", "--data", dir, "--listen", address, "--sftp-listen", "127.0.0.1:0", "--metrics-listen", "off", "--drain", "0s"}, strings.NewReader(""), out, io.Discard)
		return code, out.text.String()
	}
	if code, out := serve(taken.Addr().String()); code != exitFailure || strings.Contains(out, "listening") {
		t.Fatalf("on a taken port: %d %s", code, out)
	}
	if code, out := serve("127.0.0.1:0"); code != exitOK || !strings.Contains(out, "Password (shown once): ") {
		t.Errorf("then on a free one: %d %s", code, out)
	}
}

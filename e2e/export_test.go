package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// export begins an export; the body is to be read.
func (s *server) export(query string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.url+"/api/v1/inventory/export?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil { // else the system takes a whole export before it is read
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}}}
	s.t.Cleanup(client.CloseIdleConnections)
	res, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// TestAnExport of a large stock: whole, in little memory, cut off when its key is revoked and when the server stops, and never more
// of them than were set.
func TestAnExport(t *testing.T) {
	t.Parallel()
	rows := rounds(20_000, 1_000_000)
	path := filepath.Join(t.TempDir(), "large.csv")
	writeLargeFeed(t, path, rows)
	s := serve(t, t.TempDir(), "--drain", "100ms", "--exports-max", "1")
	admin, key := s.login(), s.feedKey()
	x := s.source(key, s.dealer(key, "Large Motors"), "large")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, err := x.upload("large.csv", f); err != nil || r.StatusCode != 202 {
		t.Fatalf("%v %s", err, r.body)
	}
	x.finished(1, 10*time.Minute)

	s.must(200, "GET", "/api/v1/inventory?make=Ford", "", key) // the index is there
	before := s.peak()
	for format, extra := range map[string]int{"ndjson": 0, "csv": 1} {
		began, lines := time.Now(), 0
		res := s.export("format="+format, key)
		in := bufio.NewReaderSize(res.Body, 1<<20)
		for {
			text, err := in.ReadSlice('\n')
			lines += bytes.Count(text, []byte{'\n'})
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if res.StatusCode != 200 || lines != rows+extra {
			t.Errorf("%s: %d, %d lines", format, res.StatusCode, lines)
		}
		t.Logf("%s: %.0f vehicles/s, at most %d MiB resident, %d before", format, float64(rows)/time.Since(began).Seconds(), s.peak()>>20, before>>20)
	}
	if grown := s.peak() - before; grown > 100<<20 {
		t.Errorf("memory has grown by %d MiB", grown>>20)
	}

	revoked := s.key(admin, 100, "inventory:read")
	res := s.export("", revoked)
	r := s.must(503, "GET", "/api/v1/inventory/export", "", key)
	if r.Header.Get("Retry-After") == "" {
		t.Errorf("one more than may: %v", r.Header)
	}
	for _, k := range s.must(200, "GET", "/api/v1/api-keys", "", admin).json("apiKeys").([]any) {
		if k := k.(map[string]any); fmt.Sprint(k["scopes"]) == "[inventory:read]" {
			s.must(204, "DELETE", "/api/v1/api-keys/"+k["id"].(string), "", admin)
		}
	}
	time.Sleep(1100 * time.Millisecond)
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("%d bytes pass for the whole after the key was revoked", n)
	}

	stuck := s.export("", key)
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the server took %s to stop", took)
	}
	if n, err := io.Copy(io.Discard, stuck.Body); err == nil {
		t.Errorf("%d bytes pass for the whole at the server's end", n)
	}
}

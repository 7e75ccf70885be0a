package rest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carfluence/internal/errs"
)

var line = strings.Repeat("a vehicle of the stock\n", 1000)

// streaming serves an operation whose answer is streamed; seen are the exchanges that have ended.
func streaming(t *testing.T, s *Streamed) (url string, st *stand, seen chan *Exchange) {
	st = newStand(t)
	seen = make(chan *Exchange, 10)
	st.api.Observe = func(x *Exchange) { seen <- x }
	Register(st.api, Operation{ID: "export", Method: "GET", Path: "/export", Security: Scope("inventory:read"), Fresh: true, Files: map[string]string{"text/csv": "Rows."}},
		func(context.Context, *struct{}) (*Streamed, error) { return s, nil })
	server := httptest.NewUnstartedServer(st.api)
	server.Config.WriteTimeout = 300 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	return server.URL + "/api/v1/export", st, seen
}

func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", "test")
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func write(times int, then error) func(context.Context, io.Writer) error {
	return func(_ context.Context, to io.Writer) error {
		for range times {
			if _, err := io.WriteString(to, line); err != nil {
				return err
			}
		}
		return then
	}
}

func TestAStreamedAnswer(t *testing.T) {
	s := &Streamed{ContentType: "text/csv", Disposition: `attachment; filename="a.csv"`, Write: write(20, nil)}
	url, _, _ := streaming(t, s)
	want := strings.Repeat(line, 20)
	res, body, err := ask(t, "GET", url)
	if err != nil || res.StatusCode != 200 || body != want || res.Header.Get("Content-Type") != "text/csv" || res.Header.Get("Content-Disposition") != s.Disposition ||
		res.Header.Get("Cache-Control") != "private, no-store" || res.Header.Get("Etag") != "" || res.Header.Get("X-RateLimit-Limit") == "" {
		t.Errorf("%d %d bytes %v %v", res.StatusCode, len(body), res.Header, err)
	}
	res, body, err = ask(t, "GET", url, "Accept-Encoding", "gzip")
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" || len(body) > len(want)/10 || !strings.Contains(res.Header.Get("Vary"), "Accept-Encoding") {
		t.Fatalf("%d bytes %v %v", len(body), res.Header, err)
	}
	zip, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(zip); err != nil || string(plain) != want {
		t.Errorf("%d bytes %v", len(plain), err)
	}
	if res, body, err := ask(t, "HEAD", url); err != nil || res.StatusCode != 200 || body != "" || res.Header.Get("Content-Type") != "text/csv" {
		t.Errorf("HEAD: %d %q %v", res.StatusCode, body, err)
	}
	s.Write = write(0, nil)
	if res, body, err := ask(t, "GET", url); err != nil || res.StatusCode != 200 || body != "" || res.Header.Get("Content-Type") != "text/csv" {
		t.Errorf("nothing to send: %d %q %v", res.StatusCode, body, err)
	}
}

func TestAStreamThatFails(t *testing.T) {
	s := &Streamed{ContentType: "text/csv", Disposition: "attachment", Write: write(1, errs.UnavailableFor(7*time.Second, "Not now.", nil))}
	url, _, seen := streaming(t, s)
	for _, encoding := range []string{"identity", "gzip"} {
		res, body, err := ask(t, "GET", url, "Accept-Encoding", encoding)
		if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") != "7" || res.Header.Get("Content-Disposition") != "" || !strings.Contains(body, "Not now.") {
			t.Errorf("before anything is sent: %d %v %q %v", res.StatusCode, res.Header, body, err)
		}
		<-seen
	}
	s.Write = write(20, errors.New("the store is away"))
	for _, encoding := range []string{"identity", "gzip"} {
		if encoding == "gzip" { // it takes more to fill a piece
			s.Write = func(ctx context.Context, to io.Writer) error {
				for i := range 200_000 {
					if _, err := io.WriteString(to, strings.Repeat(string(rune('a'+i%7)), i%97)+line[:i%1013]); err != nil {
						return err
					}
				}
				return errors.New("the store is away")
			}
		}
		if _, _, err := ask(t, "GET", url, "Accept-Encoding", encoding); err == nil {
			t.Errorf("%s: a part passes for the whole", encoding)
		}
		if x := <-seen; errs.CodeOf(x.Err()) != "internal" {
			t.Errorf("logged as %v", x.Err())
		}
	}
}

// A client that reads on may take longer than the server gives other answers; one that takes nothing is cut off.
func TestASlowClientAndAStuckOne(t *testing.T) {
	s := &Streamed{ContentType: "text/csv", Idle: time.Second, Write: func(_ context.Context, to io.Writer) error {
		for range 8 {
			time.Sleep(100 * time.Millisecond)
			if _, err := io.WriteString(to, strings.Repeat(line, 4)); err != nil {
				return err
			}
		}
		return nil
	}}
	url, _, seen := streaming(t, s)
	if _, body, err := ask(t, "GET", url); err != nil || len(body) != 32*len(line) {
		t.Errorf("slow: %d bytes, %v", len(body), err)
	}
	<-seen
	s.Write, s.Idle = write(100_000, nil), 200*time.Millisecond
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /"+path+" HTTP/1.1\r\nHost: x\r\nX-Api-Key: test\r\n\r\n")
	select {
	case x := <-seen:
		if errs.CodeOf(x.Err()) != "client_gone" {
			t.Errorf("stuck: %v", x.Err())
		}
	case <-time.After(10 * time.Second):
		t.Error("a stuck client is never cut off")
	}
}

func endless(ended *atomic.Bool) func(context.Context, io.Writer) error {
	return func(ctx context.Context, to io.Writer) error {
		defer ended.Store(true)
		for ctx.Err() == nil {
			if _, err := io.WriteString(to, line); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	}
}

func TestAStreamEnds(t *testing.T) {
	var ended atomic.Bool
	stop := make(chan struct{})
	s := &Streamed{ContentType: "text/csv", Write: endless(&ended), Ended: stop, Grace: 50 * time.Millisecond}
	url, st, seen := streaming(t, s)

	var calls atomic.Int64
	revoked := errs.New(errs.KindUnauthenticated, "key_revoked", "The key was revoked.")
	st.api.Gate.Renew = func(*Exchange) error { calls.Add(1); return revoked }
	if _, _, err := ask(t, "GET", url); err == nil || calls.Load() != 1 {
		t.Errorf("a revoked key: %v after %d looks", err, calls.Load())
	}
	if x := <-seen; errs.CodeOf(x.Err()) != "key_revoked" || !ended.Load() {
		t.Errorf("logged as %v", x.Err())
	}
	st.api.Gate.Renew = nil

	ended.Store(false)
	ctx, leave := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	r.Header.Set("X-Api-Key", "test")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	res.Body.Close()
	if x := <-seen; !ended.Load() {
		t.Errorf("goes on without its client: %v", x.Err())
	}

	ended.Store(false)
	time.AfterFunc(100*time.Millisecond, func() { close(stop) })
	if _, body, err := ask(t, "GET", url); err == nil || body == "" {
		t.Errorf("%d bytes pass for the whole at the server's end", len(body))
	}
	if x := <-seen; errs.CodeOf(x.Err()) != "unavailable" || !ended.Load() {
		t.Errorf("logged as %v", x.Err())
	}
	s.Write = write(20, nil)
	if _, body, err := ask(t, "GET", url); err != nil || len(body) != 20*len(line) {
		t.Errorf("a short one while the server stops: %d bytes, %v", len(body), err)
	}
}

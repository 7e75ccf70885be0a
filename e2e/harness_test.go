// Package e2e drives the real binary as its users do: command lines, HTTP, signals, kills.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	adminEmail    = "admin@example.com"
	adminPassword = "a long enough pass phrase 42"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "carfluence-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "carfluence")
	build := exec.Command("go", "build", "-o", binary, "../cmd/carfluence")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// soak tells whether the long runs are asked for.
func soak() bool { return os.Getenv("CARFLUENCE_SOAK") != "" }

// rounds is how often a test repeats: few times in every run, many in a soak.
func rounds(short, long int) int {
	if soak() {
		return long
	}
	return short
}

// carfluence runs a command to its end.
func carfluence(t testing.TB, data string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = environment(t, data)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// mustRun runs a command that has to succeed and returns its output.
func mustRun(t testing.TB, data string, args ...string) string {
	t.Helper()
	out, errOut, code := carfluence(t, data, args...)
	if code != 0 {
		t.Fatalf("carfluence %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

func environment(t testing.TB, data string) []string {
	t.Helper()
	return append(append(os.Environ(), "CARFLUENCE_DATA="+data, "CARFLUENCE_ADMIN_EMAIL="+adminEmail, "CARFLUENCE_ADMIN_PASSWORD="+adminPassword,
		"CARFLUENCE_LISTEN=127.0.0.1:0", "CARFLUENCE_METRICS_LISTEN=127.0.0.1:0", "CARFLUENCE_SFTP_LISTEN=127.0.0.1:0", "CARFLUENCE_DRAIN=0s"),
		databasesOf(t, data).environment()...)
}

// server is a running carfluence serve.
type server struct {
	t    testing.TB
	cmd  *exec.Cmd
	data string
	url  string // of the API's host
	done chan struct{}

	mu     sync.Mutex
	out    strings.Builder // standard output
	log    strings.Builder // standard error
	client *http.Client
}

// serve starts the program on a data folder and waits until it accepts connections.
func serve(t testing.TB, data string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"serve"}, args...)...)
	cmd.Env = environment(t, data)
	return launch(t, cmd, data)
}

// launch starts a serve command whose environment is the caller's.
func launch(t testing.TB, cmd *exec.Cmd, data string) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, data: data, done: make(chan struct{}), client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errOut, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	var readers sync.WaitGroup
	readers.Go(func() { s.collect(out, &s.out, ready) })
	readers.Go(func() { s.collect(errOut, &s.log, nil) })
	go func() { readers.Wait(); _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(func() { s.kill(); s.client.CloseIdleConnections() })
	select {
	case s.url = <-ready:
	case <-s.done:
		t.Fatalf("the server ended at once:\n%s\n%s", s.output(), s.logged())
	case <-time.After(60 * time.Second):
		t.Fatalf("the server did not come up:\n%s\n%s", s.output(), s.logged())
	}
	return s
}

func (s *server) collect(r io.Reader, into *strings.Builder, ready chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		into.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok && ready != nil {
			ready <- strings.TrimSpace(url)
			ready = nil
		}
	}
}

func (s *server) output() string { s.mu.Lock(); defer s.mu.Unlock(); return s.out.String() }

// logged is the log so far, with the lines of requests answered before: they are written together, after a tenth of a second.
func (s *server) logged() string {
	time.Sleep(200 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop asks the server to end and waits for it.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(40 * time.Second):
		s.t.Fatal("the server did not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the server ended with %d:\n%s", code, s.logged())
	}
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body []byte
}

// json reads a member by path: "user.id".
func (r reply) json(path string) any {
	var v any
	if json.Unmarshal(r.body, &v) != nil {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (r reply) text(path string) string { s, _ := r.json(path).(string); return s }

// call sends one request; headers are "Name: value". An error is an answer that did not come.
func (s *server) call(method, path, body string, headers ...string) (reply, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res, b}, err
}

// must is call that has to be answered with the given status.
func (s *server) must(status int, method, path, body string, headers ...string) reply {
	s.t.Helper()
	r, err := s.call(method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if r.StatusCode != status {
		s.t.Fatalf("%s %s: %d, want %d\n%s", method, path, r.StatusCode, status, r.body)
	}
	return r
}

// login returns the Authorization header of a fresh admin session.
func (s *server) login() string {
	s.t.Helper()
	r := s.must(200, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, adminEmail, adminPassword))
	return "Authorization: Bearer " + r.text("token")
}

// key makes an API key and returns its header.
func (s *server) key(admin string, limit int, scopes ...string) string {
	s.t.Helper()
	list, _ := json.Marshal(scopes)
	r := s.must(201, "POST", "/api/v1/api-keys", fmt.Sprintf(`{"name":"test","scopes":%s,"rateLimitPerHour":%d}`, list, limit), admin)
	return "X-API-Key: " + r.text("key")
}

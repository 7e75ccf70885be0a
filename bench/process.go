package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a server under measurement.
type process struct {
	cmd *exec.Cmd
	url string
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return l
}

// startProcess waits for the line that says where it listens.
func startProcess(cmd *exec.Cmd) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &process{cmd, strings.TrimSpace(url)}, nil
		}
	}
	return nil, errors.Join(errors.New("the server ended at once"), cmd.Wait())
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.cmd.Wait()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu is the processor time of the process so far (user and system).
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid, false) }

// cpuOf is the processor time of a process, with that of the children it has waited for.
func cpuOf(pid int, children bool) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time is read from /proc, on Linux: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	var user, system, childUser, childSystem int64
	if _, err := fmt.Sscan(strings.Join(f[11:15], " "), &user, &system, &childUser, &childSystem); err != nil {
		return 0, err
	}
	if !children {
		childUser, childSystem = 0, 0
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system+childUser+childSystem) * tick, nil
}

// resident is the memory held by the process, in bytes.
func (p *process) resident() int64 { return p.memory("VmRSS") }

// memory is a figure of /proc/PID/status, in bytes: VmRSS is what is held, VmHWM the most that was.
func (p *process) memory(name string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}

type measurement struct {
	cpu  float64 // µs per request
	rate float64 // requests per second
}

// load sends the requests over a bounded number of connections and reads every answer whole.
func load(p *process, path, key string) (measurement, error) {
	client := newClient(*clients)
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(*requests))
	var failed atomic.Pointer[error]
	before, err := p.cpu()
	if err != nil {
		return measurement{}, err
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for range *clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 && failed.Load() == nil {
				if err := get(client, p.url+path, key); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if e := failed.Load(); e != nil {
		return measurement{}, *e
	}
	after, err := p.cpu()
	n := float64(*requests)
	return measurement{cpu: float64((after - before).Microseconds()) / n, rate: n / took.Seconds()}, err
}

func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}, Timeout: 10 * time.Second}
}

// statusError is an answer other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

func get(client *http.Client, url, key string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", key)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", url, statusError(res.StatusCode))
	}
	return nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU unknown"
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// serverCore is where all that serves runs; clients are on the others.
const serverCore = "0"

// pinned makes a command run on the servers' core.
func pinned(cmd *exec.Cmd) *exec.Cmd {
	path, err := exec.LookPath("taskset")
	if err != nil {
		cmd.Err = errors.Join(cmd.Err, err)
		return cmd
	}
	cmd.Path, cmd.Args = path, append([]string{"taskset", "-c", serverCore, cmd.Path}, cmd.Args[1:]...)
	return cmd
}

// pinClients leaves the servers' core to them.
func pinClients() error {
	if runtime.NumCPU() < 2 {
		fmt.Fprintln(os.Stderr, "bench: there is one core; clients and servers share it")
		return nil
	}
	return pin(os.Getpid(), fmt.Sprintf("1-%d", runtime.NumCPU()-1))
}

// unpinned makes a command run on all cores: it is not measured.
func unpinned(cmd *exec.Cmd) *exec.Cmd {
	cmd = pinned(cmd)
	if cmd.Err == nil {
		cmd.Args[2] = fmt.Sprintf("0-%d", runtime.NumCPU()-1)
	}
	return cmd
}

// pin binds all threads of a process to cores.
func pin(pid int, cores string) error {
	if out, err := exec.Command("taskset", "-a", "-c", "-p", cores, fmt.Sprint(pid)).CombinedOutput(); err != nil {
		return fmt.Errorf("taskset: %w\n%s", err, out)
	}
	return nil
}

// process is a server under measurement.
type process struct {
	cmd   *exec.Cmd
	url   string
	begun time.Time
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
	p := &process{cmd: cmd, begun: time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			p.url = strings.TrimSpace(url)
			return p, nil
		}
	}
	return nil, errors.Join(errors.New("the server ended at once"), cmd.Wait())
}

func (p *process) address() string { return strings.TrimPrefix(p.url, "http://") }

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

// memory is a figure of /proc/PID/status, in MiB: VmRSS is what is held, VmHWM the most that was.
func (p *process) memory(name string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, name+": %d kB", &kib); err == nil {
			return kib >> 10
		}
	}
	return 0
}

func exitText(err error) []byte {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.Stderr
	}
	return nil
}

package sftpd

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// program finds a client program, or leaves the test out loudly.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		leaveOut(t, name)
	}
	return path
}

func leaveOut(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("CARFLUENCE_REQUIRE_CLIENTS") != "" {
		t.Fatalf("no %s found, and CARFLUENCE_REQUIRE_CLIENTS asks for it", name)
	}
	t.Skipf("LEFT OUT: no %s found, so the SFTP server was not tried with it", name)
}

// runProgram runs a program to its end, with a text on its standard input.
func runProgram(t *testing.T, dir, stdin, name string, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK=")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), err
}

// keyFor makes a key that logs a user in, and the folder of a client with it and the host key it may trust.
func (h *house) keyFor(user string) (dir, key string) {
	h.t.Helper()
	dir = h.t.TempDir()
	public, private, err := ed25519.GenerateKey(nil)
	must(h.t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	must(h.t, err)
	key = filepath.Join(dir, "key")
	must(h.t, os.WriteFile(key, pem.EncodeToMemory(block), 0o600))
	authorized, err := ssh.NewPublicKey(public)
	must(h.t, err)
	h.set(func() { h.keys[string(authorized.Marshal())] = user })
	host, port, _ := net.SplitHostPort(h.address)
	line := fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(hostKey(h.t).PublicKey()))
	must(h.t, os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(line), 0o600))
	return dir, key
}

// sshOptions let OpenSSH's programs use the key and nothing of this machine's settings.
func (h *house) sshOptions(dir, key string) []string {
	return []string{
		"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"),
		"-o", "StrictHostKeyChecking=yes",
	}
}

func (h *house) port() string { _, port, _ := net.SplitHostPort(h.address); return port }

// sftpBatch runs commands of OpenSSH's sftp; a leading "-" lets one fail.
func (h *house) sftpBatch(dir, key string, commands ...string) (string, error) {
	args := append(h.sshOptions(dir, key), "-P", h.port(), "-b", "-", "vendor0@127.0.0.1")
	return runProgram(h.t, dir, strings.Join(commands, "\n")+"\n", program(h.t, "sftp"), args...)
}

func TestClientOpenSSH(t *testing.T) {
	t.Parallel()
	program(t, "sftp")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	content := string(noise(10, 3_000_000))
	must(t, os.WriteFile(filepath.Join(dir, "stock.csv"), []byte(content), 0o644))
	must(t, os.Chtimes(filepath.Join(dir, "stock.csv"), time.Time{}, time.Unix(1_700_000_000, 0)))

	out, err := h.sftpBatch(dir, key, "put stock.csv", "ls -l", "mkdir in", "cd in", "put -p stock.csv copy.csv", "put -f stock.csv synced.csv",
		"put stock.csv x.part", "rename x.part renamed.csv", "ls -l /in", "-ln -s copy.csv link.csv", "-get copy.csv", "pwd")
	must(t, err)
	for _, line := range []string{"3000000", "stock.csv", "renamed.csv", "synced.csv", "Remote working directory: /in", "Operation unsupported", "Permission denied"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in the output:\n%s", line, out)
		}
	}
	h.got("/stock.csv", content, "/in/copy.csv", content, "/in/synced.csv", content, "/in/renamed.csv", content)
	for _, d := range h.deliveries() {
		if set := d.path == "/in/copy.csv"; set != d.modTime.Equal(time.Unix(1_700_000_000, 0)) {
			t.Errorf("%s has the time %v", d.path, d.modTime)
		}
	}

	h.set(func() { h.received = nil })
	h.partial("cut.csv", content[:1_234_567])
	_, err = h.sftpBatch(dir, key, "reput stock.csv cut.csv")
	must(t, err)
	h.partial("again.csv", content[:99_999])
	_, err = h.sftpBatch(dir, key, "put -a stock.csv again.csv")
	must(t, err)
	h.got("/cut.csv", content, "/again.csv", content)
}

// partial leaves a file of vendor0 that was cut.
func (h *house) partial(name, content string) {
	h.t.Helper()
	c := h.client("vendor0")
	f, err := c.Create(name)
	must(h.t, err)
	_, err = f.Write([]byte(content))
	must(h.t, err)
	_ = c.net.Close()
	soon(h.t, "the file is let go", func() bool { return h.idle("id-vendor0") })
}

// TestClientOpenSSHKilled kills the client in the middle of an upload.
func TestClientOpenSSHKilled(t *testing.T) {
	t.Parallel()
	path := program(t, "sftp")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	content := string(noise(11, 5_000_000))
	must(t, os.WriteFile(filepath.Join(dir, "stock.csv"), []byte(content), 0o644))
	args := append(h.sshOptions(dir, key), "-P", h.port(), "-l", "8000", "-b", "-", "vendor0@127.0.0.1") // kbit/s
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("put stock.csv\n")
	must(t, cmd.Start())
	c := h.client("vendor0")
	soon(t, "some of it is here", func() bool { return statSize(c) > 500_000 })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	soon(t, "the file is let go", func() bool { return h.idle("id-vendor0") })
	h.got()
	_, err := h.sftpBatch(dir, key, "reput stock.csv")
	must(t, err)
	h.got("/stock.csv", content)
}

// TestClientOpenSSHInterrupted interrupts a resumed upload as Ctrl-C does: sftp sets the length to what has
// certainly arrived and closes the handle in good order.
func TestClientOpenSSHInterrupted(t *testing.T) {
	t.Parallel()
	path := program(t, "sftp")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	content := string(noise(14, 5_000_000))
	must(t, os.WriteFile(filepath.Join(dir, "stock.csv"), []byte(content), 0o644))
	h.partial("stock.csv", content[:100_000])
	args := append(h.sshOptions(dir, key), "-P", h.port(), "-l", "8000", "-b", "-", "vendor0@127.0.0.1") // kbit/s
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("reput stock.csv\n")
	must(t, cmd.Start())
	c := h.client("vendor0")
	soon(t, "some of it is here", func() bool { return statSize(c) > 500_000 })
	must(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	soon(t, "the file is let go", func() bool { return h.idle("id-vendor0") })
	h.got()
	_, err := h.sftpBatch(dir, key, "put stock.csv") // some releases set the length to 0, and leave nothing to resume
	must(t, err)
	h.got("/stock.csv", content)
}

func TestClientSSHIsRefused(t *testing.T) {
	t.Parallel()
	path := program(t, "ssh")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	base := append(h.sshOptions(dir, key), "-p", h.port())
	for _, more := range [][]string{
		{"vendor0@127.0.0.1"}, {"-tt", "vendor0@127.0.0.1"}, {"vendor0@127.0.0.1", "id"}, {"-A", "-X", "vendor0@127.0.0.1", "id"},
		{"-s", "vendor0@127.0.0.1", "netconf"}, {"-W", "127.0.0.1:" + h.port(), "vendor0@127.0.0.1"},
		{"-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:" + h.port(), "vendor0@127.0.0.1"},
	} {
		if out, err := runProgram(t, dir, "", path, append(base, more...)...); err == nil || strings.Contains(out, "uid=") {
			t.Errorf("ssh %v was let in: %s", more, out)
		}
	}
	// -L listens here; what connects is not carried.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	local := l.Addr().String()
	must(t, l.Close())
	cmd := exec.Command(path, append(base, "-N", "-L", local+":127.0.0.1:"+h.port(), "vendor0@127.0.0.1")...)
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	var nc net.Conn
	soon(t, "ssh listens", func() bool { nc, err = net.Dial("tcp", local); return err == nil })
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if n, _ := nc.Read(make([]byte, 1)); n != 0 {
		t.Error("a forwarded connection was carried")
	}
	soon(t, "the refusal is logged", func() bool { return strings.Contains(h.logs.String(), "direct-tcpip") })
}

// lftp runs commands of lftp, logged in with the key.
func (h *house) lftp(dir, key string, commands ...string) (string, error) {
	connect := "ssh -a -x " + strings.Join(h.sshOptions(dir, key), " ")
	script := append([]string{
		"set cmd:fail-exit yes", "set net:max-retries 1", "set net:timeout 20", "set sftp:connect-program '" + connect + "'",
		"open -u vendor0,unused -p " + h.port() + " sftp://127.0.0.1",
	}, commands...)
	return runProgram(h.t, dir, strings.Join(script, "\n")+"\n", program(h.t, "lftp"), "--norc")
}

func TestClientLftp(t *testing.T) {
	t.Parallel()
	program(t, "lftp")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	content := string(noise(12, 2_000_000))
	must(t, os.MkdirAll(filepath.Join(dir, "tree/sub"), 0o755))
	for _, name := range []string{"stock.csv", "tree/a.csv", "tree/sub/b.csv"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	var temporaries []string // partial files while one is received
	h.set(func() {
		h.receive = func(Upload) error {
			d := h.Server.drops["id-vendor0"]
			d.mu.Lock()
			defer d.mu.Unlock()
			temporaries = slices.AppendSeq(temporaries, maps.Keys(d.partials))
			return nil
		}
	})
	out, err := h.lftp(dir, key, "put stock.csv", "cls -l", "mirror -R tree up", "set xfer:use-temp-file yes", "put stock.csv -o temp.csv")
	must(t, err)
	if !strings.Contains(out, "stock.csv") || !strings.Contains(out, "2000000") {
		t.Errorf("cls -l shows:\n%s", out)
	}
	if !slices.Contains(temporaries, "/.in.temp.csv") {
		t.Errorf("no temporary name was used: %v", temporaries)
	}
	h.got("/stock.csv", content, "/up/a.csv", content, "/up/sub/b.csv", content, "/temp.csv", content)
	h.set(func() { h.received = nil })
	h.partial("cut.csv", content[:777_777])
	_, err = h.lftp(dir, key, "put -c stock.csv -o cut.csv")
	must(t, err)
	h.got("/cut.csv", content)
	// What was cut is longer than the file is by now, or just as long: nothing is sent.
	for _, had := range []string{content + "more", content} {
		h.partial("longer.csv", had)
		_, _ = h.lftp(dir, key, "put -c stock.csv -o longer.csv")
		h.got("/cut.csv", content)
	}
	_, err = h.lftp(dir, key, "put stock.csv -o longer.csv")
	must(t, err)
	h.got("/cut.csv", content, "/longer.csv", content)
	if out, err := h.lftp(dir, key, "get cut.csv -o back.csv"); err == nil {
		t.Errorf("a download was granted:\n%s", out)
	}
}

const paramikoScript = `
import io, os, sys, paramiko
host, port, key, password, mode = "127.0.0.1", int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
c = paramiko.SSHClient()
c.load_host_keys("known_hosts")
if mode == "key":
    c.connect(host, port, "vendor0", pkey=paramiko.Ed25519Key.from_private_key_file(key), allow_agent=False, look_for_keys=False)
else:
    c.connect(host, port, "vendor0", password, allow_agent=False, look_for_keys=False)
s = c.open_sftp()
if mode == "key":
    a = s.put("stock.csv", "stock.csv", confirm=True)
    assert a.st_size == os.path.getsize("stock.csv"), a
    s.posix_rename("stock.csv", "moved.csv")
    assert "moved.csv" in s.listdir("/"), s.listdir("/")
    data = open("stock.csv", "rb").read()
    with s.open("order.tmp", "wb") as f:
        f.set_pipelined(True)
        for i in reversed(range(0, len(data), 20000)):
            f.seek(i)
            f.write(data[i:i+20000])
    s.rename("order.tmp", "order.csv")
    s.utime("order.csv", (1700000000, 1700000000))
    s.chmod("order.csv", 0o600)
else:
    s.putfo(io.BytesIO(b"by password"), "password.csv", confirm=True)
    with s.open("appended.tmp", "ab") as f:
        f.write(b"one ")
    with s.open("appended.tmp", "ab") as f:
        f.write(b"two")
    s.rename("appended.tmp", "appended.csv")
    for refused in (lambda: s.symlink("a", "b"), lambda: s.open("password.csv").read(), lambda: s.put("stock.csv", "../up.csv")):
        try:
            refused()
        except IOError:
            continue
        raise Exception("was granted")
c.close()
`

// pythonWith finds a Python that has a module: the first on the path, or the system's, which Debian's
// packages belong to.
func pythonWith(t *testing.T, module string) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import "+module).Run() == nil {
			return python
		}
	}
	leaveOut(t, module)
	return ""
}

func TestClientParamiko(t *testing.T) {
	t.Parallel()
	python := pythonWith(t, "paramiko")
	h := start(t, Limits{})
	dir, key := h.keyFor("vendor0")
	content := string(noise(13, 1_000_000))
	must(t, os.WriteFile(filepath.Join(dir, "stock.csv"), []byte(content), 0o644),
		os.WriteFile(filepath.Join(dir, "client.py"), []byte(paramikoScript), 0o644))
	for _, mode := range []string{"key", "password"} {
		_, err := runProgram(t, dir, "", python, "-W", "ignore", "client.py", h.port(), key, password, mode)
		must(t, err)
	}
	h.got("/stock.csv", content, "/order.csv", content, "/password.csv", "by password", "/appended.csv", "one two")
}

// TestClientSSHAudit wants no finding but those that say nothing about this server: releases before 3.2 don't
// know what is newer than they are, and from 3.9 on every exchange that older clients speak is warned of for
// not being post-quantum, which the one offered first is.
func TestClientSSHAudit(t *testing.T) {
	t.Parallel()
	path := program(t, "ssh-audit")
	h := start(t, Limits{})
	out, err := runProgram(t, t.TempDir(), "", path, "--no-colors", "127.0.0.1:"+h.port())
	if err != nil {
		out = err.Error()
	}
	findings, accepted := 0, 0
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "[fail]") && !strings.Contains(line, "[warn]") {
			continue
		}
		findings++
		newer := strings.Contains(line, "mlkem768x25519-sha256") || strings.Contains(line, "kex-strict-s-v00@openssh.com")
		if newer && strings.Contains(line, "unknown algorithm") || strings.Contains(line, "(kex)") && strings.Contains(line, "quantum") {
			accepted++
			continue
		}
		t.Error(strings.TrimSpace(line))
	}
	if err != nil && (findings == 0 || findings > accepted) {
		t.Errorf("ssh-audit: %v", err)
	}
	for _, name := range []string{"mlkem768x25519-sha256", "curve25519-sha256", "ssh-ed25519", "aes256-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"} {
		if !strings.Contains(out, name) {
			t.Errorf("ssh-audit did not see %s:\n%s", name, out)
		}
	}
}

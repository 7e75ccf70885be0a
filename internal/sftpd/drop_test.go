package sftpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"carfluence/internal/errs"
)

func TestPutIsReceivedAndStaysVisible(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	put(t, c, "stock.csv", "VIN\n1")
	put(t, c, "/deep/er/stock.csv", "VIN\n2")
	put(t, c, "empty.csv", "")
	h.got("/stock.csv", "VIN\n1", "/deep/er/stock.csv", "VIN\n2", "/empty.csv", "")
	info, err := c.Stat("stock.csv")
	if err != nil || info.Size() != 5 {
		t.Fatalf("stat after put: %v, %v", info, err)
	}
	list, err := c.ReadDir("/")
	if err != nil || len(list) != 3 || list[0].Name() != "deep" || !list[0].IsDir() {
		t.Fatalf("list: %v, %v", list, err)
	}
	if all := h.spooled(); len(all) != 0 {
		t.Fatalf("left in the spool: %v", all)
	}
	f, err := c.Open("stock.csv")
	if err == nil {
		_, err = f.Read(make([]byte, 1))
	}
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("download: %v, want permission denied", err)
	}
}

func TestArrivedFilesOnlySeemToChange(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	put(t, c, "a.csv", "a")
	put(t, c, "b.csv", "b")
	must(t, c.Rename("a.csv", "done/a.csv"), c.Remove("b.csv"))
	if _, err := c.Stat("b.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a removed file: %v", err)
	}
	if _, err := c.Stat("a.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a renamed file: %v", err)
	}
	if i, err := c.Stat("done/a.csv"); err != nil || i.Size() != 1 {
		t.Errorf("its new name: %v, %v", i, err)
	}
	must(t, c.Rename("done/a.csv", "done/c.csv"), c.Remove("done/c.csv"))
	if _, err := c.Stat("done/c.csv"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a removed second name: %v", err)
	}
	put(t, c, "b.csv", "bb")
	if i, err := c.Stat("b.csv"); err != nil || i.Size() != 2 {
		t.Errorf("a later file of a removed name: %v, %v", i, err)
	}
	h.got("/a.csv", "a", "/b.csv", "b", "/b.csv", "bb")
}

func must(t *testing.T, all ...error) {
	t.Helper()
	if err := errors.Join(all...); err != nil {
		t.Fatal(err)
	}
}

func TestTemporaryNamesCountWhenRenamed(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	names := []string{"x.part", "x.PARTIAL", "x.filepart", "x.tmp", "x.temp", "x.uploading", "x.crdownload", "x.writing", "x~", ".in.x", ".x"}
	var want []string
	for i, name := range names {
		put(t, c, name, name)
		final := fmt.Sprintf("/%d.csv", i)
		want = append(want, final, name)
	}
	h.got()
	for i, name := range names {
		rename := c.Rename
		if i%2 == 0 {
			rename = c.PosixRename
		}
		must(t, rename(name, want[2*i]))
	}
	h.got(want...)
	put(t, c, "y.tmp", "y")
	must(t, c.Rename("y.tmp", "z.tmp"), c.PosixRename("z.tmp", "0.csv"))
	h.got(append(want, "/0.csv", "y")...)
	refused(t, c.Rename("y.tmp", "y.csv"), "not exist")
}

// TestCutConnectionNeverCompletes cuts a 5 MB upload at every 64 KiB, on connections that share nothing but
// the name, and resumes it at each cut.
func TestCutConnectionNeverCompletes(t *testing.T) {
	h := start(t, Limits{})
	content := noise(1, 5_000_000)
	const step = 64 << 10
	for at := 0; at < len(content); at += step {
		c := h.client("vendor0", sftp.UseConcurrentWrites(true))
		f, err := c.OpenFile("stock.csv", os.O_WRONLY|os.O_CREATE)
		must(t, err)
		size := statSize(c)
		if size < int64(max(0, at-step)) && at > 0 {
			t.Fatalf("before %d only %d bytes were kept", at, size)
		}
		end := min(len(content)-1, at+step/2) // the last byte is for the end: what adds none is no resumption
		_, err = f.WriteAt(content[size:end], size)
		must(t, err)
		_ = c.net.Close()
		if n := len(h.deliveries()); n != 0 {
			t.Fatalf("cut at %d, and %d files were received", end, n)
		}
		soon(t, "the handle is let go", func() bool { return h.idle("id-vendor0") })
	}
	c := h.client("vendor0")
	size := statSize(c)
	f, err := c.OpenFile("stock.csv", os.O_WRONLY|os.O_CREATE)
	must(t, err)
	_, err = f.Seek(size, io.SeekStart)
	must(t, err)
	_, err = io.Copy(f, bytes.NewReader(content[size:]))
	must(t, err, f.Close())
	h.got("/stock.csv", string(content))
}

func statSize(c *client) int64 {
	if i, err := c.Stat("stock.csv"); err == nil {
		return i.Size()
	}
	return 0
}

// idle tells whether no file of an integration is in use.
func (h *house) idle(integration string) bool {
	h.Server.mu.Lock()
	d := h.Server.drops[integration]
	h.Server.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.partials {
		if p.busy {
			return false
		}
	}
	return true
}

func TestResumeAfterRestart(t *testing.T) {
	h := start(t, Limits{Grace: 50 * time.Millisecond})
	content := string(noise(2, 300_000))
	c := h.client("vendor0")
	must(t, c.Mkdir("in"))
	f, err := c.Create("in/stock.csv")
	must(t, err)
	_, err = f.Write([]byte(content[:200_000]))
	must(t, err)
	h.stop()
	must(t, os.WriteFile(filepath.Join(h.spool, "id-vendor0", "stray.data"), []byte("x"), 0o600))
	h.run(Limits{})
	c = h.client("vendor0")
	i, err := c.Stat("in/stock.csv")
	if err != nil || i.Size() != 200_000 {
		t.Fatalf("after the restart: %v, %v", i, err)
	}
	refused(t, c.Rename("in/stock.csv", "in/other.csv"), "not uploaded completely")
	f, err = c.OpenFile("in/stock.csv", os.O_WRONLY|os.O_APPEND)
	must(t, err)
	_, err = f.Seek(200_000, io.SeekStart)
	must(t, err)
	_, err = f.Write([]byte(content[200_000:]))
	must(t, err, f.Close())
	h.got("/in/stock.csv", content)
	if all := h.spooled(); len(all) != 1 { // the folder that was made
		t.Errorf("left in the spool: %v", all)
	}
}

// TestKilledServerResumesOnWholeBytes looks at a spool as a killed server leaves it.
func TestKilledServerResumesOnWholeBytes(t *testing.T) {
	h := start(t, Limits{})
	content := noise(3, 20<<20)
	c := h.client("vendor0", sftp.UseConcurrentWrites(true))
	f, err := c.Create("stock.csv")
	must(t, err)
	_, err = f.ReadFrom(bytes.NewReader(content))
	must(t, err)
	folder := filepath.Join(h.spool, "id-vendor0")
	copied := filepath.Join(t.TempDir(), "spool")
	must(t, os.MkdirAll(copied, 0o700), os.CopyFS(filepath.Join(copied, "id-vendor0"), os.DirFS(folder)))
	d, err := openDrop(copied, "id-vendor0", Limits{}.withDefaults(), time.Now, h.config.Log)
	must(t, err)
	p := d.partials["/stock.csv"]
	if p == nil || p.size < 16<<20-256<<10 || p.size > 20<<20 {
		t.Fatalf("kept: %+v", p)
	}
	kept, err := os.ReadFile(filepath.Join(copied, "id-vendor0", p.id+dataSuffix))
	must(t, err)
	if !bytes.Equal(kept, content[:p.size]) {
		t.Error("what is kept is not the beginning of the file")
	}
}

func TestWritesInAnyOrder(t *testing.T) {
	h := start(t, Limits{})
	content := string(noise(4, 1<<20))
	c := h.client("vendor0")
	f, err := c.Create("stock.csv")
	must(t, err)
	const piece = 10_000
	for off := (len(content) / piece) * piece; off >= 0; off -= piece {
		_, err := f.WriteAt([]byte(content[off:min(len(content), off+piece)]), int64(off))
		must(t, err)
	}
	must(t, f.Close())
	c = h.client("vendor0", sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(64))
	f, err = c.Create("parallel.csv")
	must(t, err)
	_, err = f.ReadFromWithConcurrency(strings.NewReader(content), 64)
	must(t, err, f.Close())
	h.got("/stock.csv", content, "/parallel.csv", content)
}

func TestGapsAreNotFiles(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	f, err := c.Create("stock.csv")
	must(t, err)
	_, err = f.WriteAt([]byte("begin"), 0)
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 10)
	must(t, err)
	refused(t, f.Close(), "gap after byte 5")
	if n := statSize(c); n != 5 {
		t.Errorf("%d bytes are kept, want the 5 before the gap", n)
	}
	put(t, c, "stock.csv", "whole")
	// A client that resumes on the size of a file that has arrived leaves a gap as well.
	f, err = c.OpenFile("stock.csv", os.O_WRONLY|os.O_CREATE)
	must(t, err)
	_, err = f.WriteAt([]byte("more"), 5)
	must(t, err)
	refused(t, f.Close(), "gap after byte 0")
	h.got("/stock.csv", "whole")
	if n := statSize(c); n != 5 {
		t.Errorf("the arrived file shows %d bytes", n)
	}
}

func TestStartingAgainMixesNothing(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	begin := func(name, content string) {
		f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
		must(t, f.Close())
	}
	begin("a.tmp", strings.Repeat("old", 1000))
	begin("a.tmp", "new") // not truncated by the client
	must(t, c.Rename("a.tmp", "a.csv"))
	begin("b.tmp", strings.Repeat("old", 1000))
	put(t, c, "b.tmp", "truncated")
	must(t, c.Rename("b.tmp", "b.csv"))
	begin("c.tmp", "long")
	f, err := c.OpenFile("c.tmp", os.O_WRONLY)
	must(t, err)
	_, err = f.WriteAt([]byte("er text"), 4)
	must(t, err, f.Truncate(9))
	refused(t, f.Truncate(20), "lengthened")
	must(t, f.Close(), c.Rename("c.tmp", "c.csv"))
	h.got("/a.csv", "new", "/b.csv", "truncated", "/c.csv", "longer te")
}

func TestTwoHandlesOnOneName(t *testing.T) {
	h := start(t, Limits{})
	a, b := h.client("vendor0"), h.client("vendor0")
	f, err := a.Create("stock.csv")
	must(t, err)
	_, err = b.Create("stock.csv")
	refused(t, err, "being uploaded")
	refused(t, b.Remove("stock.csv"), "being uploaded")
	refused(t, b.Rename("stock.csv", "other.csv"), "being uploaded")
	put(t, b, "x.tmp", "x")
	refused(t, b.Rename("x.tmp", "stock.csv"), "being uploaded")
	put(t, h.client("vendor1"), "stock.csv", "another login's")
	_, err = f.Write([]byte("a's"))
	must(t, err, f.Close(), b.Remove("x.tmp"))
	h.got("/stock.csv", "a's", "/stock.csv", "another login's")
}

func TestManyClientsAtOnce(t *testing.T) {
	h := start(t, Limits{Connections: 100, ConnectionsPerAddress: 100})
	const clients, logins = 50, 10
	var all sync.WaitGroup
	var want []string
	faults := make(chan error, clients)
	for i := range clients {
		content := string(noise(uint64(100+i), 400_000+i*1000))
		name := fmt.Sprintf("/file%d.csv", i)
		want = append(want, name, content)
		all.Go(func() {
			conn, nc, err := h.dial(fmt.Sprintf("vendor%d", i%logins))
			if err != nil {
				faults <- err
				return
			}
			defer nc.Close()
			c, err := sftp.NewClient(conn, sftp.UseConcurrentWrites(true))
			if err != nil {
				faults <- err
				return
			}
			f, err := c.Create(name)
			if err == nil {
				_, err = f.ReadFromWithConcurrency(strings.NewReader(content), 8)
				err = errors.Join(err, f.Close())
			}
			faults <- err
		})
	}
	all.Wait()
	for range clients {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
	h.got(want...)
	for _, d := range h.deliveries() {
		var i int
		_, _ = fmt.Sscanf(d.path, "/file%d.csv", &i)
		if d.integration != fmt.Sprintf("id-vendor%d", i%logins) {
			t.Errorf("%s came to %s", d.path, d.integration)
		}
	}
}

func TestFailedReceiveKeepsTheFile(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	h.set(func() { h.receive = func(Upload) error { return errors.New("secret /path: disk on fire") } })
	err := tryPut(c, "stock.csv", "content")
	refused(t, err, "could not take the file")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a foreign error was shown: %v", err)
	}
	put(t, c, "x.tmp", "other")
	refused(t, c.Rename("x.tmp", "x.csv"), "could not take")
	h.set(func() {
		h.receive = func(Upload) error { return errs.Conflict("conflict", "The integration is paused.") }
	})
	refused(t, c.Rename("x.tmp", "x.csv"), "The integration is paused.")
	h.set(func() { h.receive = func(Upload) error { panic("boom") } })
	refused(t, c.Rename("x.tmp", "x.csv"), "internal error")
	h.logs.mu.Lock()
	h.logs.b.Reset() // the panic is meant
	h.logs.mu.Unlock()
	h.set(func() { h.receive = nil })
	must(t, c.Rename("x.tmp", "x.csv"), c.Rename("stock.csv", "again.csv"))
	h.got("/x.csv", "other", "/again.csv", "content")
}

func TestTimesAndModes(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	when := time.Unix(1_700_000_000, 0)
	f, err := c.Create("stock.csv")
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, err, f.Chmod(0o644), c.Chtimes("stock.csv", when, when), f.Close(), c.Chmod("stock.csv", 0o600), c.Chtimes("stock.csv", when, when))
	if got := h.deliveries(); len(got) != 1 || !got[0].modTime.Equal(when) {
		t.Errorf("received: %+v", got)
	}
}

func TestFolders(t *testing.T) {
	h := start(t, Limits{Directories: 3})
	c := h.client("vendor0")
	must(t, c.Mkdir("in"), c.Mkdir("in/deep"))
	refused(t, c.Mkdir("in"), "exists")
	refused(t, c.Mkdir("/a/b/c/d/e/f/g/h/i"), "nested deeper")
	_, err := c.Create("in")
	refused(t, err, "is a folder")
	refused(t, c.RemoveDirectory("in"), "not empty")
	must(t, c.Mkdir("third"))
	refused(t, c.Mkdir("fourth"), "most allowed")
	must(t, c.RemoveDirectory("third"))
	put(t, c, "in/deep/x.csv", "x")
	refused(t, c.RemoveDirectory("in/deep"), "not empty")
	put(t, c, "y.tmp", "y")
	_, err = c.Create("y.tmp/z.csv")
	refused(t, err, "is a file")
	_, err = c.ReadDir("y.tmp")
	refused(t, err, "not a folder")
	_, err = c.ReadDir("nowhere")
	refused(t, err, "not exist")
	must(t, c.Remove("in/deep/x.csv"), c.RemoveDirectory("in/deep"), c.RemoveDirectory("in"))
}

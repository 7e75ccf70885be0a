package sftpd

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// reopen opens a file as a client does that resumes.
func reopen(t *testing.T, c *client, name string) *sftp.File {
	t.Helper()
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE)
	must(t, err)
	return f
}

const notAdded = "no byte was added"

// TestCutUploadNeedsMoreBytes reopens what was cut and closes it, in all the ways that add nothing.
func TestCutUploadNeedsMoreBytes(t *testing.T) {
	h := start(t, Limits{})
	h.partial("stock.csv", "half of the fi")
	h.partial("x.part", "half of the fi")
	c := h.client("vendor0")
	for range 2 {
		refused(t, reopen(t, c, "stock.csv").Close(), notAdded)
		refused(t, reopen(t, c, "x.part").Close(), notAdded)
	}
	refused(t, c.Rename("x.part", "x.csv"), "not uploaded completely")

	f := reopen(t, c, "stock.csv")
	_, err := f.WriteAt(nil, 14)
	must(t, err)
	refused(t, f.Close(), notAdded)
	for _, size := range []int64{14, 9, 9} {
		f = reopen(t, c, "stock.csv")
		must(t, f.Truncate(size))
		refused(t, f.Close(), notAdded)
		if n := statSize(c); n != size {
			t.Errorf("%d bytes are kept, want %d", n, size)
		}
	}
	f = reopen(t, c, "stock.csv")
	_, err = f.WriteAt([]byte("written and taken back"), 9)
	must(t, err, f.Truncate(9))
	refused(t, f.Close(), notAdded)
	h.got()

	f = reopen(t, c, "stock.csv")
	_, err = f.WriteAt([]byte("he file"), 9)
	must(t, err, f.Close())
	put(t, c, "x.part", "") // whole, and empty
	must(t, c.Rename("x.part", "x.csv"))
	h.got("/stock.csv", "half of the file", "/x.csv", "")
}

// TestCutUploadEmptiedIsNoFile shortens one to nothing: that is not an empty file either.
func TestCutUploadEmptiedIsNoFile(t *testing.T) {
	h := start(t, Limits{})
	h.partial("stock.csv", "half")
	c := h.client("vendor0")
	f := reopen(t, c, "stock.csv")
	must(t, f.Truncate(0))
	refused(t, f.Close(), notAdded)
	h.got()
	must(t, reopen(t, c, "stock.csv").Close()) // nothing is left of the first: a new and empty file
	h.got("/stock.csv", "")
}

// TestCutAgainAndAgain cuts a resumed upload as well, before and after it has grown.
func TestCutAgainAndAgain(t *testing.T) {
	h := start(t, Limits{})
	h.partial("stock.csv", "one ")
	for _, more := range []string{"", "two ", ""} {
		c := h.client("vendor0")
		f := reopen(t, c, "stock.csv")
		_, err := f.WriteAt([]byte(more), statSize(c))
		must(t, err)
		_ = c.net.Close()
		soon(t, "the handle is let go", func() bool { return h.idle("id-vendor0") })
		refused(t, reopen(t, h.client("vendor0"), "stock.csv").Close(), notAdded)
	}
	h.got()
	c := h.client("vendor0")
	f := reopen(t, c, "stock.csv")
	_, err := f.WriteAt([]byte("three"), 8)
	must(t, err, f.Close())
	h.got("/stock.csv", "one two three")
}

// TestResumedUploadCutToSize is how OpenSSH ends a resumed upload that was interrupted: it sets the length to
// what has certainly arrived and closes the handle.
func TestResumedUploadCutToSize(t *testing.T) {
	h := start(t, Limits{})
	h.partial("stock.csv", "one ")
	c := h.client("vendor0")
	f := reopen(t, c, "stock.csv")
	_, err := f.WriteAt([]byte("two three"), 4)
	must(t, err, f.Truncate(8))
	refused(t, f.Close(), "interrupted again")
	h.got()
	// scp begins again without emptying the file, and cuts off what is behind the end.
	f = reopen(t, c, "stock.csv")
	_, err = f.WriteAt([]byte("four"), 0)
	must(t, err, f.Truncate(4), f.Close())
	h.got("/stock.csv", "four")
}

// TestCleanlyClosedMayBeReopened: what is whole stays whole.
func TestCleanlyClosedMayBeReopened(t *testing.T) {
	h := start(t, Limits{Grace: 50 * time.Millisecond})
	c := h.client("vendor0")
	put(t, c, "x.tmp", "whole")
	put(t, c, "y.tmp", "whole")
	must(t, reopen(t, c, "x.tmp").Close())
	h.stop()
	h.run(Limits{})
	c = h.client("vendor0")
	must(t, reopen(t, c, "x.tmp").Close(), c.Rename("x.tmp", "x.csv"))
	f := reopen(t, c, "y.tmp")
	must(t, f.Truncate(3), f.Close(), c.Rename("y.tmp", "y.csv"))
	h.got("/x.csv", "whole", "/y.csv", "who")
}

// TestKilledServerLeavesNoFile restarts on spools as a killed server leaves them.
func TestKilledServerLeavesNoFile(t *testing.T) {
	h := start(t, Limits{Grace: 50 * time.Millisecond})
	h.stop()
	folder := filepath.Join(h.spool, "id-vendor0")
	must(t, os.MkdirAll(folder, 0o700))
	for name, pair := range map[string][2]string{
		"a": {`{"path":"/stock.csv"}`, "not vouched for"},
		"b": {`{"path":"/b.part","whole":5}`, "known and not known"},
		"c": {`{"path":"/c.part","whole":50,"closed":true}`, "the disk has lost the rest"},
		"d": {`{"path":"/d.part","whole":5,"closed":true}`, "whole"},
	} {
		must(t, os.WriteFile(filepath.Join(folder, name+".json"), []byte(pair[0]), 0o600),
			os.WriteFile(filepath.Join(folder, name+".data"), []byte(pair[1]), 0o600))
	}
	h.run(Limits{})
	c := h.client("vendor0")
	refused(t, reopen(t, c, "stock.csv").Close(), notAdded)
	for _, name := range []string{"b", "c"} {
		refused(t, c.Rename(name+".part", name+".csv"), "not uploaded completely")
		refused(t, reopen(t, c, name+".part").Close(), notAdded)
		refused(t, c.Rename(name+".part", name+".csv"), "not uploaded completely")
	}
	must(t, c.Rename("d.part", "d.csv"))
	h.got("/d.csv", "whole")
}

// breakFile lets the disk fail under an open upload until mend is called.
func (h *house) breakFile(name string) (mend func()) {
	h.t.Helper()
	d := h.Server.drops["id-vendor0"]
	d.mu.Lock()
	u := d.partials[name].upload
	d.mu.Unlock()
	closed, err := os.Open(os.DevNull)
	must(h.t, err, closed.Close())
	swap := func(f *os.File) (old *os.File) {
		u.mu.Lock()
		defer u.mu.Unlock()
		old, u.file = u.file, f
		return old
	}
	good := swap(closed)
	h.t.Cleanup(func() { _ = good.Close() })
	return func() { swap(good) }
}

// TestFailingDiskLeavesNoFile lets the disk fail when an upload is settled, synced or shortened: whatever the
// client does next, what may have been lost does not count as whole.
func TestFailingDiskLeavesNoFile(t *testing.T) {
	h := start(t, Limits{})
	c := h.client("vendor0")
	for name, fail := range map[string]func(f *sftp.File) error{
		"close": func(*sftp.File) error { return nil },
		"sync":  func(f *sftp.File) error { return f.Sync() },
		"size":  func(f *sftp.File) error { return f.Truncate(2) },
	} {
		f, err := c.Create(name + ".part")
		must(t, err)
		_, err = io.WriteString(f, "content")
		must(t, err)
		mend := h.breakFile("/" + name + ".part")
		if name == "close" {
			refused(t, f.Close(), "could not write to its disk")
		} else {
			refused(t, fail(f), "could not write to its disk")
			mend()
			refused(t, f.Close(), "could not write to its disk")
		}
		refused(t, c.Rename(name+".part", name+".csv"), "not uploaded completely")
		refused(t, reopen(t, c, name+".part").Close(), notAdded)
	}
	h.got()
}

// TestFailedRestartOfAnUploadLeavesNoFile lets the description fail when a cut upload is begun again.
func TestFailedRestartOfAnUploadLeavesNoFile(t *testing.T) {
	h := start(t, Limits{})
	h.partial("stock.csv", "half")
	c := h.client("vendor0")
	d := h.Server.drops["id-vendor0"]
	blocked := filepath.Join(h.spool, "id-vendor0", d.partials["/stock.csv"].id+draftSuffix)
	must(t, os.Mkdir(blocked, 0o700))
	_, err := c.Create("stock.csv")
	refused(t, err, "could not write to its disk")
	must(t, os.Remove(blocked))
	refused(t, reopen(t, c, "stock.csv").Close(), notAdded)
	h.got()
}

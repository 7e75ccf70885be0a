package sftpd

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// markEvery is how many bytes are written before the description on disk catches up: a killed server loses
// at most so much of an upload.
const markEvery = 8 << 20

// errCut is why an upload whose connection is gone is not complete.
var errCut = errors.New("the connection was cut")

// errClosed is what a client hears that writes to a handle after closing it, without waiting.
var errClosed = failure("the file is closed")

// upload is a file opened for writing. Its methods may run at once; package sftp lets writes end before
// Close.
type upload struct {
	drop       *drop
	part       *partial
	file       *os.File
	appendOnly bool
	resumed    bool // it goes on with one that the client has not closed cleanly

	writes sync.RWMutex // shared by writes under way; held before mu

	mu        sync.Mutex
	extent    extent
	failed    error // the first failure: the file is not complete, whatever the client says
	shortened bool  // the client has cut bytes off and written none since
	marked    int64 // bytes that the description on disk vouches for
	marking   bool
}

// WriteAt implements io.WriterAt.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	u.writes.RLock()
	defer u.writes.RUnlock()
	if err := u.begin(off, int64(len(p))); err != nil {
		return 0, u.fail(err)
	}
	n, err := u.file.WriteAt(p, off)
	if err != nil {
		u.drop.log.Warn("upload not written", "path", u.part.path, "error", err)
		return n, u.fail(diskFault(err))
	}
	if err := u.written(off, off+int64(n)); err != nil {
		return n, u.fail(err)
	}
	return n, nil
}

// begin checks a write and reserves its room.
func (u *upload) begin(off, n int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil {
		return u.failed
	}
	most := u.drop.limits.FileBytes
	if off < 0 || off > most-n {
		return failure("the file is larger than the %d bytes allowed", most)
	}
	if u.appendOnly && off < u.extent.base {
		return failure("the file already has %d bytes, and it was opened for appending", u.extent.base)
	}
	if off < u.marked {
		// What is about to be overwritten must not be taken for whole after a crash.
		u.marked = off
		if err := u.drop.describe(u.part, off); err != nil {
			return err
		}
	}
	return u.drop.reserve(u.part, off+n)
}

// written notes a piece, and from time to time brings the description on disk up to date.
func (u *upload) written(from, to int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.extent.add(from, to) {
		return failure("the file comes in too many separate pieces")
	}
	u.shortened = u.shortened && from == to
	whole := u.extent.whole()
	if whole-u.marked < markEvery || u.marking {
		return nil
	}
	u.marking = true
	u.mu.Unlock()
	err := u.file.Sync()
	u.mu.Lock()
	u.marking = false
	return u.mark(min(whole, u.extent.whole()), err)
}

// mark vouches for so many bytes, which have been synced unless err says otherwise.
func (u *upload) mark(whole int64, err error) error {
	if err != nil {
		return diskFault(err)
	}
	if err := u.drop.describe(u.part, whole); err != nil {
		return err
	}
	u.marked = whole
	return nil
}

// fail remembers the first failure.
func (u *upload) fail(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil {
		u.failed = err
	}
	return err
}

// sync puts all that is written on disk (fsync@openssh.com).
func (u *upload) sync() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil {
		return u.failed
	}
	u.failed = u.mark(u.extent.whole(), u.file.Sync()) // what a failed sync has lost, the next one does not miss
	u.drop.spool.syncFolder()
	return u.failed
}

// truncate shortens the file under way.
func (u *upload) truncate(size int64) error {
	u.writes.Lock()
	defer u.writes.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed != nil {
		return u.failed
	}
	if size > u.extent.size() {
		return failure("a file can be shortened, not lengthened")
	}
	u.shortened = u.shortened || size < u.extent.size()
	if size < u.marked {
		u.failed = u.mark(size, nil)
	}
	if u.failed != nil {
		return u.failed
	}
	u.extent.cut(size)
	u.drop.resize(u.part, size)
	if err := u.file.Truncate(size); err != nil {
		u.failed = diskFault(err)
	}
	return u.failed
}

// TransferError implements sftp.TransferError: the connection is gone.
func (u *upload) TransferError(error) { _ = u.fail(errCut) }

// settle ends the writing: the file is cut to what is whole and described. It returns its length and, unless it
// is complete as far as can be seen, the reason.
func (u *upload) settle() (whole int64, reason, err error) {
	u.writes.Lock()
	defer u.writes.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	whole, reason = u.extent.whole(), u.outcome()
	u.failed = errClosed
	err = errors.Join(u.file.Truncate(whole), u.file.Sync(), u.file.Close())
	u.drop.finish(u.part, whole, reason == nil && err == nil)
	if err == nil {
		err = u.drop.describe(u.part, whole)
	}
	if err != nil {
		u.drop.finish(u.part, whole, false)
		return whole, reason, fmt.Errorf("settle upload: %w", err)
	}
	return whole, reason, nil
}

// outcome says why the file can't be complete, if so. The caller holds u.mu.
func (u *upload) outcome() error {
	if u.failed != nil {
		return u.failed
	}
	if whole := u.extent.whole(); whole < u.extent.size() {
		return failure("the file has a gap after byte %d and was not taken; upload it from the beginning", whole)
	}
	first, grown := u.extent.first()
	switch {
	case u.resumed && !grown:
		return failure("no byte was added to an interrupted upload; resume or repeat it")
	case u.resumed && u.shortened && first > 0: // OpenSSH cuts to what has certainly arrived when it is interrupted
		return failure("the upload was interrupted again; resume or repeat it")
	}
	return nil
}

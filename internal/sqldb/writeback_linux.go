package sqldb

import (
	"os"
	"syscall"
)

// beginWriteback starts what fsync waits for.
func beginWriteback(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		const write = 2                                 // SYNC_FILE_RANGE_WRITE
		_ = syscall.SyncFileRange(int(fd), 0, 0, write) // it only helps: fsync comes nevertheless
	})
}

package sqldb

import (
	"os"
	"time"
)

// spreadEvery is how often the system is asked to begin writing what is dirty.
const spreadEvery = 100 * time.Millisecond

// spread has the system write a store's files to disk all the while that a transaction writes and is moved behind its commit. Else
// most of it is written at the end, in one go, for which each fsync of another file has to wait, as the calls of a key
// that is new to this hour.
func (p *pool) spread() {
	if p.file == nil || !p.spreading.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer p.spreading.Store(false)
		log, err := os.Open(p.path + "-wal")
		if err != nil {
			return
		}
		defer log.Close()
		for p.write.Stats().InUse > 0 {
			beginWriteback(log)
			beginWriteback(p.file)
			time.Sleep(spreadEvery)
		}
	}()
}

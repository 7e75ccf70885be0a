package feed

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// progress tells, in a small file of the spool, how far a run is: its transaction shows nothing before it ends, and those who
// look on may be another process.
type progress struct {
	path        string
	now         func() time.Time
	done, total int64 // rows
	told        time.Time
}

// progressEvery is how often it is told.
const progressEvery = 250 * time.Millisecond

func (f *Feeds) progressOf(runID string) *progress {
	return &progress{path: filepath.Join(f.Spool, "progress-"+runID), now: f.Now}
}

// add counts rows that are done with. Whoever can't be told is no reason to stop.
func (p *progress) add(rows int64) {
	p.done += rows
	if now := p.now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		_ = os.WriteFile(p.path, fmt.Appendf(nil, "%d %d", p.done, p.total), 0o600)
	}
}

func (p *progress) end() { _ = os.Remove(p.path) }

// watch fills in how far a running run is.
func (f *Feeds) watch(r *Run) {
	if r.Status != RunRunning {
		return
	}
	if text, err := os.ReadFile(f.progressOf(r.ID).path); err == nil {
		_, _ = fmt.Sscan(string(text), &r.RowsDone, &r.Counts.Total)
	}
}

package sftpd

import (
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"carfluence/internal/errs"
)

// drop is what all connections of one login share: its partial files, made folders, and which arrived files
// it no longer wants to see.
type drop struct {
	spool  *spool
	limits Limits
	now    func() time.Time
	log    *slog.Logger
	users  int // connections; guarded by Server.mu

	mu       sync.Mutex
	partials map[string]*partial // by virtual path
	folders  map[string]made     // by virtual path
	moved    map[string]move     // arrived files that were renamed or removed, by their virtual path
	bytes    int64               // reserved by all partial files
}

// partial is a file that is not complete. Its fields are guarded by drop.mu.
type partial struct {
	id, path string
	size     int64
	modTime  time.Time // as the client set it
	closed   bool      // the client has closed it without a failure, so a rename may complete it
	touched  time.Time
	busy     bool    // somebody opens, writes, completes or deletes it
	upload   *upload // nil unless it is being written
}

// made is a folder that the login has made.
type made struct {
	id   string
	used time.Time
}

// move is what became of an arrived file in the login's eyes.
type move struct {
	to string    // "" when removed
	at time.Time // arrival of the file meant: a later one of the same name is another file
}

func openDrop(folder, integration string, l Limits, now func() time.Time, log *slog.Logger) (*drop, error) {
	if !validID(integration) {
		return nil, errs.Invalid("invalid", "the integration's id can't name a folder")
	}
	s, err := openSpool(filepath.Join(folder, integration))
	if err != nil {
		return nil, err
	}
	found, err := s.load()
	if err != nil {
		s.close()
		return nil, err
	}
	d := &drop{
		spool: s, limits: l, now: now, log: log.With("integration", integration),
		partials: map[string]*partial{}, folders: map[string]made{}, moved: map[string]move{},
	}
	for _, k := range found {
		d.adopt(k)
	}
	return d, nil
}

func (d *drop) adopt(k kept) {
	r := k.record
	if r.Directory {
		d.folders[r.Path] = made{k.id, k.touched}
		return
	}
	if old := d.partials[r.Path]; old != nil { // a crash in the middle of a rename over it: the newer one wins
		if old.touched.After(k.touched) {
			_ = d.spool.remove(k.id)
			return
		}
		d.bytes -= old.size
		_ = d.spool.remove(old.id)
	}
	d.bytes += r.Whole
	d.partials[r.Path] = &partial{id: k.id, path: r.Path, size: r.Whole, modTime: r.ModTime, closed: r.Closed, touched: k.touched}
}

// describe saves what is known of a partial file.
func (d *drop) describe(p *partial, whole int64) error {
	d.mu.Lock()
	id, r := p.id, record{Path: p.path, Whole: whole, ModTime: p.modTime, Closed: p.closed}
	d.mu.Unlock()
	if err := d.spool.save(id, r); err != nil {
		d.log.Warn("upload not described", "path", r.Path, "error", err)
		return diskFault(err)
	}
	return nil
}

// reserve grows a partial file to a size, within the login's share.
func (d *drop) reserve(p *partial, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.touched = d.now()
	grow := size - p.size
	if grow <= 0 {
		return nil
	}
	if d.bytes+grow > d.limits.SpoolBytes {
		return failure("your unfinished uploads would take more than the %d bytes allowed; finish or delete some", d.limits.SpoolBytes)
	}
	p.size += grow
	d.bytes += grow
	return nil
}

func (d *drop) resize(p *partial, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes += size - p.size
	p.size = size
}

// finish notes how the writing of a file has ended.
func (d *drop) finish(p *partial, size int64, closed bool) {
	d.resize(p, size)
	d.mu.Lock()
	defer d.mu.Unlock()
	p.closed = closed
}

// openFlags are the ones of SSH_FXP_OPEN that matter here.
type openFlags struct{ create, truncate, exclusive, append bool }

// open begins or resumes an upload.
func (d *drop) open(name string, f openFlags) (*upload, error) {
	p, isNew, err := d.claim(name, f)
	if err != nil {
		return nil, err
	}
	u, err := d.start(p, f, isNew)
	if err != nil {
		if isNew {
			d.discard(p)
		} else {
			d.release(p)
		}
		return nil, err
	}
	return u, nil
}

// claim marks the file busy, so that nobody else touches it.
func (d *drop) claim(name string, f openFlags) (p *partial, isNew bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.use(name)
	p = d.partials[name]
	switch {
	case p == nil && !f.create:
		return nil, false, missing(name)
	case p != nil && p.busy:
		return nil, false, failure("%s is being uploaded by another handle", shown(name))
	case p != nil && f.exclusive:
		return nil, false, failure("%s exists", shown(name))
	case p != nil:
		p.busy = true
		return p, false, nil
	}
	if err := d.vacant(name); err != nil {
		return nil, false, err
	}
	if len(d.partials) >= d.limits.Partials {
		return nil, false, failure("you have %d unfinished uploads, which is the most allowed; finish or delete some", len(d.partials))
	}
	p = &partial{id: newID(), path: name, touched: d.now(), busy: true}
	d.partials[name] = p
	return p, true, nil
}

// vacant tells whether a file may come into being under a name.
func (d *drop) vacant(name string) error {
	if err := checkPath(name); err != nil {
		return err
	}
	if d.isFolder(name) {
		return failure("%s is a folder", shown(name))
	}
	for _, a := range ancestors(name) {
		if d.partials[a] != nil {
			return failure("%s is a file", shown(a))
		}
	}
	return nil
}

// start opens the claimed file on disk.
func (d *drop) start(p *partial, f openFlags, isNew bool) (*upload, error) {
	base, wasClosed := d.prepare(p, f.truncate)
	if err := d.describe(p, base); err != nil {
		return nil, err
	}
	if wasClosed {
		d.spool.syncFolder() // before its bytes change: a power failure must not bring back that they are whole
	}
	file, err := d.spool.open(p.id)
	if err == nil && f.truncate {
		err = file.Truncate(0)
	}
	if err != nil {
		d.log.Warn("upload not opened", "path", p.path, "error", err)
		if file != nil {
			_ = file.Close()
		}
		return nil, diskFault(err)
	}
	u := &upload{
		drop: d, part: p, file: file, appendOnly: f.append, resumed: !isNew && !wasClosed && !f.truncate,
		extent: extent{base: base}, marked: base,
	}
	d.mu.Lock()
	p.upload = u
	d.mu.Unlock()
	return u, nil
}

// prepare resets what an upload will set anew, and returns the bytes it begins on and whether they were closed.
func (d *drop) prepare(p *partial, truncate bool) (base int64, wasClosed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wasClosed, p.closed = p.closed, false
	if truncate {
		d.bytes -= p.size
		p.size, p.modTime = 0, time.Time{}
	}
	return p.size, wasClosed
}

// release lets others at the file again.
func (d *drop) release(p *partial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.busy, p.upload = false, nil
}

// discard deletes a busy partial file.
func (d *drop) discard(p *partial) {
	if err := d.spool.remove(p.id); err != nil {
		d.log.Warn("partial file not deleted", "path", p.path, "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes -= p.size
	if d.partials[p.path] == p { // else it was replaced
		delete(d.partials, p.path)
	}
}

// isFolder tells whether a path is one of the login's folders: made, or above a partial file.
func (d *drop) isFolder(name string) bool {
	if _, ok := d.folders[name]; ok || name == "/" {
		return true
	}
	for f := range d.folders {
		if below(f, name) {
			return true
		}
	}
	return d.holds(name)
}

// below tells whether a path lies in a folder, at any depth.
func below(p, folder string) bool {
	return folder == "/" || len(p) > len(folder) && p[len(folder)] == '/' && p[:len(folder)] == folder
}

// mkdir makes a folder.
func (d *drop) mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.partials[name] != nil || d.isFolder(name) {
		return failure("%s exists", shown(name))
	}
	if err := d.vacant(path.Join(name, "x")); err != nil { // it has to be able to hold a file
		return err
	}
	if len(d.folders) >= d.limits.Directories {
		return failure("you have %d folders, which is the most allowed", len(d.folders))
	}
	id := newID()
	if err := d.spool.save(id, record{Path: name, Directory: true}); err != nil {
		d.log.Warn("folder not made", "path", name, "error", err)
		return diskFault(err)
	}
	d.folders[name] = made{id, d.now()}
	d.use(name)
	return nil
}

// useEvery is how exactly the use of folders is noted.
const useEvery = time.Minute

// use notes that a name is used, and with it the made folders above. The caller holds d.mu.
func (d *drop) use(name string) {
	now := d.now()
	for _, p := range append(ancestors(name), name) {
		f, ok := d.folders[p]
		if !ok || now.Sub(f.used) < useEvery {
			continue
		}
		d.folders[p] = made{f.id, now}
		if err := d.spool.use(f.id, now); err != nil {
			d.log.Warn("use of a folder not noted", "path", p, "error", err)
		}
	}
}

// rmdir removes a made folder with nothing in it.
func (d *drop) rmdir(name string, arrived []Arrived) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	folder, ok := d.folders[name]
	if !ok {
		return missing(name)
	}
	delete(d.folders, name)
	empty := !d.isFolder(name)
	for _, a := range d.visible(arrived) {
		empty = empty && !below(a.Path, name)
	}
	if !empty {
		d.folders[name] = folder
		return failure("%s is not empty", shown(name))
	}
	if err := d.spool.remove(folder.id); err != nil {
		d.folders[name] = folder
		d.log.Warn("folder not removed", "path", name, "error", err)
		return diskFault(err)
	}
	return nil
}

// sweep deletes partial files and made folders that nobody has touched since a time, and forgets which arrived
// files of before are hidden.
func (d *drop) sweep(before, unused time.Time) {
	d.mu.Lock()
	var old []*partial
	for _, p := range d.partials {
		if !p.busy && p.touched.Before(before) {
			p.busy = true
			old = append(old, p)
		}
	}
	d.mu.Unlock()
	for _, p := range old {
		d.log.Info("partial file expired", "path", p.path, "bytes", p.size)
		d.discard(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.moved, func(_ string, m move) bool { return m.at.Before(before) })
	for name, f := range d.folders {
		if !f.used.Before(unused) || d.holds(name) {
			continue
		}
		if err := d.spool.remove(f.id); err != nil {
			d.log.Warn("folder not removed", "path", name, "error", err)
			continue
		}
		d.log.Info("folder expired", "path", name)
		delete(d.folders, name)
	}
}

// holds tells whether a partial file lies below a folder. The caller holds d.mu.
func (d *drop) holds(folder string) bool {
	for p := range d.partials {
		if below(p, folder) {
			return true
		}
	}
	return false
}

// spare tells whether all that is known of the drop is on disk. The caller knows that nobody uses it.
func (d *drop) spare() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.moved) == 0
}

// empty tells whether nothing would be lost with the folder.
func (d *drop) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.partials)+len(d.folders) == 0
}

// data opens a partial file for reading.
func (d *drop) data(p *partial) (*os.File, error) { return d.spool.root.Open(p.id + dataSuffix) }

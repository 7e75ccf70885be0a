package sftpd

import (
	"cmp"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Arrived is a file that was received lately.
type Arrived struct {
	Path string // as in Upload
	Size int64
	At   time.Time
}

// visible is what the login sees of the arrived files: of each name the latest, without those it removed.
// The caller holds d.mu.
func (d *drop) visible(arrived []Arrived) []Arrived {
	latest := map[string]Arrived{}
	for _, a := range arrived {
		a.Path = path.Clean("/" + a.Path)
		if old, ok := latest[a.Path]; (!ok || a.At.After(old.At)) && checkPath(a.Path) == nil {
			latest[a.Path] = a
		}
	}
	maps.DeleteFunc(d.moved, func(p string, m move) bool { a, ok := latest[p]; return !ok || a.At.After(m.at) })
	seen := make([]Arrived, 0, len(latest))
	for p, a := range latest {
		if m, ok := d.moved[p]; ok {
			a.Path = m.to
		}
		if a.Path != "" {
			seen = append(seen, a)
		}
	}
	slices.SortFunc(seen, func(a, b Arrived) int { return cmp.Or(strings.Compare(a.Path, b.Path), b.At.Compare(a.At)) })
	return slices.CompactFunc(seen, func(a, b Arrived) bool { return a.Path == b.Path })
}

// moveArrived lets an arrived file look renamed or, with an empty name, removed. The caller holds d.mu.
func (d *drop) moveArrived(from, to string, arrived []Arrived) error {
	if i := slices.IndexFunc(d.visible(arrived), func(a Arrived) bool { return a.Path == from }); i < 0 {
		if d.isFolder(from) {
			return failure("%s is a folder", shown(from))
		}
		return missing(from)
	}
	if to != "" {
		if err := d.vacant(to); err != nil {
			return err
		}
	}
	for p, m := range d.moved { // it was moved before: a second name for the same file
		if m.to == from {
			d.moved[p] = move{to, m.at}
			return nil
		}
	}
	var at time.Time
	for _, a := range arrived {
		if path.Clean("/"+a.Path) == from && a.At.After(at) {
			at = a.At
		}
	}
	d.moved[from] = move{to, at}
	return nil
}

// entry implements os.FileInfo for what a login sees.
type entry struct {
	name    string
	size    int64
	modTime time.Time
	folder  bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) ModTime() time.Time { return e.modTime }
func (e entry) IsDir() bool        { return e.folder }
func (e entry) Sys() any           { return nil }
func (e entry) Mode() os.FileMode {
	if e.folder {
		return os.ModeDir | 0o700
	}
	return 0o600
}

// tree is all that a login sees, by virtual path. A partial file hides an arrived one of the same name:
// clients ask for its size to resume.
func (d *drop) tree(arrived []Arrived) map[string]entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	all := map[string]entry{"/": {name: "/", modTime: now, folder: true}}
	folder := func(p string) {
		if _, ok := all[p]; !ok {
			all[p] = entry{name: path.Base(p), modTime: now, folder: true}
		}
	}
	file := func(p string, size int64, modTime time.Time) {
		all[p] = entry{name: path.Base(p), size: size, modTime: modTime}
		for _, a := range ancestors(p) {
			folder(a)
		}
	}
	for _, a := range d.visible(arrived) {
		file(a.Path, a.Size, a.At)
	}
	for p, f := range d.partials {
		modTime := f.touched
		if !f.modTime.IsZero() {
			modTime = f.modTime
		}
		file(p, f.size, modTime)
	}
	for p := range d.folders {
		for _, f := range append(ancestors(p), p) {
			folder(f)
		}
	}
	return all
}

// look notes that a name is used.
func (d *drop) look(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.use(name)
}

// stat finds one file or folder.
func (d *drop) stat(name string, arrived []Arrived) (entry, error) {
	d.look(name)
	if e, ok := d.tree(arrived)[name]; ok {
		return e, nil
	}
	return entry{}, missing(name)
}

// list reads a folder, sorted by name.
func (d *drop) list(name string, arrived []Arrived) (listing, error) {
	d.look(name)
	all := d.tree(arrived)
	if e, ok := all[name]; !ok {
		return nil, missing(name)
	} else if !e.folder {
		return nil, failure("%s is not a folder", shown(name))
	}
	var found listing
	for p, e := range all {
		if p != "/" && path.Dir(p) == name {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b os.FileInfo) int { return strings.Compare(a.Name(), b.Name()) })
	return found, nil
}

// listing implements sftp.ListerAt.
type listing []os.FileInfo

func (l listing) ListAt(out []os.FileInfo, off int64) (int, error) {
	if off < 0 || off >= int64(len(l)) {
		return 0, io.EOF
	}
	return copy(out, l[off:]), nil
}

package sftpd

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// spool is the folder of one login on disk. It holds pairs of ID.data, the bytes of a partial file, and
// ID.json, its description; a made folder has a description alone. IDs are random.
type spool struct{ root *os.Root }

const (
	dataSuffix   = ".data"
	recordSuffix = ".json"
	draftSuffix  = ".new" // a description that is being written
)

// record describes a partial file or a made folder.
type record struct {
	Path      string `json:"path"`
	Directory bool   `json:"directory,omitzero"`
	// Whole is how many bytes are known to be in the file and on disk; what lies behind may have gaps.
	Whole   int64     `json:"whole,omitzero"`
	ModTime time.Time `json:"modTime,omitzero"` // as the client set it
	Closed  bool      `json:"closed,omitzero"`  // the client has closed it without a failure
}

func openSpool(folder string) (*spool, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open spool folder: %w", err)
	}
	return &spool{root}, nil
}

func (s *spool) close() { _ = s.root.Close() }

func newID() string { return strings.ToLower(rand.Text()) }

// save writes a description so that after a crash there is the old one or the new one.
func (s *spool) save(id string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode description: %w", err)
	}
	f, err := s.root.OpenFile(id+draftSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save description: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = s.root.Rename(id+draftSuffix, id+recordSuffix)
	}
	if err != nil {
		return fmt.Errorf("save description: %w", err)
	}
	return nil
}

// use notes on disk when a made folder was used.
func (s *spool) use(id string, at time.Time) error {
	return s.root.Chtimes(id+recordSuffix, at, at)
}

// remove deletes a pair, the description last: one without data is swept up, data without one as well.
func (s *spool) remove(id string) error {
	var all []error
	for _, suffix := range []string{dataSuffix, recordSuffix, draftSuffix} {
		if err := s.root.Remove(id + suffix); !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

func (s *spool) open(id string) (*os.File, error) {
	return s.root.OpenFile(id+dataSuffix, os.O_RDWR|os.O_CREATE, 0o600)
}

// syncFolder makes new and renamed files last through a power failure, where the system can do it.
func (s *spool) syncFolder() {
	if d, err := s.root.Open("."); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// kept is a description found on disk.
type kept struct {
	id      string
	record  record
	touched time.Time
}

// load reads the folder after a restart: partial files are cut to what is known to be whole, and what
// belongs to nothing is deleted.
func (s *spool) load() ([]kept, error) {
	names, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("read spool folder: %w", err)
	}
	var found []kept
	good := map[string]bool{}
	for _, n := range names {
		if id, ok := strings.CutSuffix(n.Name(), recordSuffix); ok {
			if k, ok := s.read(id); ok {
				found = append(found, k)
				good[id] = true
			}
		}
	}
	for _, n := range names {
		id, suffix := n.Name(), ""
		if i := strings.LastIndexByte(id, '.'); i >= 0 {
			id, suffix = id[:i], id[i:]
		}
		if !good[id] || suffix == draftSuffix {
			if err := s.root.RemoveAll(n.Name()); err != nil {
				return nil, fmt.Errorf("tidy spool folder: %w", err)
			}
		}
	}
	return found, nil
}

// read reads one description and cuts its file.
func (s *spool) read(id string) (kept, bool) {
	text, err := s.root.ReadFile(id + recordSuffix)
	k := kept{id: id}
	if err != nil || json.Unmarshal(text, &k.record) != nil || checkPath(k.record.Path) != nil {
		return k, false
	}
	if k.record.Directory {
		info, err := s.root.Stat(id + recordSuffix)
		if err != nil {
			return k, false
		}
		k.touched = info.ModTime()
		return k, true
	}
	f, err := s.root.OpenFile(id+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		return k, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return k, false
	}
	k.touched = info.ModTime()
	if info.Size() < k.record.Whole { // the disk has lost the rest
		k.record.Whole, k.record.Closed = info.Size(), false
	}
	if k.record.Whole == info.Size() {
		return k, true // untouched: cutting nothing off would make it look new
	}
	return k, k.record.Whole >= 0 && f.Truncate(k.record.Whole) == nil
}

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFolderThatWasMovedIsLeftAlone until the note in it is deleted, whatever has become of the note.
func TestAFolderThatWasMovedIsLeftAlone(t *testing.T) {
	store := Store{Data: t.TempDir()}
	open := func() error {
		s, err := OpenStores(t.Context(), store)
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	note := movedNote{id: "0198"}
	path := filepath.Join(store.Data, movedFile)
	for _, c := range []struct {
		finished bool
		says     string
	}{{false, "is being moved to postgres://db/cars"}, {true, "was moved to postgres://db/cars"}} {
		if err := note.write(store.Data, "postgres://db/cars", c.finished); err != nil {
			t.Fatal(err)
		}
		if err := open(); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "delete this file") {
			t.Errorf("%v", err)
		}
		if n, err := readNote(store.Data); err != nil || n.id != note.id || n.finished != c.finished {
			t.Errorf("read back: %+v %v", n, err)
		}
	}
	for _, text := range []string{"", "was moved", "moved"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
}

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"carfluence/internal/sqldb"
)

// movedFile in a data folder keeps servers and commands from working on databases that are being moved, or were.
const movedFile = "moved.txt"

// movedNote is what stands in it for programs.
type movedNote struct {
	id       string // of the move
	finished bool
	text     string
}

// readNote reads the note in a data folder; an empty one when there is none.
func readNote(dir string) (n movedNote, err error) {
	b, err := os.ReadFile(filepath.Join(dir, movedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	n.text = strings.TrimSpace(string(b))
	last := n.text[strings.LastIndex(n.text, "\n")+1:]
	word, id, _ := strings.Cut(last, " ")
	if word == "move" || word == "moved" {
		n.id, n.finished = id, word == "moved"
	}
	if err == nil && n.id == "" {
		err = errors.New("it does not end with the id of a move; delete it to work on the folder's databases")
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", filepath.Join(dir, movedFile), err)
	}
	return n, err
}

const (
	movingText = `This installation is being moved to %s since %s.
To finish that, run carfluence move again. To go on working here instead, delete this file; the move can't be finished then.

move %s
`
	movedText = `This installation was moved to %s on %s; servers work on it there (CARFLUENCE_DATABASE, CARFLUENCE_SECRET).
To go back to how it was then, delete this file. What has been written there since is not here.

moved %s
`
)

// write puts the note on the disk.
func (n movedNote) write(dir, target string, finished bool) error {
	text := movingText
	if finished {
		text = movedText
	}
	text = fmt.Sprintf(text, target, time.Now().UTC().Format("2006-01-02 15:04Z"), n.id)
	if err := writePrivate(filepath.Join(dir, movedFile), text); err != nil {
		return fmt.Errorf("mark the data folder as moved: %w", err)
	}
	return nil
}

// refuse is the note as an error, nil without one.
func (n movedNote) refuse(dir string) error {
	if n.id == "" {
		return nil
	}
	text, _, _ := strings.Cut(n.text, "\n\n")
	return fmt.Errorf("%s says:\n%s", filepath.Join(dir, movedFile), text)
}

// refuseMoved keeps everybody but Move from the databases of a folder with a note.
func (c Store) refuseMoved() error {
	n, err := readNote(c.Data)
	return errors.Join(err, n.refuse(c.Data))
}

// refuseUnfinished keeps everybody but Move from half a copy.
func (s *Stores) refuseUnfinished(ctx context.Context) error {
	for store, db := range map[sqldb.Store]*sqldb.DB{sqldb.Accounts: s.Accounts, sqldb.Stock: s.Stock} {
		unfinished, err := db.Unfinished(ctx, store)
		if err != nil {
			return err
		}
		if unfinished {
			return fmt.Errorf("%s holds an unfinished move from a data folder; finish it there with carfluence move, or empty the database (DROP SCHEMA accounts CASCADE; DROP SCHEMA stock CASCADE)", s.place)
		}
	}
	return nil
}

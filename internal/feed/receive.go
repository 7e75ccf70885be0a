package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
)

const (
	pieceBytes  = 1 << 20 // of a compressed file in one row
	maxFilename = 200     // characters
)

var (
	errPaused   = errs.Conflict("integration_paused", "The integration is paused and takes no files; set its status to active first.")
	errFileGone = errs.Conflict("file_gone", "The file is no longer kept; send it again.")
)

// Upload is a file as it came in.
type Upload struct {
	Name    string    // last element of its path
	Path    string    // in the login's folder; "" when it did not come by SFTP
	ModTime time.Time // as its sender set it; zero when unknown
	By      audit.Actor
	File    io.Reader
}

// Receive stores a file and hands it to the workers. When it returns nil the file is safe: it will be processed, once,
// whatever happens to this process or to the power.
func (f *Feeds) Receive(ctx context.Context, t *sqldb.Tenant, integrationID string, u Upload) (Run, error) {
	name, err := filename(u.Name)
	if err != nil {
		return Run{}, err
	}
	in, err := f.Integration(ctx, t, integrationID)
	if err == nil && in.Status == StatusPaused {
		err = errPaused
	}
	if err != nil {
		return Run{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Run{}, err
	}
	r := Run{ID: id.String(), IntegrationID: in.ID, Filename: name, Path: u.Path, ReceivedBy: u.By, Status: RunQueued}
	r.FileTime, r.TimeOf = timeOf(name, u.ModTime, f.Now())
	if err := f.keep(ctx, t, &r, u.File); err != nil {
		return Run{}, errors.Join(err, f.drop(t, r.ID))
	}
	r.ReceivedAt = f.Now().UTC().Truncate(time.Microsecond)
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, in.ID); err != nil { // a worker that finds no more files must not miss this one
			return err
		}
		waiting, err := countQueued(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if waiting >= f.Limits.Queued {
			return errs.UnavailableFor(time.Minute, fmt.Sprintf("%d files of this integration wait already; send this one when they are processed.", waiting), nil)
		}
		if err := insertRun(ctx, tx, &r); err != nil || waiting > 0 { // whoever works those finds this one too
			return err
		}
		return f.Enqueue(ctx, tx, in.ID)
	})
	if err != nil {
		return Run{}, errors.Join(err, f.drop(t, r.ID))
	}
	if err := f.DB.Flush(ctx); err != nil { // it is stored; only a power cut within seconds could still take it back
		f.Log.Warn("received file not flushed", "run", r.ID, "error", err)
	}
	return r, nil
}

// drop forgets the pieces of a file that could not be received; what is left of them is swept later.
func (f *Feeds) drop(t *sqldb.Tenant, runID string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := deletePieces(ctx, t, runID); err != nil {
		f.Log.Warn("pieces of an upload are left until the next sweep", "run", runID, "error", err)
	}
	return nil
}

// keep stores a file compressed, piece by piece, so that no write is long; they count only once the run exists.
func (f *Feeds) keep(ctx context.Context, t *sqldb.Tenant, r *Run, from io.Reader) error {
	out := &pieceWriter{write: func(n int, data []byte) error { return insertPiece(ctx, t, r.ID, n, data, f.Now()) }}
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	sum := sha256.New()
	limited := io.LimitReader(from, f.Limits.FileBytes+1)
	if r.Size, err = io.Copy(io.MultiWriter(z, sum), limited); err != nil {
		return fmt.Errorf("receive file: %w", err)
	}
	if r.Size > f.Limits.FileBytes {
		return errs.New(errs.KindTooLarge, "file_too_large", fmt.Sprintf("The file is larger than the %d bytes this server takes.", f.Limits.FileBytes))
	}
	if err := errors.Join(z.Close(), out.flush()); err != nil {
		return err
	}
	r.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// pieceWriter cuts a stream into pieces.
type pieceWriter struct {
	write func(n int, data []byte) error
	n     int
	buf   []byte
}

// Write implements io.Writer.
func (w *pieceWriter) Write(b []byte) (int, error) {
	w.buf = append(w.buf, b...)
	for len(w.buf) >= pieceBytes {
		if err := w.put(w.buf[:pieceBytes]); err != nil {
			return 0, err
		}
		w.buf = append(w.buf[:0], w.buf[pieceBytes:]...)
	}
	return len(b), nil
}

// flush writes the last piece, of an empty stream too.
func (w *pieceWriter) flush() error {
	if len(w.buf) == 0 && w.n > 0 {
		return nil
	}
	return w.put(w.buf)
}

func (w *pieceWriter) put(data []byte) error {
	n := w.n
	w.n++
	return w.write(n, data)
}

// openFile reads a kept file as it was received.
func (f *Feeds) openFile(ctx context.Context, t *sqldb.Tenant, runID string) (io.ReadCloser, error) {
	z, err := zstd.NewReader(&pieces{ctx: ctx, t: t, runID: runID}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// filename checks what a sender calls its file.
func filename(name string) (string, error) {
	name = strings.TrimSpace(path.Base(strings.ReplaceAll(name, `\`, "/")))
	bad := !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)
	if name == "" || name == "." || name == ".." || name == "/" || bad || utf8.RuneCountInString(name) > maxFilename {
		return "", errs.Invalid("invalid", "The file can't be taken under this name.", errs.In("filename", fmt.Sprintf("give a name of 1 to %d printable characters", maxFilename)))
	}
	return name, nil
}

// timeOf finds out when a file was made: from its name, else as its sender set it. kind says which times compare.
func timeOf(name string, modified, now time.Time) (at time.Time, kind string) {
	horizon := now.Add(24 * time.Hour) // a later time is a wrong one, and would keep all that follow it out
	if stamp, ok := sheet.FileTime(name, now); ok && stamp.Time.Before(horizon) {
		return stamp.Time, fmt.Sprintf("name %s %s", stamp.Precision, stamp.Stem)
	}
	if !modified.IsZero() && modified.Before(horizon) {
		return modified.UTC(), "mtime"
	}
	return time.Time{}, ""
}

func (f *Feeds) pruneFiles(ctx context.Context, tx *sqldb.Tenant, integrationID string) error {
	return deleteOldPieces(ctx, tx, integrationID, f.Limits.KeptFiles)
}

// Arrived lists what an integration's login has sent since a time, the latest of each path.
func (f *Feeds) Arrived(ctx context.Context, t *sqldb.Tenant, integrationID string, since time.Time) ([]Run, error) {
	return selectArrived(ctx, t, integrationID, since)
}

// Prune forgets old logs, and what is left of uploads that never ended.
func (f *Feeds) Prune(ctx context.Context, t *sqldb.Tenant) error {
	return errors.Join(deleteOrphans(ctx, t, f.Now().Add(-24*time.Hour)), deleteOldRuns(ctx, t, f.Now().Add(-f.Limits.LogAge)))
}

package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"carfluence/internal/audit"
	"carfluence/internal/errs"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
)

// The statuses of runs.
const (
	RunQueued     = "queued"
	RunRunning    = "running"
	RunCompleted  = "completed"
	RunFailed     = "failed"     // the file can't be used; nothing was changed
	RunHeld       = "held"       // it would sell suspiciously much; waits for a confirmation
	RunSuperseded = "superseded" // was held when the next file came
	RunDiscarded  = "discarded"  // was held, and somebody said no
)

// Run is one file on its way into the inventory, and what became of it.
type Run struct {
	ID            string // UUIDv7
	IntegrationID string
	Filename      string
	Path          string // in the login's folder; "" when it did not come by SFTP
	Size          int64  // bytes as received
	SHA256        string // hex, of the bytes as received
	FileTime      time.Time
	TimeOf        string // what FileTime is comparable with; "" for nothing
	ReceivedAt    time.Time
	ReceivedBy    audit.Actor
	Status        string
	Attempt       int64
	Reprocess     bool   // the latest file once more: it is no further file that does not list what it does not list
	Confirmed     bool   // somebody has confirmed what it would sell
	AppliedAs     string // of completed: with which settings
	StartedAt     time.Time
	ProcessedAt   time.Time
	Duration      time.Duration
	Counts        Counts
	Code          string // of failed: why, stable
	Detail        string // of failed and held: why, in words
	Report        RunReport

	RowsDone int64 // while running
}

// Counts are what became of a file's rows and of what it does not list. Total = Created + Updated + Errors.
type Counts struct {
	Total, Created, Updated, Errors int64
	Skipped                         int64 // rows about nothing of ours, no errors and not in Total
	Warnings                        int64
	Missing                         int64 // vehicles listed before, not in this file
	Sold                            int64 // of these, given up with this file
}

// RunReport is what else is worth telling of a file.
type RunReport struct {
	Charset   string       `json:"charset,omitempty"`
	Delimiter string       `json:"delimiter,omitempty"`
	Layout    string       `json:"layout,omitempty"` // of a file without a header
	Unpacked  string       `json:"unpacked,omitempty"`
	Columns   []string     `json:"columns,omitempty"`
	Unmapped  []string     `json:"unmapped,omitempty"`
	Notes     []string     `json:"notes,omitempty"`
	Repeated  bool         `json:"repeated,omitempty"` // the same bytes as the file before: its rows were not processed again
	Kinds     []KindCount  `json:"kinds,omitempty"`    // of warnings, commonest first
	Would     *Would       `json:"would,omitempty"`    // of held
	Moved     int64        `json:"moved,omitempty"`    // vehicles given up that another integration of the group lists
	Unlisted  int64        `json:"unlisted,omitempty"` // problems beyond those that are kept
	Rules     []RuleFaults `json:"rules,omitempty"`    // rules that could not do their work on some vehicles
}

// RuleFaults count on how many fields a rule could not do its work, as for want of an operand.
type RuleFaults struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	VIN    string `json:"vin"` // of an example
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Hidden bool   `json:"hidden,omitempty"` // the reason is for administrators only
}

// KindCount counts warnings of one kind.
type KindCount struct {
	Count  int64  `json:"count"`
	Column string `json:"column"`
	Reason string `json:"reason"`
	Line   int    `json:"line"` // of the first
}

// Would is what a held file would do.
type Would struct {
	Create int64    `json:"create"`
	Update int64    `json:"update"`
	Sell   int64    `json:"sell"`
	Of     int64    `json:"of"`   // active vehicles the integration lists
	VINs   []string `json:"vins"` // the first of those it would sell
}

var (
	errNoIntegration = rest.NotFound("integration")

	errNoLog   = rest.NotFound("log")
	errNotHeld = errs.Conflict("run_not_held", "This file does not wait for a confirmation; its status says what became of it.")
	errFenced  = errors.New("another worker has taken the file over")
)

// Logs returns a page of an integration's files, newest first, and how many there are.
func (f *Feeds) Logs(ctx context.Context, t *sqldb.Tenant, integrationID string, page rest.Page) ([]Run, int64, error) {
	if _, err := f.Integration(ctx, t, integrationID); err != nil {
		return nil, 0, err
	}
	list, total, err := selectRuns(ctx, t, integrationID, page)
	for i := range list {
		f.watch(&list[i])
	}
	return list, total, err
}

// LogOf returns one file's log.
func (f *Feeds) LogOf(ctx context.Context, t *sqldb.Tenant, integrationID, runID string) (Run, error) {
	r, err := selectRun(ctx, t, integrationID, runID)
	if err != nil {
		return Run{}, err
	}
	f.watch(&r)
	return r, nil
}

// Problems returns a page of a file's row errors and warnings in order of lines, and how many are kept.
func (f *Feeds) Problems(ctx context.Context, t *sqldb.Tenant, runID string, page rest.Page) ([]mapping.Problem, int64, error) {
	return selectProblems(ctx, t, runID, page)
}

// Confirm lets a held file go on; it sells what it would sell.
func (f *Feeds) Confirm(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID, runID string) (Run, error) {
	return f.decide(ctx, t, by, integrationID, runID, "feed.confirmed", func(tx *sqldb.Tenant, r *Run) error {
		if later, ok, err := selectLater(ctx, tx, r); err != nil || ok {
			return errors.Join(err, tooLate(later, ok))
		}
		r.Status, r.Confirmed = RunQueued, true
		if err := updateRun(ctx, tx, r); err != nil {
			return err
		}
		return f.Enqueue(ctx, tx, integrationID)
	})
}

func tooLate(later Run, is bool) error {
	if !is {
		return nil
	}
	return errs.Conflict("run_superseded", fmt.Sprintf("A newer file, %s, has come and takes this one's place.", later.Filename))
}

// Discard gives a held file up.
func (f *Feeds) Discard(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID, runID string) (Run, error) {
	return f.decide(ctx, t, by, integrationID, runID, "feed.discarded", func(tx *sqldb.Tenant, r *Run) error {
		in, err := f.Integration(ctx, tx, integrationID)
		if err != nil {
			return err
		}
		if in.StatusReason == r.waits() {
			if err := setStatus(ctx, tx, integrationID, StatusActive, "", f.Now()); err != nil {
				return err
			}
		}
		r.Status = RunDiscarded
		return updateRun(ctx, tx, r)
	})
}

// waits is what an integration says of a held file.
func (r *Run) waits() string { return r.Filename + ": " + r.Detail }

func (f *Feeds) decide(ctx context.Context, t *sqldb.Tenant, by audit.Actor, integrationID, runID, event string, act func(*sqldb.Tenant, *Run) error) (r Run, err error) {
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, integrationID); err != nil {
			return err
		}
		if r, err = selectRun(ctx, tx, integrationID, runID); err != nil {
			return err
		}
		if r.Status != RunHeld {
			return errNotHeld
		}
		if err := act(tx, &r); err != nil {
			return err
		}
		return audit.Record(ctx, tx.DB(), tx.Group(), f.Now(), audit.Event{
			Name: event, Actor: by, SubjectType: "feed_run", SubjectID: r.ID, Detail: map[string]any{"file": r.Filename, "integration": integrationID},
		})
	})
	return r, err
}

// resume hands what waited while an integration was paused to the workers.
func (f *Feeds) resume(ctx context.Context, tx *sqldb.Tenant, integrationID string) error {
	waiting, err := hasUnfinished(ctx, tx, integrationID)
	if err != nil || !waiting {
		return err
	}
	return f.Enqueue(ctx, tx, integrationID)
}

// claim takes the oldest file of an integration that waits; ok is false when none does. A run that is marked running is one
// whose worker is gone: workers of one integration exclude each other (see Work).
func (f *Feeds) claim(ctx context.Context, t *sqldb.Tenant, integrationID string) (in Integration, r Run, ok bool, err error) {
	err = t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, integrationID); err != nil {
			return err
		}
		if in, err = f.Integration(ctx, tx, integrationID); errs.KindOf(err) == errs.KindNotFound {
			return nil // deleted meanwhile
		}
		if err != nil || in.Status == StatusPaused {
			return err
		}
		if r, ok, err = f.next(ctx, tx, integrationID); err != nil || !ok {
			return err
		}
		r.Status, r.StartedAt, r.Code, r.Detail = RunRunning, f.Now(), "", ""
		r.Attempt++
		return updateRun(ctx, tx, &r)
	})
	return in, r, ok && err == nil, err
}

// next is the file to process next. One that has ended its worker again and again is given up, so that those behind it
// get their turn.
func (f *Feeds) next(ctx context.Context, tx *sqldb.Tenant, integrationID string) (Run, bool, error) {
	for {
		r, ok, err := selectNext(ctx, tx, integrationID)
		if err != nil || !ok || r.Status != RunRunning || r.Attempt < maxCrashes {
			return r, ok, err
		}
		r.Status, r.Code = RunFailed, "internal"
		r.Detail = fmt.Sprintf("The server ended %d times while it processed this file; the file is kept.", r.Attempt)
		f.finish(&r)
		f.ended(&r)
		if err := updateRun(ctx, tx, &r); err != nil {
			return r, false, err
		}
		if err := setStatus(ctx, tx, integrationID, StatusError, r.Filename+": "+r.Detail, f.Now()); err != nil {
			return r, false, err
		}
	}
}

// maxCrashes is how often a file may end its worker.
const maxCrashes = 5

// release puts a file back after a failure that is not its own.
func (f *Feeds) release(ctx context.Context, t *sqldb.Tenant, r Run, cause error) error {
	if r.Attempt >= maxAttempts && errs.KindOf(cause) != errs.KindUnavailable { // a full disk is waited out
		return f.fail(ctx, t, r, errs.New(errs.KindInternal, "internal", fmt.Sprintf("The file could not be processed in %d tries; it is kept.", r.Attempt)))
	}
	r.Status, r.Detail = RunQueued, ""
	err := t.Transact(ctx, func(tx *sqldb.Tenant) error { return updateFenced(ctx, tx, &r) })
	if err != nil && !errors.Is(err, errFenced) {
		f.Log.Warn("file not put back; it is taken up again as it is", "run", r.ID, "error", err)
	}
	return cause
}

// maxDetail bounds what is told of a failure, in characters.
const maxDetail = 2000

// maxAttempts is how often a file is tried before it counts as failed for reasons of our own.
const maxAttempts = 20

// fail notes that a file can't be used, and why.
func (f *Feeds) fail(ctx context.Context, t *sqldb.Tenant, r Run, cause error) error {
	r.Status, r.Code, r.Detail = RunFailed, errs.CodeOf(cause), sheet.ShortenTo(errs.DetailOf(cause), maxDetail)
	f.finish(&r)
	f.ended(&r)
	return t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, r.IntegrationID); err != nil {
			return err
		}
		if err := updateFenced(ctx, tx, &r); err != nil {
			return err
		}
		if err := setStatus(ctx, tx, r.IntegrationID, StatusError, r.Filename+": "+r.Detail, f.Now()); err != nil {
			return err
		}
		return f.pruneFiles(ctx, tx, r.IntegrationID)
	})
}

// ended tells the operator what became of a file.
func (f *Feeds) ended(r *Run) {
	level, c := slog.LevelInfo, r.Counts
	if r.Status != RunCompleted {
		level = slog.LevelWarn
	}
	f.Log.Log(context.Background(), level, "file "+r.Status, "run", r.ID, "integration", r.IntegrationID, "file", r.Filename, "total", c.Total, "created", c.Created,
		"updated", c.Updated, "errors", c.Errors, "sold", c.Sold, "duration_ms", r.Duration.Milliseconds(), "code", r.Code, "detail", r.Detail)
	if f.Ended != nil {
		f.Ended(r.Status, c)
	}
}

func (f *Feeds) finish(r *Run) {
	r.ProcessedAt = f.Now()
	r.Duration = r.ProcessedAt.Sub(r.StartedAt)
}

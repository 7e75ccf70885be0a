package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"carfluence/internal/errs"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/sheet"
	"carfluence/internal/sqldb"
)

// ErrBusy says that the integration's files are being processed already.
var ErrBusy = errors.New("the integration's files are being processed already")

// Work processes an integration's files that wait, oldest first, until none is left. A file that can't be used is logged
// as failed and is no error; an error is ours, and Work is to be called again later.
func (f *Feeds) Work(ctx context.Context, t *sqldb.Tenant, integrationID string) error {
	working, err := f.DB.Hold(ctx, "files of "+integrationID, sqldb.Holding{})
	if errors.Is(err, sqldb.ErrHeld) {
		return ErrBusy
	}
	if err != nil {
		return err
	}
	defer working.Release()
	for {
		in, r, ok, err := f.claim(ctx, t, integrationID)
		if err != nil || !ok {
			return err
		}
		err = f.process(ctx, t, in, r)
		switch {
		case errors.Is(err, errFenced): // whoever has it now sees it through
		case err != nil && ctx.Err() != nil:
			return f.release(context.WithoutCancel(ctx), t, r, ctx.Err())
		case errs.KindOf(err) == errs.KindInvalid || errors.Is(err, errFileGone):
			err = f.fail(ctx, t, r, err)
		case err != nil:
			f.Log.Error("file not processed", "run", r.ID, "file", r.Filename, "attempt", r.Attempt, "error", err)
			return f.release(ctx, t, r, err)
		}
		if err != nil && !errors.Is(err, errFenced) {
			return err
		}
	}
}

// Unfinished lists a group's integrations with files that wait, or that were cut short by the end of the process.
func (f *Feeds) Unfinished(ctx context.Context, t *sqldb.Tenant) ([]string, error) {
	return selectUnfinished(ctx, t)
}

// processing is one file in work.
type processing struct {
	f   *Feeds
	t   *sqldb.Tenant
	in  Integration
	run Run

	progress *progress
	load     *loading
	warnings tallies
	problems []mapping.Problem
	kept     [2]int64 // of problems: refused rows, warnings
	absent   absence

	confirmed int64 // vehicles whose sale was confirmed
	refresh   bool  // rules or the merge config have changed since the file before
}

func (f *Feeds) process(ctx context.Context, t *sqldb.Tenant, in Integration, r Run) error {
	p := &processing{f: f, t: t, in: in, run: r, warnings: tallies{}, progress: f.progressOf(r.ID)}
	defer p.progress.end()
	if r.Report.Would != nil {
		p.confirmed = r.Report.Would.Sell
	}
	p.run.Report = RunReport{}
	if newer, ok, err := selectNewer(ctx, t, &r); err != nil || ok {
		return errors.Join(err, olderThan(newer, ok))
	}
	dealers, err := f.Dealers.Fingerprint(ctx, t)
	if err != nil {
		return err
	}
	edition, err := f.Stock.Edition(ctx, t)
	if err != nil {
		return err
	}
	p.run.AppliedAs = in.settings(dealers) + editionMark + strconv.FormatInt(edition, 10)
	last, ok, err := selectLastCompleted(ctx, t, in.ID)
	if err != nil {
		return err
	}
	p.refresh = ok && editionOf(last) != editionOf(p.run)
	// Rows about vehicles that were not known then may be about known ones now.
	if ok && last.SHA256 == r.SHA256 && last.AppliedAs == p.run.AppliedAs && last.Counts.Skipped == 0 {
		return p.repeat(ctx, last)
	}
	return p.read(ctx)
}

// editionMark stands in AppliedAs before the inventory's edition.
const editionMark = "."

// editionOf is by which edition of rules and merge configs the integration's vehicles show since the run.
func editionOf(r Run) string {
	_, edition, _ := strings.Cut(r.AppliedAs, editionMark)
	return edition
}

func olderThan(newer Run, is bool) error {
	if !is {
		return nil
	}
	return errs.Invalid("file_older", fmt.Sprintf("The file is older than %s of %s, which has been processed; its rows would take the inventory back.", newer.Filename, newer.FileTime.Format(time.RFC3339)))
}

// settings are what else the result of a file depends on.
func (in *Integration) settings(dealers string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%v|%v|%v|%v|%s", mapping.Edition, in.Type, in.DealershipID, in.DayFirst, in.DecimalComma, in.Sync, in.Mappings, dealers))
	return hex.EncodeToString(sum[:16])
}

func (in *Integration) options() mapping.Options {
	return mapping.Options{Type: in.Type, Own: in.Mappings, DayFirst: in.DayFirst, DecimalComma: in.DecimalComma}
}

func (p *processing) source() inventory.Source {
	return inventory.Source{
		Name: p.in.Type, IntegrationID: p.in.ID, Lead: p.in.Type == mapping.TypeElead, UpdateOnly: p.in.Sync.Strategy == StrategyUpdateOnly,
		Untracked: !p.in.Sync.TrackHistory, ActorType: "integration", ActorID: p.in.ID, ActorName: p.in.Name, File: p.run.Filename,
	}
}

// sync is the strategy in force for what the file does not list: leads say nothing about what is there, and a file that
// is run again nothing new.
func (p *processing) sync() Sync {
	s := p.in.Sync
	if p.in.Type == mapping.TypeElead || p.run.Reprocess {
		s.Strategy = StrategyUpdateOnly
	}
	return s
}

// read processes a file that is not the one before.
func (p *processing) read(ctx context.Context) error {
	path, cleanUp, err := p.plain(ctx)
	if err != nil {
		return err
	}
	defer cleanUp()
	p.load = &loading{
		stock: p.f.Stock, from: p.source(), file: p.name(), options: p.in.options(), settled: p.in.settings(""), now: p.f.Now(),
		open:    func() (io.ReadCloser, error) { return os.Open(path) },
		stores:  &stores{dealers: p.f.Dealers, own: p.in.DealershipID, known: map[[2]string]place{}},
		problem: p.note,
		advance: func(_, rows int64) { p.progress.add(rows) },
	}
	if err := p.load.look(ctx, p.t); err != nil {
		return err
	}
	p.progress.total = p.load.survey.rows
	if err := p.judge(ctx, &p.load.survey); err != nil {
		return err
	}
	if p.mustHold() {
		return p.hold(ctx)
	}
	return p.commit(ctx, func(tx *sqldb.Tenant, w *inventory.Writer) error {
		if err := p.load.apply(ctx, tx, w); err != nil {
			return err
		}
		p.run.Counts = p.load.counts
		p.describe()
		if err := insertProblems(ctx, tx, p.run.ID, p.problems); err != nil {
			return err
		}
		return replaceUnmatched(ctx, tx, p.in.ID, p.run.ID, p.load.stores.unmatched(), p.f.Now())
	})
}

// mustHold asks the guard; what was confirmed goes through, but not more than that.
func (p *processing) mustHold() bool {
	if !p.f.Limits.Guard.holds(&p.absent) {
		return false
	}
	_, active := p.absent.sells(0)
	return !p.run.Confirmed || active > p.confirmed
}

// name is what the file is called once it is unpacked; its extension may settle the delimiter.
func (p *processing) name() string {
	if p.run.Report.Unpacked != "" {
		return p.run.Report.Unpacked
	}
	return p.run.Filename
}

// repeat processes the same bytes again: no row says anything new, but it is one more file that does not list what it
// does not list.
func (p *processing) repeat(ctx context.Context, last Run) error {
	if err := p.judge(ctx, nil); err != nil {
		return err
	}
	c := last.Counts
	p.run.Counts = Counts{Total: c.Total, Updated: c.Total - c.Errors, Errors: c.Errors, Skipped: c.Skipped, Warnings: c.Warnings}
	p.run.Report = last.Report
	p.run.Report.Repeated = true
	if p.mustHold() {
		return p.hold(ctx)
	}
	return p.commit(ctx, func(tx *sqldb.Tenant, _ *inventory.Writer) error { return copyProblems(ctx, tx, last.ID, p.run.ID) })
}

// judge finds out what becomes of the vehicles that the file does not list; without a survey, the same as the file before
// did not list.
func (p *processing) judge(ctx context.Context, s *survey) error {
	sync, now := p.sync(), p.run.ReceivedAt
	if s != nil && s.listing != nil && (s.absent == 0 || sync.Strategy == StrategyUpdateOnly) {
		p.absent.listed = s.listing.active
		return nil
	}
	err := p.f.Stock.EachListing(ctx, p.t, p.source(), func(l inventory.Listing) {
		present := l.Missed == 0
		if s != nil {
			present = s.lists(l.VIN)
		}
		p.absent.note(sync, l, present, now)
	})
	if err != nil {
		return err
	}
	p.absent.moved, err = p.f.Stock.ListedElsewhere(ctx, p.t, p.in.ID, p.absent.vins())
	return err
}

// commit writes what a file does, whole or not at all: its rows, what it does not list, and its log.
func (p *processing) commit(ctx context.Context, rows func(tx *sqldb.Tenant, w *inventory.Writer) error) error {
	err := p.t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := p.f.Stock.Write(ctx, tx, p.source(), func(w *inventory.Writer) error { return p.write(ctx, tx, w, rows) }); err != nil {
			return err
		}
		p.run.Status, p.run.Counts.Missing, p.run.Counts.Sold = RunCompleted, p.absent.missing(), p.absent.sold()
		p.run.Report.Moved = int64(len(p.absent.moved))
		p.f.finish(&p.run)
		if err := lockIntegration(ctx, tx, p.in.ID); err != nil {
			return err
		}
		if err := updateFenced(ctx, tx, &p.run); err != nil {
			return err
		}
		if err := p.settle(ctx, tx); err != nil {
			return err
		}
		if err := supersedeHeld(ctx, tx, p.in.ID, p.run.ID); err != nil {
			return err
		}
		return p.f.pruneFiles(ctx, tx, p.in.ID)
	})
	if err == nil {
		p.f.Stock.Committed(p.t.Group())
		p.f.ended(&p.run)
	}
	return err
}

// write brings into the inventory what a file says, and what it does not say.
func (p *processing) write(ctx context.Context, tx *sqldb.Tenant, w *inventory.Writer, rows func(tx *sqldb.Tenant, w *inventory.Writer) error) error {
	if err := rows(tx, w); err != nil {
		return err
	}
	if err := p.leave(ctx, w); err != nil {
		return err
	}
	if p.refresh {
		if err := w.RefreshAll(ctx); err != nil {
			return err
		}
	}
	p.ruled(w)
	return nil
}

// leave counts and retires what the file does not list.
func (p *processing) leave(ctx context.Context, w *inventory.Writer) error {
	if p.load != nil {
		if err := w.Present(ctx, p.load.survey.present); err != nil {
			return err
		}
	}
	if err := w.Miss(ctx, p.absent.missed, p.run.ReceivedAt); err != nil {
		return err
	}
	return w.Retire(ctx, p.absent.vins())
}

// ruled notes in the log which rules could not do their work.
func (p *processing) ruled(w *inventory.Writer) {
	if p.run.Report.Repeated { // and so are they
		return
	}
	for _, f := range w.RuleFaults() {
		p.run.Report.Rules = append(p.run.Report.Rules, RuleFaults{f.Rule.ID, f.Rule.Name, f.Count, f.VIN, f.Field, f.Reason, f.Hidden})
	}
}

// settle tells the integration how its latest file looked.
func (p *processing) settle(ctx context.Context, tx *sqldb.Tenant) error {
	if p.load == nil {
		return setStatus(ctx, tx, p.in.ID, StatusActive, "", p.f.Now())
	}
	drift := ""
	if len(p.in.Header) > 0 {
		drift = mapping.DriftSentence(p.in.Header, p.load.survey.header)
	}
	return setRead(ctx, tx, p.in.ID, p.load.survey.header, drift, p.f.Now())
}

// note keeps a problem for the log.
func (p *processing) note(problem mapping.Problem) {
	kind := 0
	if !problem.Refused {
		kind = 1
		p.warnings.add(problem)
	}
	if p.kept[kind]++; p.kept[kind] > p.f.Limits.Problems {
		p.run.Report.Unlisted++
		return
	}
	p.problems = append(p.problems, problem)
}

// describe tells in the log how the file was read.
func (p *processing) describe() {
	l, r := p.load, &p.run.Report
	r.Charset, r.Delimiter, r.Layout = l.format.Charset, string(l.format.Delimiter), l.format.Layout
	r.Columns, r.Unmapped, r.Notes = l.survey.header, l.survey.mapping.Unmapped, l.survey.mapping.Notes[:min(len(l.survey.mapping.Notes), maxKinds)]
	if len(p.in.Header) > 0 {
		if drift := mapping.DriftSentence(p.in.Header, l.survey.header); drift != "" {
			r.Notes = append(r.Notes, drift)
		}
	}
	for _, k := range p.warnings.list() {
		r.Kinds = append(r.Kinds, KindCount{k.Count, k.Example.Column, k.Example.Reason, k.Example.Line})
		if len(r.Kinds) == maxKinds {
			break
		}
	}
}

// maxKinds bounds the kinds of warnings and the VINs named in a log.
const maxKinds = 50

// hold keeps the file for somebody to decide on.
func (p *processing) hold(ctx context.Context) error {
	vins, active := p.absent.sells(maxKinds)
	would := Would{Sell: active, Of: p.absent.listed, VINs: vins}
	if p.load != nil {
		p.describe()
		exist, err := p.existing(ctx)
		if err != nil {
			return err
		}
		would.Update = exist
		if p.in.Sync.Strategy != StrategyUpdateOnly {
			would.Create = int64(p.load.survey.file.n) - exist
		}
	} else {
		would.Update = p.run.Counts.Updated
	}
	p.run.Status, p.run.Detail, p.run.Report.Would = RunHeld, p.f.Limits.Guard.says(&p.absent), &would
	p.run.Counts = Counts{Missing: p.absent.missing()}
	p.f.finish(&p.run)
	p.f.ended(&p.run)
	return p.t.Transact(ctx, func(tx *sqldb.Tenant) error {
		if err := lockIntegration(ctx, tx, p.in.ID); err != nil {
			return err
		}
		if err := updateFenced(ctx, tx, &p.run); err != nil {
			return err
		}
		if err := setStatus(ctx, tx, p.in.ID, StatusActive, p.run.waits(), p.f.Now()); err != nil {
			return err
		}
		return supersedeHeld(ctx, tx, p.in.ID, p.run.ID)
	})
}

// existing counts the file's VINs that the inventory holds.
func (p *processing) existing(ctx context.Context) (n int64, err error) {
	f, err := p.load.open()
	if err != nil {
		return 0, err
	}
	defer f.Close()
	rd, m, err := open(f, p.load.file, p.load.options)
	if err != nil {
		return 0, err
	}
	counted := map[uint64]struct{}{}
	var vins []string
	flush := func() error {
		known, err := p.f.Stock.Exist(ctx, p.t, vins)
		n, vins = n+known, vins[:0]
		return err
	}
	for {
		row, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return n, flush()
		}
		if err != nil {
			return n, err
		}
		vin, fault := m.VIN(row)
		h := hashVIN(vin)
		if _, again := counted[h]; fault != nil || again {
			continue
		}
		counted[h] = struct{}{}
		if vins = append(vins, vin); len(vins) == batchRows {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
}

// unpack opens the file as it was before its sender packed it.
func (p *processing) unpack(ctx context.Context) (u *sheet.Unpacked, cleanUp func(), err error) {
	received, err := p.f.spool("received")
	if err != nil {
		return nil, nil, err
	}
	if err := p.f.fetch(ctx, p.t, p.run.ID, received); err != nil {
		discard(received)
		return nil, nil, err
	}
	u, err = sheet.Unpack(received, p.run.Size, p.run.Filename, p.f.Limits.Unpack)
	if err != nil {
		discard(received)
		return nil, nil, err
	}
	if !u.Plain {
		p.run.Report.Unpacked = u.Name
	}
	return u, func() { _ = u.Close(); discard(received) }, nil
}

// plain writes the file, unpacked, to a temporary one.
func (p *processing) plain(ctx context.Context) (path string, cleanUp func(), err error) {
	u, done, err := p.unpack(ctx)
	if err != nil {
		return "", nil, err
	}
	defer done()
	file, err := p.f.spool("unpacked")
	if err != nil {
		return "", nil, err
	}
	if _, err := io.Copy(file, untilEnd{ctx, u}); err != nil {
		discard(file)
		return "", nil, err
	}
	return file.Name(), func() { discard(file) }, nil
}

// untilEnd reads until its context ends.
type untilEnd struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r untilEnd) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}

// fetch writes a kept file to a temporary one.
func (f *Feeds) fetch(ctx context.Context, t *sqldb.Tenant, runID string, to *os.File) error {
	from, err := f.openFile(ctx, t, runID)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("fetch file: %w", err)
	}
	_, err = to.Seek(0, io.SeekStart)
	return err
}

// spool makes a temporary file in the data folder.
func (f *Feeds) spool(what string) (*os.File, error) {
	if err := os.MkdirAll(f.Spool, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	file, err := os.CreateTemp(f.Spool, what+"-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return file, nil
}

func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}

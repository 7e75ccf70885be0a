package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"carfluence/internal/job"
	"carfluence/internal/sqldb"
)

// MoveTarget is the PostgreSQL server that an installation is moved to. Its settings are those that servers find it by
// afterwards.
type MoveTarget struct {
	To      string `help:"PostgreSQL database to move to: postgres://USER:PASSWORD@HOST:5432/NAME. On the command line its password is seen by whoever lists processes: better set CARFLUENCE_DATABASE, or CARFLUENCE_DATABASE_FILE." env:"CARFLUENCE_DATABASE" placeholder:"URL"`
	StockTo string `help:"A second PostgreSQL database for vehicles, feeds and jobs. Empty: they go to --to." env:"CARFLUENCE_STOCK_DATABASE" placeholder:"URL"`
}

// Validate reports every fault at once, and reads the URLs that stand in files.
func (m *MoveTarget) Validate() error {
	all := []error{urlFrom(&m.To, "CARFLUENCE_DATABASE"), urlFrom(&m.StockTo, "CARFLUENCE_STOCK_DATABASE")}
	if errors.Join(all...) == nil && m.To == "" {
		all = append(all, errors.New("--to: name the PostgreSQL database to move to, with --to or in CARFLUENCE_DATABASE"))
	}
	for _, u := range []struct{ name, url string }{{"to", m.To}, {"stock-to", m.StockTo}} {
		if u.url == "" {
			continue
		}
		if err := sqldb.CheckPostgresURL(u.url); err != nil {
			all = append(all, fmt.Errorf("--%s: %w", u.name, err))
		}
	}
	return errors.Join(all...)
}

// Where names the target to people.
func (m *MoveTarget) Where() string {
	if m.StockTo != "" {
		return MaskedURL(m.To) + " and " + MaskedURL(m.StockTo)
	}
	return MaskedURL(m.To)
}

// MoveWatch is told how a move goes on.
type MoveWatch struct {
	Phase    func(name string, rows int64) // a new one begins, with so many rows before it; -1 when nobody knows
	Progress func(rows int64)              // so many more are done
}

// MoveReport is what a move has compared.
type MoveReport struct {
	Tables []sqldb.Compared // none when an earlier call had done so, and this one only had to finish
}

// Differing counts the tables that are not the same on both sides.
func (r MoveReport) Differing() (n int) {
	for _, t := range r.Tables {
		if !t.Same() {
			n++
		}
	}
	return n
}

// Rows is how many were moved.
func (r MoveReport) Rows() (n int64) {
	for _, t := range r.Tables {
		n += t.To.Rows
	}
	return n
}

// errDiffers is why a move ends unfinished.
var errDiffers = errors.New("the copy is not the same as the original; no server will work on it. Empty the target (DROP SCHEMA accounts CASCADE; DROP SCHEMA stock CASCADE) and run the command again")

// Move takes the installation in a data folder to PostgreSQL, and marks the folder as moved. It may be called again
// after a kill at any point and goes on where it was. The folder's databases stay as they are.
func Move(ctx context.Context, data string, target MoveTarget, watch MoveWatch) (report MoveReport, err error) {
	if err := target.Validate(); err != nil {
		return report, err
	}
	source, err := openFolder(ctx, Store{Data: data})
	if err != nil {
		return report, err
	}
	defer source.Close()
	lock, err := source.Lock()
	if err != nil {
		return report, err
	}
	defer lock.Unlock()
	m := &mover{source: source, target: target, watch: watch}
	defer m.close()
	if err := m.open(ctx); err != nil {
		return report, err
	}
	err = m.alone(ctx, func() (err error) {
		report, err = m.run(ctx)
		return err
	})
	return report, err
}

// mover is a move under way.
type mover struct {
	source          *Stores
	target          MoveTarget
	watch           MoveWatch
	note            movedNote
	accounts, stock *sqldb.Move
	serving         *sqldb.Held
}

func (m *mover) open(ctx context.Context) (err error) {
	if m.note, err = readNote(m.source.dir); err != nil {
		return err
	}
	if m.note.id == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("move: %w", err)
		}
		m.note.id = id.String()
	}
	d := Database{Database: m.target.To, StockDatabase: m.target.StockTo}
	m.accounts, m.stock = m.part(sqldb.Accounts), m.part(sqldb.Stock)
	for part, url := range map[*sqldb.Move]string{m.accounts: d.Database, m.stock: d.stockURL()} {
		db, err := sqldb.OpenPostgres(ctx, url, part.Store, d.options())
		if err != nil {
			return err
		}
		part.To = db.Patient()
	}
	m.serving, err = m.accounts.To.Hold(ctx, serving, sqldb.Holding{})
	if errors.Is(err, sqldb.ErrHeld) {
		return fmt.Errorf("a server, or another move, is at work on %s; stop it first, or name an empty database", MaskedURL(m.target.To))
	}
	return err
}

func (m *mover) part(store sqldb.Store) *sqldb.Move {
	return &sqldb.Move{ID: m.note.id, Store: store, Progress: m.watch.Progress}
}

func (m *mover) close() {
	m.serving.Release()
	for _, part := range []*sqldb.Move{m.accounts, m.stock} {
		if part != nil && part.To != nil {
			_ = part.To.Close()
		}
	}
}

// alone keeps commands beside it from writing to the folder's databases while f runs.
func (m *mover) alone(ctx context.Context, f func() error) error {
	return m.source.Accounts.Transact(ctx, func(accounts *sqldb.DB) error {
		return m.source.Stock.Transact(ctx, func(stock *sqldb.DB) error {
			m.accounts.From, m.stock.From = accounts, stock
			return f()
		})
	})
}

func (m *mover) run(ctx context.Context) (report MoveReport, err error) {
	sealed, err := m.accounts.Sealed(ctx)
	if err != nil {
		return report, err
	}
	if m.note.finished && !sealed {
		return report, m.note.refuse(m.source.dir)
	}
	if !sealed {
		if report, err = m.copy(ctx); err != nil {
			return report, err
		}
	}
	if err := m.note.write(m.source.dir, m.target.Where(), true); err != nil {
		return report, err
	}
	// The accounts last: by their record a second call knows that there is no more to be done than this.
	if err := m.stock.Finish(ctx); err != nil {
		return report, err
	}
	return report, m.accounts.Finish(ctx)
}

// copy ends with everything compared, and sealed.
func (m *mover) copy(ctx context.Context) (report MoveReport, err error) {
	rows, err := m.survey(ctx)
	if err != nil {
		return report, err
	}
	if err := m.each(func(part *sqldb.Move) error { return part.Check(ctx) }); err != nil {
		return report, err
	}
	if err := m.each(func(part *sqldb.Move) error { return part.Prepare(ctx) }); err != nil {
		return report, err
	}
	if err := m.note.write(m.source.dir, m.target.Where(), false); err != nil {
		return report, err
	}
	if err := m.each(func(part *sqldb.Move) error { return part.Claim(ctx) }); err != nil {
		return report, err
	}
	m.watch.Phase("Copying", rows)
	if err := m.each(func(part *sqldb.Move) error { return part.Copy(ctx) }); err != nil {
		return report, err
	}
	if err := m.takeJobs(ctx); err != nil {
		return report, err
	}
	m.watch.Phase("Comparing", rows)
	if report, err = m.compare(ctx); err != nil {
		return report, err
	}
	if report.Differing() > 0 {
		return report, errDiffers
	}
	return report, m.accounts.Seal(ctx)
}

func (m *mover) each(f func(part *sqldb.Move) error) error {
	if err := f(m.accounts); err != nil {
		return err
	}
	return f(m.stock)
}

func (m *mover) survey(ctx context.Context) (rows int64, err error) {
	m.watch.Phase("Reading", -1)
	err = m.each(func(part *sqldb.Move) error {
		n, err := part.Survey(ctx)
		rows += n
		return err
	})
	return rows, err
}

// takeJobs lets what waits, such as files that were received, be worked by servers on the target.
func (m *mover) takeJobs(ctx context.Context) error {
	q, err := job.New(m.stock.To, slog.New(slog.DiscardHandler), job.Options{})
	if err != nil {
		return err
	}
	return m.stock.Once(ctx, "river_job", func(tx *sqldb.DB) error { return q.TakeOver(ctx, tx, m.stock.From) })
}

func (m *mover) compare(ctx context.Context) (report MoveReport, err error) {
	err = m.each(func(part *sqldb.Move) error {
		list, err := part.Compare(ctx)
		report.Tables = append(report.Tables, list...)
		return err
	})
	if err != nil {
		return report, err
	}
	jobs := sqldb.Compared{Table: "jobs that wait"}
	if jobs.From, err = job.Unfinished(ctx, m.stock.From); err != nil {
		return report, err
	}
	jobs.To, err = job.Unfinished(ctx, m.stock.To)
	report.Tables = append(report.Tables, jobs)
	return report, err
}

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"carfluence/internal/app"
	"carfluence/internal/errs"
)

type moveCommand struct {
	Data           string `help:"Folder of the embedded databases and the secret." default:"./carfluence-data" env:"CARFLUENCE_DATA" type:"path" placeholder:"DIR"`
	app.MoveTarget `embed:""`
}

// Help explains what happens to the two sides.
func (moveCommand) Help() string {
	return `Copies everything from the embedded databases in --data to PostgreSQL: people, keys, sessions, quotas, vehicles with their history,
integrations, files that wait and what was done by whom. Stop the server first. The target is an empty database, whose role and
encoding carfluence serve would accept. Both sides are read to their end and compared, table by table, by counts and checksums.

It may be interrupted or killed at any point; run again it goes on where it was. Until it is done no server works on either side.
The data folder is kept as it was, with a file moved.txt that keeps servers off it and says how to go back.`
}

// Run moves.
func (cmd *moveCommand) Run(c *console) error {
	if err := cmd.Validate(); err != nil {
		return usageError{err}
	}
	store := app.Store{Data: cmd.Data}
	if exists, err := store.Exists(c); err != nil || !exists {
		return usageError{fmt.Errorf("there is no installation in %s; name its folder with --data", cmd.Data)}
	}
	watch := moveBar{console: c}
	report, err := app.Move(c, cmd.Data, cmd.MoveTarget, app.MoveWatch{Phase: watch.phase, Progress: watch.progress})
	watch.finish()
	if err := errors.Join(c.cutShort(err), c.printCompared(report)); err != nil {
		return err
	}
	cmd.next(c, report)
	return nil
}

// cutShort says what to do after what was nobody's mistake.
func (c *console) cutShort(err error) error {
	if err != nil && c.Err() != nil {
		return errors.New("interrupted; run the command again, and it goes on where it was")
	}
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Kind == errs.KindUnavailable {
		return fmt.Errorf("a database is away, or in use by another command; run the command again, and it goes on where it was\n  cause: %w", e.Err)
	}
	return err
}

// printCompared prints what was compared, if it came to that.
func (c *console) printCompared(r app.MoveReport) error {
	if len(r.Tables) == 0 {
		return nil
	}
	t := c.table("TABLE\tROWS\tCHECKSUM\t")
	for _, x := range r.Tables {
		if x.Same() {
			t.row(x.Table, count(x.From.Rows), x.From, "same")
		} else {
			t.row(x.Table, count(x.From.Rows)+" / "+count(x.To.Rows), fmt.Sprint(x.From, " / ", x.To), "DIFFERS")
		}
	}
	return t.Flush()
}

func (cmd *moveCommand) next(c *console, r app.MoveReport) {
	if len(r.Tables) > 0 {
		c.printf("\nMoved %s rows to %s; both sides are the same.\n", count(r.Rows()), cmd.Where())
	} else {
		c.printf("The move to %s is finished; both sides were compared before.\n", cmd.Where())
	}
	secret := "CARFLUENCE_SECRET_FILE=" + filepath.Join(cmd.Data, "secret")
	if os.Getenv("CARFLUENCE_SECRET") != "" || os.Getenv("CARFLUENCE_SECRET_FILE") != "" {
		secret = "the CARFLUENCE_SECRET of now"
	}
	stock := ""
	if cmd.StockTo != "" {
		stock = ", CARFLUENCE_STOCK_DATABASE"
	}
	c.printf(`
Start every server with CARFLUENCE_DATABASE%s (or _FILE) as this command had it, and with %s.
The first one best keeps --data %s, where uploads under way are resumed; others take a folder of their own.
The embedded databases are kept as they were. %s says how to go back.
`, stock, secret, cmd.Data, filepath.Join(cmd.Data, "moved.txt"))
}

// moveBar shows how far a move is, on a terminal.
type moveBar struct {
	console *console
	bar     *progressbar.ProgressBar
}

func (b *moveBar) phase(name string, rows int64) {
	b.finish()
	b.bar = progressbar.NewOptions64(rows, progressbar.OptionSetWriter(b.console.screen()), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

func (b *moveBar) progress(rows int64) { _ = b.bar.Add64(rows) }

func (b *moveBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

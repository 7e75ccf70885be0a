package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"carfluence/internal/app"
	"carfluence/internal/feed"
	"carfluence/internal/sqldb"
)

// exitHeld is what push and confirm end with when the file waits for somebody to decide on it.
const exitHeld = 4

const (
	// lookEvery is how often a run is looked at while it is waited for.
	lookEvery = 250 * time.Millisecond
	// takeOverAfter is how long no server may have been seen before a command that waits for one does the work itself: a
	// restart is not taken for the end.
	takeOverAfter = 3 * time.Second
)

// waitFlags are what commands take that see a file through.
type waitFlags struct {
	NoWait bool `help:"Do not wait for what becomes of the file."`
	JSON   bool `name:"json" help:"Print the log as JSON, with its first 1000 row errors and warnings."`
}

const waitHelp = `
Where a server runs on the data folder, it processes the file and this command waits for it; where none does, this command does the work.
Interrupting it takes nothing back: the file stays stored and is processed.

Exit codes: 0 every row taken (with --no-wait: stored), 1 the file failed, for the reason printed, and changed nothing, 2 wrong command
line, 3 done but for the refused rows listed, 4 held: it would sell suspiciously much, and waits for feed confirm or feed discard.`

type feedPushCommand struct {
	feedPlace   `embed:""`
	waitFlags   `embed:""`
	app.Feeds   `embed:"" group:"Limits where this command does the work; else the server's hold:"`
	File        string `arg:"" help:"File to hand over: delimited text, or one such file packed with gzip or ZIP." type:"existingfile"`
	Integration string `help:"Integration, by id or name; may be left out when there is only one." placeholder:"ID|NAME"`
}

// Help explains what happens to the file.
func (feedPushCommand) Help() string {
	return `Stores the file as if the integration had sent it: with its mapping, its strategy for vehicles the file does not list, and the guard. A
file is older than another by the time in its name, else by when it was last modified; one that is older than a file already
processed is refused (touch it if it is meant).
` + waitHelp
}

// Run hands the file over.
func (cmd *feedPushCommand) Run(c *console) error {
	info, err := os.Stat(cmd.File)
	if err != nil || !info.Mode().IsRegular() {
		return usageError{fmt.Errorf("%s is no regular file: save what it holds to one and name that", cmd.File)}
	}
	d, err := openDesk(c, cmd.feedPlace, cmd.Feeds)
	if err != nil {
		return err
	}
	defer d.Close()
	in, err := d.find(c, cmd.Integration)
	if err != nil {
		return err
	}
	run, err := d.receive(c, in, cmd.File, info.ModTime())
	if err != nil {
		return err
	}
	return d.conclude(c, run, cmd.waitFlags)
}

// receive stores the file.
func (d *desk) receive(c *console, in feed.Integration, path string, modified time.Time) (feed.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return feed.Run{}, err
	}
	defer f.Close()
	bar, err := c.bar(path)
	if err != nil {
		return feed.Run{}, err
	}
	run, err := d.feeds.Receive(c, d.t, in.ID, feed.Upload{Name: filepath.Base(path), ModTime: modified, By: c.actor(), File: io.TeeReader(f, bar)})
	_ = bar.Finish()
	if err != nil && c.Err() != nil {
		err = errors.New("interrupted; the file is not stored")
	}
	return run, err
}

type feedConfirmCommand struct {
	feedPlace `embed:""`
	waitFlags `embed:""`
	app.Feeds `embed:"" group:"Limits where this command does the work; else the server's hold:"`
	LogID     string `arg:"" name:"log-id" help:"Id of the file's log, as feed push and feed logs print it."`
}

// Help explains how it ends.
func (feedConfirmCommand) Help() string {
	return `The file is processed after all, whatever it sells. Once a later file of the integration was processed or held, it can't be any more.
` + waitHelp
}

// Run confirms a held file.
func (cmd *feedConfirmCommand) Run(c *console) error {
	d, err := openDesk(c, cmd.feedPlace, cmd.Feeds)
	if err != nil {
		return err
	}
	defer d.Close()
	run, err := d.feeds.FindLog(c, d.t, cmd.LogID)
	if err != nil {
		return err
	}
	if run, err = d.feeds.Confirm(c, d.t, c.actor(), run.IntegrationID, run.ID); err != nil {
		return err
	}
	return d.conclude(c, run, cmd.waitFlags)
}

type feedDiscardCommand struct {
	feedPlace `embed:""`
	LogID     string `arg:"" name:"log-id" help:"Id of the file's log, as feed push and feed logs print it."`
}

// Run discards a held file.
func (cmd *feedDiscardCommand) Run(c *console) error {
	d, err := openDesk(c, cmd.feedPlace, app.Feeds{})
	if err != nil {
		return err
	}
	defer d.Close()
	run, err := d.feeds.FindLog(c, d.t, cmd.LogID)
	if err != nil {
		return err
	}
	if run, err = d.feeds.Discard(c, d.t, c.actor(), run.IntegrationID, run.ID); err != nil {
		return err
	}
	c.visible().printf("Discarded %s; it changes nothing.\n", run.Filename)
	return nil
}

// conclude waits for the end of a run, unless told not to, and reports it.
func (d *desk) conclude(c *console, run feed.Run, flags waitFlags) error {
	if flags.NoWait {
		return d.leave(c, run, flags.JSON)
	}
	run, err := d.see(c, run)
	if err != nil {
		return err
	}
	if err := d.print(c, run, flags.JSON); err != nil {
		return err
	}
	return verdict(run)
}

// leave tells where to look later.
func (d *desk) leave(c *console, run feed.Run, asJSON bool) error {
	if asJSON {
		return d.print(c, run, true)
	}
	c.printf("Stored as %s. What becomes of it: %s\n", run.ID, d.line("feed", "logs", run.ID))
	if !d.Served() {
		c.hint("No server runs on %s; the file is processed when one does, or with the next feed push.\n", d.place.Where())
	}
	return nil
}

// verdict is how a command ends that has seen a run through.
func verdict(r feed.Run) error {
	switch {
	case r.Status == feed.RunCompleted && r.Counts.Errors == 0:
		return nil
	case r.Status == feed.RunCompleted:
		return partial{fmt.Errorf("%s of %s rows refused", count(r.Counts.Errors), count(r.Counts.Total)), exitRefused}
	case r.Status == feed.RunHeld:
		return partial{errors.New("the file is held; it has changed nothing yet"), exitHeld}
	case r.Status == feed.RunFailed:
		return fmt.Errorf("the file failed and has changed nothing: %s", r.Detail)
	}
	return fmt.Errorf("the file was held and is %s; it has changed nothing", r.Status)
}

func ended(r feed.Run) bool { return r.Status != feed.RunQueued && r.Status != feed.RunRunning }

// see waits for the end of a run, and brings it about where no server does.
func (d *desk) see(c *console, run feed.Run) (feed.Run, error) {
	bar := &rowsBar{out: c.screen(), name: run.Filename}
	defer bar.finish()
	var served time.Time // when last seen
	for {
		now, err := d.feeds.LogOf(c, d.t, run.IntegrationID, run.ID)
		if c.Err() != nil {
			return run, d.interrupted(run)
		}
		if err != nil || ended(now) {
			return now, err
		}
		bar.show(now)
		if d.Served() {
			served = time.Now()
		} else if time.Since(served) >= takeOverAfter {
			if err := d.work(c, run, bar); err != nil {
				return run, err
			}
			continue
		}
		if err := d.paused(c, now); err != nil {
			return run, err
		}
		pause(c, lookEvery)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// interrupted tells that what was begun goes on.
func (d *desk) interrupted(run feed.Run) error {
	by := "by the server"
	if !d.Served() {
		by = "when a server runs on " + d.place.Where() + ", or with the next feed push"
	}
	return fmt.Errorf("interrupted; %s is stored and will be processed %s. What becomes of it: %s", run.Filename, by, d.line("feed", "logs", run.ID))
}

// paused is the error for a file that waits for somebody to take back a pause.
func (d *desk) paused(ctx context.Context, run feed.Run) error {
	if run.Status != feed.RunQueued {
		return nil
	}
	in, err := d.feeds.Integration(ctx, d.t, run.IntegrationID)
	if ctx.Err() != nil { // for the caller to see
		return nil
	}
	if err == nil && in.Status == feed.StatusPaused {
		err = fmt.Errorf("integration %s is paused; %s is stored and waits until it is active again", in.Name, run.Filename)
	}
	return err
}

// work processes the files of a run's integration in the place of a server.
func (d *desk) work(c *console, run feed.Run, bar *rowsBar) error {
	lock, err := d.Lock()
	if err != nil { // a server has just come up
		pause(c, lookEvery)
		return nil
	}
	defer lock.Unlock()
	stop := d.draw(c, run, bar)
	err = d.feeds.Work(c, d.t, run.IntegrationID)
	stop()
	switch {
	case c.Err() != nil || errors.Is(err, feed.ErrBusy): // for the caller to see
		return nil
	case sqldb.IsBusy(err): // an import writes: try again
		pause(c, lookEvery)
		return nil
	case err != nil:
		return fmt.Errorf("%s is stored, but could not be processed; the next server or feed push tries again: %w", run.Filename, err)
	}
	return d.unworked(c, run)
}

// unworked is the error for a run that has not ended though all files that can be worked are.
func (d *desk) unworked(ctx context.Context, run feed.Run) error {
	now, err := d.feeds.LogOf(ctx, d.t, run.IntegrationID, run.ID)
	if err != nil || ended(now) {
		return err
	}
	now.Status = feed.RunQueued // its worker is gone: it waits, like one that never began
	return d.paused(ctx, now)
}

// draw keeps the bar up to date until stop is called.
func (d *desk) draw(c *console, run feed.Run, bar *rowsBar) (stop func()) {
	ctx, cancel := context.WithCancel(c)
	var drawing sync.WaitGroup
	if bar.out != io.Discard {
		drawing.Go(func() {
			for ctx.Err() == nil {
				if now, err := d.feeds.LogOf(ctx, d.t, run.IntegrationID, run.ID); err == nil {
					bar.show(now)
				}
				pause(ctx, lookEvery)
			}
		})
	}
	return func() { cancel(); drawing.Wait() }
}

// rowsBar shows how far a run is, once that is known.
type rowsBar struct {
	out  io.Writer
	name string
	bar  *progressbar.ProgressBar
}

func (b *rowsBar) show(r feed.Run) {
	if r.Status != feed.RunRunning || r.Counts.Total == 0 {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions64(r.Counts.Total, progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(b.name),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"), progressbar.OptionClearOnFinish())
	}
	_ = b.bar.Set64(min(r.RowsDone, r.Counts.Total))
}

func (b *rowsBar) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

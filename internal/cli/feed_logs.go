package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"carfluence/internal/app"
	"carfluence/internal/feed"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
	"carfluence/internal/sheet"
)

// maxJSONProblems is how many row errors and warnings --json prints of a file.
const maxJSONProblems = 1000

type feedLogsCommand struct {
	feedPlace   `embed:""`
	LogID       string `arg:"" optional:"" name:"log-id" help:"Id of one file's log; without it the files are listed, newest first."`
	Integration string `help:"Integration, by id or name; may be left out with an id, and when there is only one." placeholder:"ID|NAME"`
	Limit       int64  `help:"How many files to list." default:"20"`
	Errors      string `help:"Write the file's row errors and warnings to this CSV file, to send back to the vendor. Needs an id." type:"path" placeholder:"FILE.csv"`
	JSON        bool   `name:"json" help:"Print JSON; of one file with its first 1000 row errors and warnings."`
}

// Help explains the statuses.
func (feedLogsCommand) Help() string {
	return `A file is queued, then running, then completed; or failed, which changes nothing, and the reason is told; or held, because it would
sell suspiciously much: then it waits for feed confirm or feed discard until the next file supersedes it. Refused rows are left out, all
others taken. Cells of --errors that a spreadsheet would take for a formula begin with an apostrophe.`
}

// Run shows logs.
func (cmd *feedLogsCommand) Run(c *console) error {
	switch {
	case cmd.Limit < 1:
		return usageError{errors.New("--limit: at least 1")}
	case cmd.LogID == "" && cmd.Errors != "":
		return usageError{errors.New("--errors: name the file by the id of its log")}
	}
	d, err := openDesk(c, cmd.feedPlace, app.Feeds{})
	if err != nil {
		return err
	}
	defer d.Close()
	if cmd.LogID == "" {
		return cmd.list(c, d)
	}
	run, err := cmd.find(c, d)
	if err != nil {
		return err
	}
	if cmd.Errors != "" {
		if err := d.writeProblems(c, run, cmd.Errors); err != nil {
			return fmt.Errorf("--errors: %w", err)
		}
	}
	if !cmd.JSON {
		d.received(c.visible(), run)
	}
	return d.print(c, run, cmd.JSON)
}

// find is the log asked for, in the integration if one is named.
func (cmd *feedLogsCommand) find(c *console, d *desk) (feed.Run, error) {
	if cmd.Integration == "" {
		return d.feeds.FindLog(c, d.t, cmd.LogID)
	}
	in, err := d.find(c, cmd.Integration)
	if err != nil {
		return feed.Run{}, err
	}
	return d.feeds.LogOf(c, d.t, in.ID, cmd.LogID)
}

func (cmd *feedLogsCommand) list(c *console, d *desk) error {
	in, err := d.find(c, cmd.Integration)
	if err != nil {
		return err
	}
	runs, total, err := d.feeds.Logs(c, d.t, in.ID, rest.Page{Limit: cmd.Limit})
	if err != nil {
		return err
	}
	if cmd.JSON {
		list := make([]feed.LogDetail, 0, len(runs))
		for _, r := range runs {
			list = append(list, feed.LogDetailOf(r))
		}
		return c.json(map[string]any{"logs": list, "total": total})
	}
	t := c.visible().table("ID\tFILE\tRECEIVED\tROWS\tCREATED\tUPDATED\tREFUSED\tMISSING\tSOLD\tSTATUS")
	for _, r := range runs {
		n := r.Counts
		t.row(r.ID, r.Filename, day(r.ReceivedAt), count(n.Total), count(n.Created), count(n.Updated), count(n.Errors), count(n.Missing), count(n.Sold), stateOf(r))
	}
	if more := total - int64(len(runs)); more > 0 {
		c.hint("%s older files are not listed; see --limit.\n", count(more))
	}
	return t.Flush()
}

// stateOf is a run's status in a list, with what there is to know beside it.
func stateOf(r feed.Run) string {
	switch {
	case r.Status == feed.RunRunning && r.Counts.Total > 0:
		return fmt.Sprintf("%s, %d %%", r.Status, 100*r.RowsDone/r.Counts.Total)
	case r.Status == feed.RunFailed:
		return withReason(r.Status, r.Detail)
	}
	return r.Status
}

func (d *desk) writeProblems(c *console, run feed.Run, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(d.feeds.WriteProblems(c, d.t, run.ID, nil, f), f.Close())
}

// received tells where a file came from.
func (d *desk) received(c *console, r feed.Run) {
	c.printf("Received %s from %s, %s bytes, SHA-256 %s\n", day(r.ReceivedAt), strings.TrimSpace(r.ReceivedBy.Type+" "+r.ReceivedBy.Name), count(r.Size), r.SHA256)
	if !r.FileTime.IsZero() {
		c.printf("Made %s, by its name or its sender\n", day(r.FileTime))
	}
}

// runBody is a file's log as --json prints it; the API answers the same.
type runBody struct {
	Log    feed.LogDetail        `json:"log"`
	Errors []feed.RowProblemBody `json:"errors"`
}

// print reports what became of a file.
func (d *desk) print(c *console, r feed.Run, asJSON bool) error {
	if !asJSON {
		return d.printRun(c.visible(), r)
	}
	b := runBody{feed.LogDetailOf(r), []feed.RowProblemBody{}}
	for p, err := range d.feeds.EachProblem(c, d.t, r.ID) {
		if err != nil {
			return err
		}
		if len(b.Errors) == maxJSONProblems {
			break
		}
		b.Errors = append(b.Errors, feed.RowProblemBodyOf(p))
	}
	return c.json(b)
}

func (d *desk) printRun(c *console, r feed.Run) error {
	c.printf("%s: %s%s\n", r.Filename, r.Status, took(r))
	switch r.Status {
	case feed.RunCompleted:
		c.printCounts(r)
	case feed.RunRunning:
		c.printf("  %s of %s rows done\n", count(r.RowsDone), count(r.Counts.Total))
	case feed.RunHeld, feed.RunSuperseded, feed.RunDiscarded:
		d.printWould(c, r)
	case feed.RunFailed:
		c.printf("It has changed nothing: %s\n", r.Detail)
	}
	c.printReading(r.Report)
	c.printRuleFaults(r.Report.Rules)
	return d.printProblems(c, r)
}

func took(r feed.Run) string {
	if r.ProcessedAt.IsZero() || !ended(r) {
		return ""
	}
	return fmt.Sprintf(" in %s", r.Duration.Round(time.Millisecond))
}

func (c *console) printCounts(r feed.Run) {
	n := r.Counts
	if r.Report.Repeated {
		c.printf("The same bytes as the file before: its rows were not processed again.\n")
	}
	c.printf("  rows       %s\n  created    %s\n  updated    %s (unchanged ones among them)\n  refused    %s\n", count(n.Total), count(n.Created), count(n.Updated), count(n.Errors))
	if n.Skipped > 0 {
		c.printf("  skipped    %s (about no vehicle of ours; not counted as rows)\n", count(n.Skipped))
	}
	c.printf("  warnings   %s\n  missing    %s (listed before, not in this file)\n", count(n.Warnings), count(n.Missing))
	if r.Report.Moved > 0 {
		c.printf("  moved      %s (of the missing, to other integrations that list them)\n", count(r.Report.Moved))
	}
	c.printf("  sold       %s (of the missing)\n", count(n.Sold))
}

// printWould tells what a held file would do, and how to decide.
func (d *desk) printWould(c *console, r feed.Run) {
	w := r.Report.Would
	if r.Status == feed.RunHeld {
		c.printf("%s\n", r.Detail)
	}
	if w != nil {
		c.printf("  would create  %s\n  would update  %s\n  would sell    %s of %s active vehicles\n", count(w.Create), count(w.Update), count(w.Sell), count(w.Of))
		if len(w.VINs) > 0 {
			c.printf("Among those sold: %s.\n", some(w.VINs))
		}
	}
	if r.Status == feed.RunHeld {
		c.printf("\nTo let it go on:  %s\nTo give it up:    %s\n", d.line("feed", "confirm", r.ID), d.line("feed", "discard", r.ID))
	}
}

// printReading tells how a file was read.
func (c *console) printReading(r feed.RunReport) {
	if r.Delimiter != "" {
		c.printf("Read as %s.\n", formatText(sheet.Format{Charset: r.Charset, Delimiter: r.Delimiter[0], Header: r.Layout == "", Layout: r.Layout}))
	}
	if r.Unpacked != "" {
		c.printf("Unpacked from the archive: %s.\n", r.Unpacked)
	}
	for _, note := range r.Notes {
		c.printf("Header: %s.\n", strings.TrimSuffix(note, "."))
	}
	if len(r.Unmapped) > 0 {
		c.printf("Columns not used: %s.\n", some(r.Unmapped))
	}
}

// printRuleFaults tells which rules could not do their work.
func (c *console) printRuleFaults(faults []feed.RuleFaults) {
	if len(faults) == 0 {
		return
	}
	c.printf("\nRules that could not do their work everywhere:\n")
	for _, f := range faults[:min(len(faults), maxShownRows)] {
		c.printf("  %s × %s left %s alone: %s (%s)\n", count(f.Count), f.Name, f.Field, f.Reason, f.VIN)
	}
	c.more(int64(len(faults)), "rules")
}

// printProblems shows the first refused rows and the kinds of warnings.
func (d *desk) printProblems(c *console, r feed.Run) error {
	if r.Counts.Errors > 0 {
		c.printf("\nRefused rows:\n")
		if err := d.printRefused(c, r); err != nil {
			return err
		}
		c.more(r.Counts.Errors, "rows")
	}
	if r.Counts.Warnings > 0 {
		c.printf("\nWarnings (%s):\n", count(r.Counts.Warnings))
		for _, k := range r.Report.Kinds[:min(len(r.Report.Kinds), maxShownRows)] {
			c.printf("  %s × %s (line %d)\n", count(k.Count), problemText(mapping.Problem{Column: k.Column, Reason: k.Reason}), k.Line)
		}
		c.more(int64(len(r.Report.Kinds)), "kinds")
	}
	if r.Counts.Errors+r.Counts.Warnings > 0 {
		c.printf("\nAll of them: %s\n", d.line("feed", "logs", r.ID, "--errors", "FILE.csv"))
	}
	if r.Report.Unlisted > 0 {
		c.printf("%s more are counted, but not kept.\n", count(r.Report.Unlisted))
	}
	return nil
}

func (d *desk) printRefused(c *console, r feed.Run) error {
	shown := 0
	for p, err := range d.feeds.EachProblem(c, d.t, r.ID) {
		switch {
		case err != nil:
			return err
		case p.Refused:
			c.printf("  line %d: %s\n", p.Line, problemText(p))
			shown++
		}
		if shown == maxShownRows {
			break
		}
	}
	return nil
}

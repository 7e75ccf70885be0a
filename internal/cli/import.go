package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"carfluence/internal/app"
	"carfluence/internal/dealer"
	"carfluence/internal/feed"
	"carfluence/internal/inventory"
	"carfluence/internal/mapping"
	"carfluence/internal/rule"
	"carfluence/internal/sheet"
)

// exitRefused is what import ends with when the file was loaded but for some rows.
const exitRefused = 3

// maxShownRows is how many refused rows, and kinds of warnings, are printed.
const maxShownRows = 20

// importCollectPercent has a load beside a running server take less memory (GOGC); a million rows are read no slower.
const importCollectPercent = 50

type importCommand struct {
	app.Store `embed:""`
	groupFlag `embed:""`
	File      string `arg:"" help:"File to load." type:"existingfile"`
	Dealer    string `help:"Dealership, by name, code or alias, that holds the rows which name none. Made if it does not exist." placeholder:"NAME"`
	Report    string `help:"Write every refused row and every warning to this CSV file." type:"path" placeholder:"FILE"`
	JSON      bool   `name:"json" help:"Print the report as JSON."`
}

// Help explains what is read and what happens to it.
func (importCommand) Help() string {
	return `Reads delimited text (comma, tab, pipe, semicolon; UTF-8, UTF-16, Windows-1252) as vAuto, HomeNet and others write it: columns
are known by their names, vAuto's also without a header. Rows are merged into the inventory by VIN: a column that the file does
not have leaves stored values alone, an empty cell empties them. Dealerships are found by code, name or alias; unknown ones are made.

The file is in the inventory whole when the command ends, or not at all: interrupting it changes nothing. It may run beside a server.

Exit codes: 0 every row loaded, 1 nothing loaded, 2 wrong command line, 3 loaded but for the refused rows listed.`
}

// Run loads the file.
func (cmd *importCommand) Run(c *console) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(importCollectPercent)
	}
	if info, err := os.Stat(cmd.File); err != nil || !info.Mode().IsRegular() {
		return usageError{fmt.Errorf("%s is no regular file, and import reads its file twice: save what it holds to one and name that", cmd.File)}
	}
	a, g, err := openGroup(c, cmd.Store, cmd.Group)
	if err != nil {
		return err
	}
	defer a.Close()
	in := feed.Import{
		File: filepath.Base(cmd.File), Dealer: cmd.Dealer, By: c.actor(),
		Open: func() (io.ReadCloser, error) { return os.Open(cmd.File) },
	}
	bar, err := c.bar(cmd.File)
	if err != nil {
		return err
	}
	in.Progress = func(bytes int64) { _ = bar.Set64(bytes) }
	finish, err := problemFile(cmd.Report, &in)
	if err != nil {
		return err
	}
	stock, _ := a.NewStock(inventory.Options{Now: time.Now}, rule.Options{})
	importer := &feed.Importer{Stock: stock, Dealers: &dealer.Dealers{DB: a.Stock, Now: time.Now}, Now: time.Now}
	report, err := importer.Run(c, a.Stock.Patient().Tenant(g.ID), in)
	_ = bar.Finish()
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; nothing was loaded")
	}
	if err = errors.Join(err, finish()); err != nil {
		return err
	}
	if err := cmd.print(c, report); err != nil {
		return err
	}
	if report.Refused > 0 {
		return partial{fmt.Errorf("%s of %s rows refused", count(report.Refused), count(report.Rows)), exitRefused}
	}
	return nil
}

// bar is a progress bar on a terminal, and silent elsewhere.
func (c *console) bar(path string) (*progressbar.ProgressBar, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return progressbar.NewOptions64(info.Size(), progressbar.OptionSetWriter(c.screen()), progressbar.OptionSetDescription(filepath.Base(path)),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish()), nil
}

// screen is the terminal that bars are drawn on; what is written to it is lost when there is none.
func (c *console) screen() io.Writer {
	if f, ok := c.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return io.Discard
}

// problemFile makes the import write its problems as CSV; finish closes the file.
func problemFile(path string, in *feed.Import) (finish func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"line", "result", "column", "value", "reason"}) // errors are kept for finish
	in.Problem = func(p mapping.Problem) {
		result := "warning"
		if p.Refused {
			result = "refused"
		}
		_ = w.Write([]string{strconv.Itoa(p.Line), result, p.Column, p.Value, p.Reason})
	}
	return func() error {
		w.Flush()
		return errors.Join(w.Error(), f.Close())
	}, nil
}

func (cmd *importCommand) print(c *console, r feed.Report) error {
	if cmd.JSON {
		return c.json(reportBodyOf(r))
	}
	c.printReport(r)
	if r.Refused+r.Warnings > 0 && cmd.Report == "" {
		c.printf("\nAll of them with --report FILE.csv.\n")
	}
	return nil
}

func (c *console) printReport(r feed.Report) {
	c.printf("%s: %s rows in %s (%s per second)\n", r.File, count(r.Rows), r.Duration.Round(time.Millisecond), count(int64(float64(r.Rows)/max(r.Duration.Seconds(), 0.001))))
	c.printf("  created    %s\n  updated    %s\n  unchanged  %s\n  refused    %s\n", count(r.Created), count(r.Updated), count(r.Unchanged), count(r.Refused))
	c.printf("Read as %s.\n", formatText(r.Format))
	for _, note := range r.Notes {
		c.printf("Header: %s.\n", note)
	}
	if len(r.Unmapped) > 0 {
		c.printf("Columns not used: %s.\n", strings.Join(r.Unmapped, ", "))
	}
	if n := len(r.DealersCreated); n > 0 {
		c.printf("Dealerships made (%d): %s.\n", n, some(r.DealersCreated))
	}
	if r.Refused > 0 {
		c.printf("\nRefused rows:\n")
		for _, p := range r.Refusals[:min(len(r.Refusals), maxShownRows)] {
			c.printf("  line %d: %s\n", p.Line, problemText(p))
		}
		c.more(r.Refused, "rows")
	}
	if r.Warnings > 0 {
		c.printf("\nWarnings (%s):\n", count(r.Warnings))
		for _, k := range r.WarningKinds[:min(len(r.WarningKinds), maxShownRows)] {
			c.printf("  %s × %s (line %d)\n", count(k.Count), problemText(k.Example), k.Example.Line)
		}
		c.more(int64(len(r.WarningKinds)), "kinds")
	}
}

func (c *console) more(all int64, what string) {
	if all > maxShownRows {
		c.printf("  … and %s more %s\n", count(all-maxShownRows), what)
	}
}

func problemText(p mapping.Problem) string {
	switch {
	case p.Column == "":
		return p.Reason
	case p.Value == "":
		return p.Column + ": " + p.Reason
	}
	return fmt.Sprintf("%s %q: %s", p.Column, p.Value, p.Reason)
}

func formatText(f sheet.Format) string {
	names := map[byte]string{',': "comma", '\t': "tab", '|': "pipe", ';': "semicolon"}
	text := fmt.Sprintf("%s, separated by %s", f.Charset, names[f.Delimiter])
	if !f.Header {
		text += ", without a header: layout " + f.Layout
	}
	return text
}

// some names a list without filling the screen.
func some(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// count writes a number with separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// reportBody is the report as --json prints it.
type reportBody struct {
	File           string        `json:"file"`
	Charset        string        `json:"charset"`
	Delimiter      string        `json:"delimiter"`
	Header         bool          `json:"header"`
	Layout         string        `json:"layout"`
	RowsTotal      int64         `json:"rows_total"`
	RowsCreated    int64         `json:"rows_created"`
	RowsUpdated    int64         `json:"rows_updated"`
	RowsUnchanged  int64         `json:"rows_unchanged"`
	RowsRefused    int64         `json:"rows_refused"`
	Refused        []problemBody `json:"refused"`
	WarningsTotal  int64         `json:"warnings_total"`
	Warnings       []tallyBody   `json:"warnings"`
	DealersCreated []string      `json:"dealers_created"`
	UnusedColumns  []string      `json:"unused_columns"`
	HeaderNotes    []string      `json:"header_notes"`
	DurationMS     int64         `json:"duration_ms"`
}

type problemBody struct {
	Line   int    `json:"line"`
	Column string `json:"column"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

type tallyBody struct {
	Count   int64       `json:"count"`
	Example problemBody `json:"example"`
}

func reportBodyOf(r feed.Report) reportBody {
	b := reportBody{
		File: r.File, Charset: r.Format.Charset, Delimiter: string(r.Format.Delimiter), Header: r.Format.Header, Layout: r.Format.Layout,
		RowsTotal: r.Rows, RowsCreated: r.Created, RowsUpdated: r.Updated, RowsUnchanged: r.Unchanged, RowsRefused: r.Refused,
		Refused: []problemBody{}, WarningsTotal: r.Warnings, Warnings: []tallyBody{}, DurationMS: r.Duration.Milliseconds(),
		DealersCreated: append([]string{}, r.DealersCreated...), UnusedColumns: append([]string{}, r.Unmapped...), HeaderNotes: append([]string{}, r.Notes...),
	}
	for _, p := range r.Refusals {
		b.Refused = append(b.Refused, problemBodyOf(p))
	}
	for _, k := range r.WarningKinds {
		b.Warnings = append(b.Warnings, tallyBody{k.Count, problemBodyOf(k.Example)})
	}
	return b
}

func problemBodyOf(p mapping.Problem) problemBody {
	return problemBody{p.Line, p.Column, p.Value, p.Reason}
}

package feed

import (
	"context"
	"encoding/csv"
	"io"
	"iter"
	"strconv"
	"strings"

	"carfluence/internal/mapping"
	"carfluence/internal/sqldb"
)

// problemsAtOnce is how many problems are in memory while all of a file's are gone through.
const problemsAtOnce = 1000

// EachProblem goes through all row errors and warnings that are kept of a file, in order of lines. An error ends it.
func (f *Feeds) EachProblem(ctx context.Context, t *sqldb.Tenant, runID string) iter.Seq2[mapping.Problem, error] {
	return func(yield func(mapping.Problem, error) bool) {
		for after := int64(0); ; after += problemsAtOnce {
			list, err := selectProblemsAfter(ctx, t, runID, after, problemsAtOnce)
			if err != nil {
				yield(mapping.Problem{}, err)
				return
			}
			for _, p := range list {
				if !yield(p, nil) {
					return
				}
			}
			if len(list) < problemsAtOnce {
				return
			}
		}
	}
}

// WriteProblems writes them as CSV to send back to the vendor.
func (f *Feeds) WriteProblems(ctx context.Context, t *sqldb.Tenant, runID string, hidden mapping.Hidden, to io.Writer) error {
	w := csv.NewWriter(to)
	_ = w.Write([]string{"line", "result", "column", "value", "reason"}) // errors are kept for the end
	for p, err := range f.EachProblem(ctx, t, runID) {
		if err != nil {
			return err
		}
		p = hidden.Redact(p)
		_ = w.Write([]string{strconv.Itoa(p.Line), resultOf(p), harmless(p.Column), harmless(p.Value), harmless(p.Reason)})
	}
	w.Flush()
	return w.Error()
}

func resultOf(p mapping.Problem) string {
	if p.Refused {
		return "refused"
	}
	return "warning"
}

// harmless keeps a spreadsheet from running a cell (OWASP, "CSV injection").
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

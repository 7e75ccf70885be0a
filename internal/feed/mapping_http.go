package feed

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/mapping"
	"carfluence/internal/rest"
)

type previewInput struct {
	ID   string `path:"integrationId" doc:"Id of the integration."`
	Rows int    `query:"rows" minimum:"0" maximum:"100" default:"10" doc:"How many rows to show before and after."`
}

type previewBody struct {
	IntegrationID string            `json:"integrationId"`
	Filename      *string           `json:"filename" nullable:"true" doc:"The latest file that is kept; null while there is none."`
	Mappings      map[string]string `json:"mappings" doc:"The integration's own: source column to canonical field, \"\" for none."`
	Drift         *string           `json:"drift" nullable:"true" doc:"How the columns of the latest file differ from those of the file before."`
	Fault         *string           `json:"fault" nullable:"true" doc:"Why no row of the file can be used."`
	Columns       []columnBody      `json:"columns"`
	Rows          []previewRowBody  `json:"rows" doc:"The first rows before and after."`
	RowsRead      int64             `json:"rowsRead" doc:"Rows that the counts of columns are of."`
	Whole         bool              `json:"whole" doc:"These are all rows of the file."`
	Notes         []string          `json:"notes" doc:"What is odd about the header."`
}

type columnBody struct {
	Name       string                          `json:"name" doc:"As written; empty for a column without one."`
	Target     *string                         `json:"target" nullable:"true" doc:"What the column feeds: a field, vin, or custom.<name>; null for nothing."`
	Also       []string                        `json:"also" doc:"Further fields it feeds."`
	Why        string                          `json:"why" enum:"own,default,none" doc:"own: the integration's own mapping says so; default: its name does, or for the VIN its values."`
	Suggestion rest.OrNull[mapping.Suggestion] `json:"suggestion" doc:"What the column probably holds."`
	Samples    []string                        `json:"samples" doc:"The first three distinct values."`
	Filled     int64                           `json:"filled" doc:"Cells that aren't empty."`
	Dropped    int64                           `json:"dropped" doc:"Of these, cells that give no value."`
}

type previewRowBody struct {
	Line     int                 `json:"line"`
	Outcome  string              `json:"outcome" enum:"used,skipped,refused"`
	Before   map[string]string   `json:"before" doc:"Column to cell, long cells cut."`
	After    any                 `json:"after" doc:"VIN and fields as in a vehicle; null unless used."`
	Problems []columnProblemBody `json:"problems"`
}

type columnProblemBody struct {
	Column *string `json:"column" nullable:"true"`
	Value  *string `json:"value" nullable:"true"`
	Reason string  `json:"reason"`
}

func previewBodyOf(it Integration, name string, p mapping.Preview) previewBody {
	b := previewBody{
		IntegrationID: it.ID, Filename: rest.TextOrNull(name), Mappings: it.Mappings, Drift: rest.TextOrNull(it.Drift), Fault: rest.TextOrNull(p.Fault),
		Columns: make([]columnBody, 0, len(p.Columns)), Rows: make([]previewRowBody, 0, len(p.Rows)), RowsRead: p.RowsRead, Whole: p.Whole, Notes: list(p.Notes),
	}
	for _, c := range p.Columns {
		b.Columns = append(b.Columns, columnBody{c.Name, rest.TextOrNull(c.Target), list(c.Also), c.Why, rest.OrNull[mapping.Suggestion]{Value: c.Suggestion}, list(c.Samples), c.Filled, c.Dropped})
	}
	for _, r := range p.Rows {
		row := previewRowBody{Line: r.Line, Outcome: r.Outcome, Before: r.Before, After: r.After, Problems: make([]columnProblemBody, 0, len(r.Problems))}
		for _, problem := range r.Problems {
			row.Problems = append(row.Problems, columnProblemBody{rest.TextOrNull(problem.Column), rest.TextOrNull(problem.Value), problem.Reason})
		}
		b.Rows = append(b.Rows, row)
	}
	return b
}

type previewOutput struct {
	Body struct {
		Preview previewBody `json:"preview"`
	}
}

type patchMappingsInput struct {
	ID        string `path:"integrationId" doc:"Id of the integration."`
	Reprocess bool   `query:"reprocess" doc:"Run the latest kept file again."`
	Body      struct {
		Mappings map[string]*string `json:"mappings" doc:"Source column to canonical field, to custom.<name> to keep a value under a name of your own, or to \"\" to ignore the column. null goes back to what the column feeds by default." example:"{\"Lot Price\":\"price\"}"`
	}
}

// Resolve implements huma.Resolver.
func (in *patchMappingsInput) Resolve(huma.Context) []error {
	if faults := mapping.ValidateOwn(in.Body.Mappings); len(faults) > 0 {
		return []error{errs.Invalid("invalid", "The mapping can't be stored as given; errors lists every fault.", faults...)}
	}
	return nil
}

type mappingsOutput struct {
	Body struct {
		Mappings map[string]string    `json:"mappings"`
		Log      rest.OrNull[LogBody] `json:"log" doc:"Of the file that is run again; null unless asked for."`
	}
}

func (f *Feeds) registerMappings(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "preview-mappings", Method: http.MethodGet, Path: "/mappings/{integrationId}/preview", Summary: "Preview an integration's mapping", Tag: "Mappings", Security: rest.Scope(readScope), Codes: []string{"invalid"},
		Description: "For each column of the latest file what it feeds, what else it could feed and why, three samples, and how many values would be dropped; and the first rows before and after. Costs, and columns that feed nothing and resemble nothing, are shown to administrators only.",
	}, func(ctx context.Context, p auth.Principal, in *previewInput) (*previewOutput, error) {
		it, name, preview, err := f.Preview(ctx, f.DB.Tenant(p.Group), in.ID, in.Rows)
		if err != nil {
			return nil, err
		}
		if !p.Scopes.Has(auth.Admin) {
			preview.Redact()
		}
		out := &previewOutput{}
		out.Body.Preview = previewBodyOf(it, name, preview)
		return out, nil
	})
	auth.Handle(api, rest.Operation{
		ID: "update-mappings", Method: http.MethodPatch, Path: "/mappings/{integrationId}", Summary: "Change an integration's mapping", Tag: "Mappings", Security: rest.Scope(writeScope), Codes: []string{"file_gone"},
		Description: "Columns that are not named stay as they are. In force for the next file, or at once with `reprocess=true`.",
	}, func(ctx context.Context, p auth.Principal, in *patchMappingsInput) (*mappingsOutput, error) {
		it, run, err := f.Remap(ctx, f.DB.Tenant(p.Group), p.Actor(), in.ID, in.Body.Mappings, in.Reprocess)
		if err != nil {
			return nil, err
		}
		out := &mappingsOutput{}
		out.Body.Mappings = it.Mappings
		if run != nil {
			b := logBodyOf(*run)
			out.Body.Log.Value = &b
		}
		return out, nil
	})
}

package inventory

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/index"
	"carfluence/internal/rest"
)

const (
	ndjsonType = "application/x-ndjson"
	csvType    = "text/csv; charset=utf-8; header=present"
)

type exportInput struct {
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"ndjson: a vehicle a line, as lists show it. csv: a table (RFC 4180) with the names of the members in its first row."`
	FilterInput
	SelectionInput
	Fields string `query:"fields" doc:"Members to export of each vehicle beside its VIN, separated by commas: those of lists and of full records. In a table they are the columns, in this order." example:"price,mileage,photos"`
}

// Resolve names all faults at once, also beside those of the schema.
func (in *exportInput) Resolve(ctx huma.Context) []error {
	p, ok := rest.From(ctx.Context()).Caller.(*auth.Principal)
	if _, faults := in.selection(ok && p.Scopes.Has(auth.Admin)); len(faults) > 0 {
		rest.Beside(ctx, faults...)
	}
	return nil
}

func (in *exportInput) selection(sensitive bool) (*Selection, []errs.Fault) {
	var r reader
	f, err := in.filter()
	if e, ok := errors.AsType[*errs.Error](err); ok {
		r.faults = e.Faults
	}
	sel := &Selection{Query: index.Query{Status: f.Status, Search: f.Search}, Sensitive: sensitive}
	in.read(&r, &sel.Query)
	if in.Fields != "" {
		sel.Fields = r.fields(in.Fields, sensitive)
	}
	return sel, r.faults
}

func (s *Stock) registerExport(api *rest.API) {
	auth.Handle(api, rest.Operation{
		ID: "export-inventory", Method: http.MethodGet, Path: "/inventory/export", Summary: "Export vehicles", Tag: "Inventory", Security: rest.Scope("inventory:read"),
		Codes: []string{"invalid", "inventory_too_large"}, Fresh: true,
		Files: map[string]string{
			ndjsonType: "A vehicle a line, as JSON: a ListedVehicle, or the members asked for.",
			"text/csv": "A row for each vehicle under the names of the members. Null is an empty cell, lists and objects are JSON. A text that begins with =, +, -, @, a tab or a carriage return has an apostrophe before it, so that no spreadsheet runs it as a formula. UTF-8 without a byte order mark; lines end with CRLF.",
		},
		Description: "All vehicles that GET /inventory lists for the same parameters, in one answer of any length, for one credit. Each VIN comes once, whatever is written meanwhile. Which vehicles, and their order, are of the moment of the call; a vehicle that changes meanwhile comes as it is when its piece is read.\n\n" +
			"The answer is sent while it is made, compressed for clients that accept gzip. If it can't be completed the connection is cut: what came is no whole file then, and a client sees it by the missing end of the chunked or compressed body. That is so too when the caller's key is revoked, when the client takes nothing for a minute, and seconds after the server was told to stop.\n\n" +
			"503 when as many exports are under way as the server makes at once. Where the inventory is too large for the server's memory, exports by status and search alone work on, in the order of VINs.",
	}, s.export)
}

func (s *Stock) export(_ context.Context, p auth.Principal, in *exportInput) (*rest.Streamed, error) {
	sel, faults := in.selection(p.Scopes.Has(auth.Admin))
	if err := (&reader{faults}).err(); err != nil {
		return nil, err
	}
	out := &rest.Streamed{ContentType: ndjsonType, Ended: s.waits.ended}
	head, form := []byte(nil), lines(sel.Fields)
	if in.Format == "csv" {
		out.ContentType = csvType
		head, form = table(sel.Fields)
	}
	out.Disposition = `attachment; filename="inventory-` + s.now().UTC().Format("2006-01-02") + "." + in.Format + `"`
	out.Write = func(ctx context.Context, to io.Writer) error {
		return s.Export(ctx, s.db.Tenant(p.Group), sel, head, form, to)
	}
	return out, nil
}

package feed

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
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
	Preview
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
	if faults := ValidateOwn(in.Body.Mappings); len(faults) > 0 {
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
		Description: "For each column of the latest file what it feeds, what else it could feed and why, three samples, and how many values would be dropped; and the first rows before and after.",
	}, func(ctx context.Context, p auth.Principal, in *previewInput) (*previewOutput, error) {
		it, name, preview, err := f.Preview(ctx, f.DB.Tenant(p.Group), in.ID, in.Rows)
		if err != nil {
			return nil, err
		}
		out := &previewOutput{}
		out.Body.Preview = previewBody{IntegrationID: it.ID, Filename: orNull(name), Mappings: it.Mappings, Drift: orNull(it.Drift), Preview: preview}
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

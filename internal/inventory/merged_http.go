package inventory

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"carfluence/internal/auth"
	"carfluence/internal/errs"
	"carfluence/internal/rest"
	"carfluence/internal/vehicle"
	"carfluence/internal/vin"
)

type (
	mergedListInput struct {
		ID string `path:"id" doc:"Id of the merge config."`
		rest.PageInput
		FilterInput
	}
	mergedVehicleInput struct {
		ID  string `path:"id" doc:"Id of the merge config."`
		VIN string `path:"vin" doc:"The vehicle's VIN, in any case."`
	}
	conflictsInput struct {
		ID string `path:"id" doc:"Id of the merge config."`
		rest.PageInput
		Field string `query:"field" doc:"Only conflicts about this field."`
	}
)

func (s *Stock) registerMerged(api *rest.API) {
	read := rest.Scope("inventory:read")
	auth.Handle(api, rest.Operation{
		ID: "list-merged-vehicles", Method: http.MethodGet, Path: "/merge-configs/{id}/data", Summary: "List merged vehicles", Tag: mergeTag, Security: read,
		Codes: []string{"invalid", "merge_config_building"}, Answer: mergedListAnswer{},
		Description: "Each VIN that one of the config's integrations brought, once, as the config merges it, with the source of each field. Newest first, then by VIN. While the config's " +
			"first vehicles are being merged the answer is 503 `merge_config_building`.",
	}, s.listMerged)
	auth.Handle(api, rest.Operation{
		ID: "get-merged-vehicle", Method: http.MethodGet, Path: "/merge-configs/{id}/data/{vin}", Summary: "Show a merged vehicle", Tag: mergeTag, Security: read,
		Codes: []string{"merge_config_building"}, Answer: mergedAnswer{},
		Description: "The full record, with the source of each field. Fields that are sensitive, and where they come from, are among it for callers with the scope `admin` only.",
	}, s.showMerged)
	auth.Handle(api, rest.Operation{
		ID: "list-merge-conflicts", Method: http.MethodGet, Path: "/merge-configs/{id}/conflicts", Summary: "List conflicts", Tag: mergeTag, Security: read,
		Codes: []string{"invalid", "merge_config_building"}, Answer: conflictsAnswer{},
		Description: "Vehicles about which two integrations that list them disagree, newest first, then by VIN. Not compared are letter case and blanks, photos, descriptions, links and " +
			"lists, status, the dealership's names in the source, and what only administrators see. Mileages differ when they do by more than the config's mileageTolerance; one without a " +
			"unit is in miles.",
	}, s.listConflicts)
}

func (s *Stock) listMerged(ctx context.Context, p auth.Principal, in *mergedListInput) (*encoded, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	f.Config = in.ID
	return s.listed(ctx, p, f, in.Page())
}

func (s *Stock) showMerged(ctx context.Context, p auth.Principal, in *mergedVehicleInput) (*encoded, error) {
	t := s.db.Tenant(p.Group)
	days, err := s.recentCalendar(ctx, t)
	if err != nil {
		return nil, err
	}
	m, err := s.merged(ctx, t, in.ID, vin.Normalise(in.VIN), days)
	if err != nil {
		return nil, err
	}
	body := append(make([]byte, 0, 6144), `{"vehicle":`...)
	body = m.full(body, days.daysOnLot(&m.Vehicle, s.now()), p.Scopes.Has(auth.Admin))
	return &encoded{Status: http.StatusOK, ContentType: jsonType, Body: append(body, '}')}, nil
}

func (s *Stock) listConflicts(ctx context.Context, p auth.Principal, in *conflictsInput) (*encoded, error) {
	f := Filter{Config: in.ID, Disputed: AnyField}
	if in.Field != "" {
		field, known := vehicle.FieldNamed(in.Field)
		switch {
		case !known:
			return nil, errs.Invalid("invalid", "The conflicts can't be filtered by this field.", errs.In("field", vehicle.UnknownField(in.Field)))
		case !comparedFields.Has(field):
			return nil, errs.Invalid("invalid", "The conflicts can't be filtered by this field.", errs.In("field", "is not compared"))
		}
		f.Disputed = in.Field
	}
	return s.listed(ctx, p, f, in.Page())
}

// The shapes of the answers, for the document; the answers themselves are written by merged.go.
type (
	mergedListAnswer struct {
		Vehicles   []mergedListedVehicle `json:"vehicles"`
		Pagination rest.Pagination       `json:"pagination"`
	}
	mergedAnswer struct {
		Vehicle mergedFullVehicle `json:"vehicle"`
	}
	conflictsAnswer struct {
		Conflicts  []vehicleConflict `json:"conflicts"`
		Pagination rest.Pagination   `json:"pagination"`
	}
	vehicleConflict struct {
		VIN    string                   `json:"vin" example:"1FTEW1EF8HFA85881"`
		Fields map[string]fieldConflict `json:"fields" doc:"By field."`
	}
	fieldConflict struct {
		Shown  any           `json:"shown" doc:"The value of the merged vehicle, typed as there."`
		Source *string       `json:"source" nullable:"true" doc:"Where it comes from, as in _sources."`
		Values []sourceValue `json:"values" doc:"What each integration says that says anything."`
	}
	sourceValue struct {
		SourceIntegrationID string `json:"source_integration_id" format:"uuid"`
		Value               any    `json:"value"`
	}
)

type (
	mergedListedVehicle struct{}
	mergedFullVehicle   struct{}
)

// Schema implements huma.SchemaProvider.
func (mergedListedVehicle) Schema(r huma.Registry) *huma.Schema {
	return mergedSchema(r, "MergedListedVehicle", listedVehicle{}.Schema(r))
}

// Schema implements huma.SchemaProvider.
func (mergedFullVehicle) Schema(r huma.Registry) *huma.Schema {
	return mergedSchema(r, "MergedVehicle", fullVehicle{}.Schema(r))
}

// mergedSchema is a vehicle's schema and the sources.
func mergedSchema(r huma.Registry, name string, of *huma.Schema) *huma.Schema {
	return component(r, name, map[string]any{"allOf": []any{
		map[string]any{"$ref": of.Ref},
		map[string]any{"type": "object", "required": []string{"_sources"}, "properties": map[string]any{"_sources": map[string]any{
			"type": "object", "additionalProperties": map[string]any{"type": "string"},
			"description": "Where each field's value comes from, for fields that have one: the id of an integration, api for an override, rule: followed by the id of a rule.",
			"example":     map[string]any{"price": "0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00", "trim": "api"},
		}}},
	}})
}
